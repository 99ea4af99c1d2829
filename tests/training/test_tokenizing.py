"""TRL's text columns become the very ids that TRL trains on."""

import logging
from types import SimpleNamespace

import pytest
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast
from trl import DPOTrainer

import lpo_tts
from lpo_tts.errors import ContractError
from lpo_tts.training.tokenizing import tokenize_pairs

TEXTS = ["say: ", "<c1><c22>", "<c3>", "hello there", "</s>"]


def make_tokenizer(begin=False, end="</s>"):
    """A byte-pair tokenizer whose tokens merge across the border of a prompt."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    specials = ["<s>", "</s>"]
    core.train_from_iterator([*TEXTS, "lo the lo the"], trainers.BpeTrainer(vocab_size=300, special_tokens=specials))
    if begin:
        core.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", core.token_to_id("<s>"))])
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", **({"eos_token": end} if end else {}))


ROWS = [
    {"prompt": "say: ", "chosen": "<c1><c22>", "rejected": "<c3>"},
    {"prompt": "hello", "chosen": " there", "rejected": " <c3></s>"},
    {"prompt": "hello th", "chosen": "ere", "rejected": "e <c1>"},
    {"prompt": "lo the", "chosen": "lo", "rejected": "re"},
]


@pytest.mark.parametrize("begin", [False, True])
def test_the_ids_are_those_of_trl(begin):
    tokenizer = make_tokenizer(begin)
    theirs = DPOTrainer._prepare_dataset(
        SimpleNamespace(_tokenizer=tokenizer),
        Dataset.from_list(ROWS),
        tokenizer,
        SimpleNamespace(dataset_num_proc=None, max_length=None, truncation_mode="keep_start"),
        "train",
    )
    ours = tokenize_pairs(ROWS, tokenizer)
    assert len(ours) == len(theirs) == 4
    for mine, their in zip(ours, theirs, strict=True):
        assert mine == {name: their[name] for name in ("prompt_ids", "chosen_ids", "rejected_ids")}
        assert mine["chosen_ids"][-1] == mine["rejected_ids"][-1] == tokenizer.eos_token_id
    assert ours[1]["rejected_ids"].count(tokenizer.eos_token_id) == 1


def test_merged_borders_are_counted(caplog):
    with caplog.at_level(logging.WARNING):
        tokenize_pairs(ROWS[:1], make_tokenizer())
        assert caplog.text == ""
        made = tokenize_pairs(ROWS, make_tokenizer())
    assert "in 2 of 4 rows (first: row 2) the end of the prompt is tokenized otherwise once an answer follows" in caplog.text
    assert len(made) == 4


def test_other_columns_are_kept_and_the_row_given_is_not_changed():
    row = {**ROWS[0], "id": "u1", "margins": {"wer": 0.2}}
    [made] = lpo_tts.tokenize_pairs([row], make_tokenizer())
    assert list(made) == ["id", "margins", "prompt_ids", "chosen_ids", "rejected_ids"]
    assert row["prompt"] == "say: "


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"prompt": "a", "chosen": "b"},
            "row 1: expected the columns prompt, chosen, rejected of text, found columns prompt, chosen",
        ),
        ("text", "row 1: expected the columns prompt, chosen, rejected of text, found str"),
        ({**ROWS[0], "chosen": 3}, "row 1: chosen must be text, found int"),
        (
            {**ROWS[0], "prompt": [{"role": "user", "content": "a"}]},
            r"row 1: prompt is a conversation, and only plain text is taken; render it first with tokenizer\.apply_chat_template",
        ),
    ],
)
def test_rows_without_text_are_refused_by_number(row, message):
    with pytest.raises(ContractError, match=message):
        tokenize_pairs([ROWS[0], row], make_tokenizer())


def test_a_tokenizer_without_an_end_token_is_refused():
    with pytest.raises(ContractError, match=r"appends the tokenizer's end token, but this \w+ has none; set its eos_token"):
        tokenize_pairs(ROWS, make_tokenizer(end=None))
