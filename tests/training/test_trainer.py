"""The trainer: exact resume, what it logs, what it refuses."""

import dataclasses
import json
import logging

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, TrainerCallback

from lpo_tts.errors import ArtefactError, ConfigError, ContractError, TrainingError
from lpo_tts.losses.dpo import DPO
from lpo_tts.losses.lpo import LPOSTE
from lpo_tts.losses.sft import SFT
from lpo_tts.training.examples import PairExample
from lpo_tts.training.reference import compute_reference
from lpo_tts.training.run import TrainSettings, train
from lpo_tts.training.trainer import LPOConfig, LPOTrainer

VOCABULARY = 40
SETTINGS = TrainSettings(
    epochs=2, batch_size=4, learning_rate=1e-2, precision="fp32", average_from=0.3, save_steps=4, eval_steps=4, threads=1
)
QUICK = dataclasses.replace(SETTINGS, epochs=1, average_from=None, save_steps=1000)


def tiny():
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=128,
            tie_word_embeddings=True,
            attention_dropout=0.1,
        )
    )


def make_pairs(count, seed=0, prefix="p"):
    generator = torch.Generator().manual_seed(seed)

    def ids(low, high):
        return torch.randint(0, VOCABULARY, (int(torch.randint(low, high, (1,), generator=generator)),), generator=generator)

    return [PairExample(f"{prefix}{i}", ids(2, 6), ids(3, 9), ids(3, 9)) for i in range(count)]


PAIRS, DEV = make_pairs(15), make_pairs(5, 1, "d")


def rows_of(folder):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k != "tokens_per_second"} for row in rows]


