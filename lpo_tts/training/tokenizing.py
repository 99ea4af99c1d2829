"""From TRL's text columns to token ids: `tokenize_pairs`, and what rows of text are told where ids belong."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lpo_tts.errors import ContractError

logger = logging.getLogger(__name__)

TEXT = ("prompt", "chosen", "rejected")
IDS = ("prompt_ids", "chosen_ids", "rejected_ids", "answer_ids")
FORMER = {f"{name}_input_ids": f"{name}_ids" for name in TEXT}  # TRL's before its version 1
HELPER = "lpo_tts.tokenize_pairs(rows, tokenizer) makes token ids of prompt, chosen and rejected texts"


def tokenize_pairs(rows: Iterable[Mapping[str, Any]], tokenizer: Any) -> list[dict[str, Any]]:
    """Rows of TRL's text format as rows of token ids, the same ids that TRL's DPOTrainer trains on.

    The tokenizer's end token is appended to an answer that does not end with it. Prompt and answer are tokenized
    together; the answer begins where the ids part from those of the prompt alone. Where tokens merge across that
    border, the end of the prompt is left out as in TRL, and such rows are counted in a warning.

    The answers of a codec language model are better taken as the ids it sampled: text tokenized again need not give the
    tokens that the model emitted.

    Args:
        rows: `prompt`, `chosen`, `rejected` of text. Other columns (`id`, `margins`, ...) are kept as they are.
        tokenizer: of transformers, with an end token.

    Returns:
        Rows with `prompt_ids`, `chosen_ids`, `rejected_ids` (lists of int) in place of the three texts.

    Raises:
        ContractError: a row lacks one of the columns or holds no text in it (a conversation, say), or the tokenizer has
            no end token.
    """
    end = getattr(tokenizer, "eos_token", None)
    if not end:
        raise ContractError(
            f"tokenize_pairs appends the tokenizer's end token, but this {type(tokenizer).__name__} has none; set its eos_token"
        )
    made, merged = [], []
    for index, row in enumerate(rows):
        prompt, *answers = (_text(row, column, index) for column in TEXT)
        alone = list(tokenizer(prompt)["input_ids"])
        whole = [list(tokenizer(prompt + (a if a.endswith(end) else a + end))["input_ids"]) for a in answers]
        border = min(_common(alone, ids) for ids in whole)
        if border < len(alone):
            merged.append(index)
        ids = [alone[:border], *(answer[border:] for answer in whole)]
        kept = {name: value for name, value in row.items() if name not in TEXT}
        made.append({**kept, **{f"{name}_ids": one for name, one in zip(TEXT, ids, strict=True)}})
    if merged:
        logger.warning(
            "in %d of %d rows (first: row %d) the end of the prompt is tokenized otherwise once an answer follows, and is left "
            "out; end prompts where a token ends",
            len(merged),
            len(made),
            merged[0],
        )
    return made


def _text(row: Any, column: str, index: int) -> str:
    if not isinstance(row, Mapping) or column not in row:
        found = f"columns {', '.join(map(str, row))}" if isinstance(row, Mapping) else type(row).__name__
        raise ContractError(f"row {index}: expected the columns {', '.join(TEXT)} of text, found {found}")
    value = row[column]
    if isinstance(value, str):
        return value
    if _is_conversation(value):
        raise ContractError(
            f"row {index}: {column} is a conversation, and only plain text is taken; render it first with "
            "tokenizer.apply_chat_template(messages, tokenize=False)"
        )
    raise ContractError(f"row {index}: {column} must be text, found {type(value).__name__}")


def _is_conversation(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and any(isinstance(one, Mapping) for one in value)


def _common(ids: Sequence[int], others: Sequence[int]) -> int:
    """How many leading tokens two sequences share."""
    return next((i for i, (one, other) in enumerate(zip(ids, others, strict=False)) if one != other), min(len(ids), len(others)))


def refuse_text(row: Any, index: int, name: str) -> None:
    """Raises ContractError, with what to do, for a row that holds text where token ids belong.

    Args:
        row: of a data set, or anything else, which passes.
        index: of the row.
        name: of the data set.
    """
    if not isinstance(row, Mapping):
        return
    where = f"row {index} of {name}"
    for column in IDS:
        if _holds_text(row.get(column)):
            raise ContractError(f"{where}: {column} must be token ids, found text {str(row[column])[:40]!r}; {HELPER}")
    if any(_holds_text(answer) for answer in row.get("answers") or ()):
        raise ContractError(f"{where}: answers must be sequences of token ids, found text; tokenize them first")
    former = [column for column in FORMER if column in row]
    if former:
        raise ContractError(f"{where}: found the column {former[0]} of former TRL versions; rename it {FORMER[former[0]]}")
    texts = [column for column in TEXT if column in row]
    if texts and not any(column in row for column in IDS):
        what = "conversations" if any(_is_conversation(row[column]) for column in texts) else "text"
        hint = "render them with tokenizer.apply_chat_template(..., tokenize=False), then " if what == "conversations" else ""
        raise ContractError(f"{where}: expected columns of token ids, found {what} in {', '.join(texts)}; {hint}{HELPER}")


def _holds_text(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list | tuple) and len(value) > 0 and isinstance(value[0], str))
