"""Who comes from TRL is told where each setting is to be found, and which of the constructor's arguments have no meaning here."""

import importlib
import inspect
import re
from types import SimpleNamespace

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, TrainingArguments
from trl import DPOConfig, DPOTrainer

from lpo_tts.errors import ConfigError, ContractError
from lpo_tts.losses import REGISTRY
from lpo_tts.losses.dpo import DPO
from lpo_tts.training import arguments as given
from lpo_tts.training.examples import PairExample
from lpo_tts.training.trainer import LPOConfig, LPOTrainer
from lpo_tts.training.trl import HINTS, LOSSES, refuse_unknown

ROWS = [{"prompt_ids": [1, 2], "chosen_ids": [3, 4, i], "rejected_ids": [5, i]} for i in range(6)]


def tiny():
    torch.manual_seed(0)
    sizes = {"vocab_size": 40, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    return LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=2, num_key_value_heads=1))


def config(folder):
    return LPOConfig(output_dir=str(folder), use_cpu=True, max_steps=1, save_strategy="no", disable_tqdm=True)


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("beta", 0.1, r"it belongs to the loss, which the trainer takes: LPOTrainer\(\.\.\., loss=DPO\(beta=0\.1\)\)"),
        ("loss_type", "ipo", r"the trainer takes the loss: LPOTrainer\(\.\.\., loss='dpo'\)"),
        ("max_length", 512, "prompts are never cut; max_answer_tokens limits answers"),
        ("max_prompt_length", 512, "prompts are never cut"),
        ("precompute_ref_log_probs", True, "leave it out: reference log-probs are always computed once, before training"),
        ("label_smoothing", 0.1, r"it belongs to the loss, .* loss=CDPO\("),
        ("evaluation_strategy", "no", "its name is eval_strategy"),
        ("learning_rat", 1e-6, r"did you mean learning_rate\?"),
        ("xyz", 1, r"leave it out; docs/training\.md lists what there is"),
    ],
)
def test_settings_that_live_elsewhere_say_where(name, value, hint):
    with pytest.raises(ConfigError, match=rf"LPOConfig has no setting '{name}': {hint}"):
        LPOConfig(output_dir="run", **{name: value})


def test_every_setting_of_trl_is_taken_or_explained():
    ours = set(inspect.signature(LPOConfig).parameters)
    theirs = set(inspect.signature(DPOConfig).parameters)
    assert not {name for name in theirs if name not in ours and name not in HINTS}
    assert not set(HINTS) & ours


def test_every_loss_of_trl_is_named():
    documented = re.search(r"Type of loss to use\. Possible values are: (.*?)\. If", inspect.getsource(DPOConfig), re.DOTALL)
    names = set(re.findall(r"`'(\w+)'`", documented.group(1)))
    assert len(names) > 10
    assert not {name for name in names if name not in REGISTRY.members and name not in LOSSES}
    assert set(LOSSES.values()) <= set(REGISTRY.members)


def test_the_losses_that_hints_name_take_what_hints_say():
    for hint in HINTS.values():
        for name, arguments in re.findall(r"\b([A-Z]\w+)\(([a-z_]\w*=[^)]*|)\)", hint):
            module = next((target for target in REGISTRY.members.values() if target.endswith(f":{name}")), None)
            if module is None:
                assert name in ("LPOTrainer", "AutoModelForCausalLM"), name
                continue
            fields = inspect.signature(getattr(importlib.import_module(module.split(":")[0]), name)).parameters
            assert {part.split("=")[0].strip() for part in arguments.split(",") if part} <= set(fields), hint