class Interrupt(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == 6:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_interrupted_and_resumed_equals_uninterrupted(tmp_path, monkeypatch):
    settings = dataclasses.replace(SETTINGS, logging_steps=3)  # so that a checkpoint falls between two rows
    whole = tmp_path / "whole"
    first = train(tiny(), PAIRS, LPOSTE(), settings, whole, DEV)
    assert first["steps"] == 8

    torn = tmp_path / "torn"
    init = LPOTrainer.__init__

    def with_interrupt(self, *args, **kwargs):
        kwargs["callbacks"] = [*(kwargs.get("callbacks") or []), Interrupt()]
        init(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(LPOTrainer, "__init__", with_interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(tiny(), PAIRS, LPOSTE(), settings, torn, DEV)
    assert not (torn / "final").exists()
    with (torn / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "lo')  # torn by the interruption
    (torn / "checkpoint-6").mkdir()  # and so is this checkpoint
    torch.manual_seed(123)
    second = train(tiny(), PAIRS, LPOSTE(), settings, torn, DEV)
    assert second["resumed_from"].endswith("checkpoint-4")

    assert rows_of(torn) == rows_of(whole)
    assert second["dev"] == first["dev"]
    for name in ("final/model.safetensors", "checkpoint-8/average.safetensors", "checkpoint-8/model.safetensors"):
        assert (torn / name).read_bytes() == (whole / name).read_bytes(), name
    assert (whole / "final/model.safetensors").read_bytes() != (whole / "checkpoint-8/model.safetensors").read_bytes()


def test_what_is_logged_and_saved(tmp_path):
    model = tiny()
    summary = train(model, PAIRS, LPOSTE(), dataclasses.replace(SETTINGS, average_from=None), tmp_path, DEV)
    first, *rest = rows_of(tmp_path)
    assert first["step"] == 1
    assert first["loss"] == pytest.approx(2, abs=1e-4)
    assert first["loss/preference"] + first["loss/floor"] == pytest.approx(first["loss"])
    for key in ("rewards/chosen", "rewards/rejected", "rewards/margins", "log_ratios/chosen", "log_ratios/rejected", "overshoot"):
        assert first[key] == pytest.approx(0, abs=1e-6), key
    assert first["logps/chosen"] < -5
    assert first["grad_norm"] > 0
    assert 0 <= first["chosen_below_reference"] <= 1
    last = rest[-2]  # then comes the evaluation
    assert last["rewards/accuracies"] > 0.5
    assert last["log_ratios/chosen"] > 0 > last["log_ratios/rejected"]
    assert rest[-1]["eval_loss"] == summary["dev"]["loss"]
    assert summary["train_pairs"] == 15
    loaded = LlamaForCausalLM.from_pretrained(tmp_path / "final")
    assert torch.equal(loaded.model.embed_tokens.weight, model.model.embed_tokens.weight)
    assert (tmp_path / "reference.safetensors").exists()


def test_losses_without_reference_need_none(tmp_path):
    train(tiny(), PAIRS, SFT(), dataclasses.replace(QUICK, epochs=4), tmp_path)
    losses = [row["loss"] for row in rows_of(tmp_path)]
    assert sum(losses[-4:]) < sum(losses[:4]) - 0.1
    assert "log_ratios/chosen" not in rows_of(tmp_path)[0]
    assert not (tmp_path / "reference.safetensors").exists()


def test_gradient_accumulation_gives_the_step_of_the_whole_batch(tmp_path):
    settings = dataclasses.replace(QUICK, batch_size=12, epochs=2, learning_rate=1e-3)
    one, two = tiny(), tiny()
    train(one, PAIRS[:12], LPOSTE(), settings, tmp_path / "one")
    train(two, PAIRS[:12], LPOSTE(), dataclasses.replace(settings, micro_batch_size=6), tmp_path / "two")
    for expected, found in zip(rows_of(tmp_path / "one"), rows_of(tmp_path / "two"), strict=True):
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-4)
    assert torch.allclose(one.lm_head.weight, two.lm_head.weight, atol=1e-4)


def test_reference_of_another_model_is_refused_at_the_first_batch(tmp_path):
    other = tiny()
    with torch.no_grad():
        other.model.embed_tokens.weight.mul_(3)
    reference = compute_reference(other, PAIRS)
    message = r"policy and reference must agree .* nats per token on pair p\d+ \(at most 0.001 with fp32\)"
    with pytest.raises(TrainingError, match=message):
        train(tiny(), PAIRS, LPOSTE(), QUICK, tmp_path, reference=reference)
    args = QUICK.config(tmp_path, evaluate=False)
    args.check_reference = False
    LPOTrainer(tiny(), args=args, train_dataset=PAIRS, reference_logps=reference).train()


def test_reference_must_cover_the_pairs(tmp_path):
    reference = compute_reference(tiny(), PAIRS[:10])
    with pytest.raises(ContractError, match="no reference log-probs for pair p10"):
        train(tiny(), PAIRS, LPOSTE(), QUICK, tmp_path, reference=reference)
    other = [*PAIRS[:9], PairExample("p9", [1], [2, 3, 4, 5, 6, 7, 8, 9, 10], [4])]
    with pytest.raises(ContractError, match="pair p9 has answers of 9 and 1 tokens, the reference log-probs are of"):
        train(tiny(), other, LPOSTE(), QUICK, tmp_path, reference=reference)


def test_non_finite_loss_names_the_pairs(tmp_path):
    reference = compute_reference(tiny(), PAIRS)
    reference.total[reference.ids.index("p7") * 2] = float("inf")  # its chosen answer
    with pytest.raises(TrainingError, match=r"step \d: the loss is not finite for pairs p7; look at these pairs"):
        train(tiny(), PAIRS, DPO(), QUICK, tmp_path, reference=reference)


def test_a_run_folder_of_other_settings_is_refused(tmp_path):
    settings = dataclasses.replace(QUICK, average_from=0.3)
    train(tiny(), PAIRS, LPOSTE(), settings, tmp_path)
    with pytest.raises(ArtefactError, match=r"another run \(loss.r2: 0.2 -> 0.4; settings.learning_rate: 0.01 -> 0.02\)"):
        train(tiny(), PAIRS, LPOSTE(r2=0.4), dataclasses.replace(settings, learning_rate=0.02), tmp_path)
    with pytest.raises(ArtefactError, match="already holds checkpoint-4; resume it"):
        train(tiny(), PAIRS, LPOSTE(), settings, tmp_path, resume=False)


def test_drift_is_warned_of(tmp_path, caplog):
    settings = dataclasses.replace(QUICK, epochs=6)
    with caplog.at_level(logging.WARNING):
        train(tiny(), PAIRS, LPOSTE(margin=0.05, gamma=0, r2=5), settings, tmp_path)
    assert "% of the pairs are beyond the target margin" in caplog.text


def test_bf16_on_the_cpu_passes_the_first_batch_check(tmp_path):
    settings = dataclasses.replace(QUICK, precision="bf16", attention="eager")
    train(tiny(), PAIRS, LPOSTE(), settings, tmp_path, DEV)
    assert rows_of(tmp_path)[0]["loss"] == pytest.approx(2, abs=0.02)


def test_dataset_with_columns_and_named_loss(tmp_path):
    rows = [{"prompt_ids": [1, 2], "chosen_ids": [3, 4, i], "rejected_ids": [5, i]} for i in range(6)]
    trainer = LPOTrainer(
        tiny(),
        args=LPOConfig(output_dir=str(tmp_path), use_cpu=True, max_steps=2, save_strategy="no", per_device_train_batch_size=3),
        train_dataset=rows,
        eval_dataset={"a": rows[:2], "b": rows[2:]},
        loss="dpo",
    )
    trainer.train()
    assert {"eval_a_loss", "eval_b_rewards/margins"} <= trainer.evaluate().keys()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schedule": "steps"}, "train.schedule = 'steps' is none of cosine, linear, constant"),
        ({"average_from": 1.5}, "train.average_from must be at least 0 and at most 0.99, found 1.5"),
        ({"micro_batch_size": 3}, "does not divide batch_size = 4"),
        ({"learning_rate": 0}, "train.learning_rate must be above 0"),
    ],
)
def test_settings_out_of_range_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(SETTINGS, **changes)


@pytest.mark.slow
def test_gradient_checkpointing_changes_nothing(tmp_path):
    """Layers are computed again in the backward pass, with the same packed layout."""
    train(tiny(), PAIRS, LPOSTE(), QUICK, tmp_path / "kept")
    train(tiny(), PAIRS, LPOSTE(), dataclasses.replace(QUICK, gradient_checkpointing=True), tmp_path / "again")
    assert rows_of(tmp_path / "again") == rows_of(tmp_path / "kept")