def test_the_constructor_is_that_of_trl_and_two_arguments_more():
    theirs = list(inspect.signature(DPOTrainer.__init__).parameters)
    ours = inspect.signature(LPOTrainer.__init__).parameters
    assert list(ours)[: len(theirs)] == theirs
    assert list(ours)[len(theirs) :] == ["loss", "reference_logps", "others"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"data_collator": print}, r"data_collator: leave it out; the trainer packs rows of token ids itself"),
        ({"compute_metrics": print}, r"compute_metrics: leave it out; .* callback's on_evaluate"),
        ({"quantization_config": object()}, r"quantization_config is for a model given by name"),
        ({"tokenizer": object()}, r"LPOTrainer has no setting 'tokenizer': its name is processing_class"),
        ({"beta": 0.1}, r"LPOTrainer has no setting 'beta': it belongs to the loss"),
        ({"train_data": []}, r"LPOTrainer has no setting 'train_data': did you mean train_dataset\?"),
        ({"loss": DPO}, r"loss: expected a loss, found the class DPO; pass an instance: DPO\(\)"),
        (
            {"loss": PairExample},
            r"loss: expected a loss, found the class PairExample; it is no loss; pass one of lpo_tts\.losses",
        ),
        ({"loss": print}, r"loss: expected a loss, found builtin_function_or_method; pass one of lpo_tts\.losses"),
        ({"loss": 0.1}, r"loss: expected a loss, found float"),
        ({"loss": "sigmoid"}, r"losses: TRL's 'sigmoid' is 'dpo' here"),
        ({"loss": "dpoo"}, r"no member named 'dpoo'; did you mean"),
    ],
)
def test_arguments_that_mean_nothing_here_say_what_to_do(arguments, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        LPOTrainer(tiny(), args=config(tmp_path), **{"train_dataset": ROWS, **arguments})


def test_arguments_of_another_trainer_are_refused(tmp_path):
    for args in (TrainingArguments(output_dir=str(tmp_path)), {"output_dir": str(tmp_path)}):
        message = rf"args: expected an LPOConfig, found {type(args).__name__}; LPOConfig takes the settings of TrainingArguments"
        with pytest.raises(ConfigError, match=message):
            LPOTrainer(tiny(), args=args, train_dataset=ROWS)


def test_a_quantized_model_is_loaded_by_name(tmp_path, monkeypatch):
    asked = {}

    def load(name, **options):
        asked.update(options, name=name)
        return tiny()

    monkeypatch.setattr(given, "AutoModelForCausalLM", SimpleNamespace(from_pretrained=load))
    wanted = object()
    LPOTrainer("some/model", args=config(tmp_path), train_dataset=ROWS, quantization_config=wanted)
    assert asked == {"name": "some/model", "dtype": torch.float32, "quantization_config": wanted, "trust_remote_code": False}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [{"prompt": "a", "chosen": "b", "rejected": "c"}],
            "row 0 of train: .* found text in prompt, chosen, rejected; lpo_tts.token",
        ),
        (
            [ROWS[0], {"prompt_ids": "1 2", "chosen_ids": [3], "rejected_ids": [4]}],
            r"row 1 of train: prompt_ids must be token ids, found text '1 2'; lpo_tts\.tokenize_pairs\(rows, tokenizer\) makes",
        ),
        (
            [{"prompt_ids": [1], "chosen_ids": ["3"], "rejected_ids": [4]}],
            "row 0 of train: chosen_ids must be token ids, found text",
        ),
        (
            [{"prompt": [{"role": "user", "content": "x"}], "chosen": [{}], "rejected": [{}]}],
            r"found conversations in prompt, chosen, rejected; render them with tokenizer\.apply_chat_template",
        ),
        ([{"prompt_ids": [1], "answers": ["a", "b"]}], "row 0 of train: answers must be sequences of token ids, found text"),
        (
            [{"prompt_input_ids": [1], "chosen_input_ids": [1], "rejected_input_ids": [2]}],
            "row 0 of train: found the column prompt_input_ids of former TRL versions; rename it prompt_ids",
        ),
        ([{"question": [1]}], "row 0: expected a PairExample or the columns prompt_ids, chosen_ids, rejected_ids of token ids"),
    ],
)
def test_rows_that_hold_no_token_ids_say_what_to_do(rows, message, tmp_path):
    with pytest.raises(ContractError, match=message):
        LPOTrainer(tiny(), args=config(tmp_path), train_dataset=rows)


def test_data_sets_without_a_single_example_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="train data: the data set is empty, expected at least one example"):
        LPOTrainer(tiny(), args=config(tmp_path), train_dataset=[])
    with pytest.raises(ConfigError, match="eval-a data: the data set is empty"):
        LPOTrainer(tiny(), args=config(tmp_path), train_dataset=ROWS, eval_dataset={"a": []})
    short = LPOConfig(output_dir=str(tmp_path), use_cpu=True, max_answer_tokens=1)
    with pytest.raises(ConfigError, match="train data: none of 6 examples is left; raise max_answer_tokens = 1, or set too_long"):
        LPOTrainer(tiny(), args=short, train_dataset=ROWS)
    with pytest.raises(ConfigError, match=r"train data: expected one data set, found several \(train, test\); choose one"):
        LPOTrainer(tiny(), args=config(tmp_path), train_dataset={"train": ROWS, "test": ROWS})
    with pytest.raises(ConfigError, match="there is nothing to train on: train_dataset is None"):
        LPOTrainer(tiny(), args=config(tmp_path), eval_dataset=ROWS).train()


def test_known_names_pass():
    assert refuse_unknown("X", ["a", "b"], ["a", "b", "c"]) is None
