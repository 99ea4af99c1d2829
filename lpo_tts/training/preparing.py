"""From rows to examples: which columns make which kind, and what each example must satisfy."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from torch import Tensor

from lpo_tts.errors import ConfigError, ContractError
from lpo_tts.lm.base import SpeechLM
from lpo_tts.losses.base import Loss
from lpo_tts.training.examples import AnswerExample, Example, ListExample, PairExample, content_of
from lpo_tts.training.tokenizing import refuse_text

logger = logging.getLogger(__name__)
TooLong = Literal["drop", "error", "cut"]
PAIR = ("prompt_ids", "chosen_ids", "rejected_ids")
PAIR_TOKENS = ("chosen_weights", "rejected_weights", "chosen_importance", "rejected_importance")
ANSWER = ("prompt_ids", "answer_ids", "label")
ANSWER_TOKENS = ("answer_weights", "answer_importance")
LIST = ("prompt_ids", "answers")


def as_example(item: Any, index: int, name: str = "pair") -> Example:
    """Takes an Example, or a row of a data set with token ids under TRL's column names.

    `prompt_ids, chosen_ids, rejected_ids` make a pair (with `margins`, `aspect`, `chosen_weights`, `rejected_weights`,
    `chosen_importance`, `rejected_importance` where given), `prompt_ids, answer_ids, label` a labelled answer (with
    `answer_weights`, `answer_importance`), `prompt_ids, answers` (and `scores`) a list; each with `features` where the
    model's prompts have some. A row without `id` is called `<name>-<index>`.
    """
    if isinstance(item, Example):
        return item
    if isinstance(item, Mapping):
        named = str(item.get("id", f"{name}-{index}"))
        if all(column in item for column in PAIR):
            more = _given(item, ("margins", "aspect", "features", *PAIR_TOKENS))
            if "margins" in more:
                more["margins"] = {metric: value for metric, value in more["margins"].items() if value is not None}
            return PairExample(named, *(item[column] for column in PAIR), **more)
        if all(column in item for column in ANSWER):
            more = _given(item, ("features", *ANSWER_TOKENS))
            return AnswerExample(named, item["prompt_ids"], item["answer_ids"], bool(item["label"]), **more)
        if all(column in item for column in LIST):
            more = _given(item, ("features",))
            scores = item.get("scores")
            return ListExample(
                named, item["prompt_ids"], tuple(item["answers"]), () if scores is None else tuple(map(float, scores)), **more
            )
    found = f"columns {', '.join(map(str, item))}" if isinstance(item, Mapping) else type(item).__name__
    raise ContractError(
        f"row {index}: expected a PairExample or the columns {', '.join(PAIR)} of token ids (or {', '.join(ANSWER)}; or "
        f"{', '.join(LIST)}), found {found}"
    )


def _given(item: Mapping[str, Any], columns: Iterable[str]) -> dict[str, Any]:
    return {name: item[name] for name in columns if item.get(name) is not None}  # data sets fill up with None


def prepare_examples(
    items: Iterable[Any],
    max_answer_tokens: int | None = None,
    too_long: TooLong = "drop",
    vocab_size: int | Sequence[int] | None = None,
    name: str = "pair",
    streams: int = 1,
) -> list[Any]:
    """Checks every example; what this returns is what reference and policy alike are to see.

    Args:
        items: examples or rows (`as_example`).
        max_answer_tokens: longest answer allowed, in steps.
        too_long: what becomes of an example with a longer answer: "drop" leaves it out (counted), "error" refuses it,
            "cut" shortens the answer, which then has no end.
        vocab_size: the model's, of its one stream or of each; None skips the check of token ids.
        name: of the data, for rows without an id.
        streams: tokens that the model writes per step.

    Returns:
        The examples that are left. Those left out or cut are counted by reason in one warning: answers too long, the same
        example twice under two ids, chosen and rejected the same after the cut, all tokens cut off that weigh something.

    Raises:
        ContractError: naming the pair: empty prompt or answer, chosen equal to rejected, token id outside the
            vocabulary, another number of streams than the model's, an id that comes twice, an answer too long with
            `too_long="error"`.
    """
    vocabulary = (vocab_size,) * streams if vocab_size is None or isinstance(vocab_size, int) else tuple(vocab_size)
    kept: list[Example] = []
    ids: set[str] = set()
    contents: set[tuple[bytes, ...]] = set()
    reasons: dict[str, list[str]] = {}
    for index, item in enumerate(items):
        example = as_example(item, index, name)
        if example.id in ids:
            raise ContractError(f"pair {example.id} comes twice; give every pair an id of its own")
        ids.add(example.id)
        _check(example, vocabulary)
        longest = max(map(len, example.answers))
        if max_answer_tokens is not None and longest > max_answer_tokens:
            if too_long == "error":
                raise ContractError(
                    f"pair {example.id} has an answer of {longest} tokens, max_answer_tokens is {max_answer_tokens}"
                )
            if too_long == "drop":
                reason = f"left out: an answer is longer than max_answer_tokens = {max_answer_tokens}"
                reasons.setdefault(reason, []).append(example.id)
                continue
            factors = (one for one in (*example.weights, *example.importance) if one is not None)
            if not all(bool(one[:max_answer_tokens].any()) for one in factors):
                reason = "left out: no token that is left after the cut has a weight"
                reasons.setdefault(reason, []).append(example.id)
                continue
            example = example.with_answers([answer[:max_answer_tokens] for answer in example.answers])
            if len({answer.numpy().tobytes() for answer in example.answers}) < len(example.answers):
                reasons.setdefault("left out: two answers are the same once cut", []).append(example.id)
                continue
            reasons.setdefault(f"cut to max_answer_tokens = {max_answer_tokens}", []).append(example.id)
        content = content_of(example)
        if content in contents:
            reasons.setdefault("left out: the same pair stands there under another id", []).append(example.id)
            continue
        contents.add(content)
        kept.append(example)
    for reason, named in reasons.items():
        logger.warning("%d of %d pairs %s (first: %s)", len(named), len(ids), reason, named[0])
    return kept


def prepare_dataset(
    dataset: Sequence[Any], name: str, lm: SpeechLM, loss: Loss, *, max_answer_tokens: int | None, too_long: TooLong
) -> list[Example]:
    """A data set as examples that this model and loss can learn from (`prepare_examples`).

    Raises:
        ConfigError: several data sets, an empty one, or one of which nothing is left.
        ContractError: a row holds text, an example is unusable or of a kind the loss cannot learn from.
    """
    if isinstance(dataset, Mapping):
        raise ConfigError(f"{name} data: expected one data set, found several ({', '.join(map(str, dataset))}); choose one")
    count = 0

    def rows() -> Iterator[Any]:
        nonlocal count
        for row in dataset:
            refuse_text(row, count, name)
            count += 1
            yield row

    examples = prepare_examples(rows(), max_answer_tokens, too_long, lm.vocabulary, name, lm.streams)
    if not count:
        raise ConfigError(f"{name} data: the data set is empty, expected at least one example; pass None to do without it")
    if not examples:
        raise ConfigError(
            f"{name} data: none of {count} examples is left; raise max_answer_tokens = {max_answer_tokens}, or set too_long='cut'"
        )
    for example in examples:
        found = {AnswerExample: "unpaired", ListExample: "list"}.get(type(example), "pair")
        if found != loss.data and not (loss.data == "unpaired" and found == "pair"):  # a pair is two labelled answers
            raise ContractError(
                f"{type(loss).__name__} learns from {loss.data} data, but {example.id} is {found}; change loss or data"
            )
    return examples


def _check(example: Example, vocabulary: Sequence[int | None]) -> None:
    if isinstance(example, ListExample) and len(example.ranked) < 2:
        raise ContractError(
            f"list {example.id}: {len(example.ranked)} answers, expected at least 2, or there is no order to learn"
        )
    for name, ids in zip(("prompt_ids", *example.names), (example.prompt_ids, *example.answers), strict=True):
        if not len(ids):
            hint = "; the first answer token needs a token before it" if name == "prompt_ids" else ""
            raise ContractError(f"pair {example.id}: {name} is empty{hint}")
        _check_tokens(ids, vocabulary, f"pair {example.id}: {name}")
    twice = [content for content, count in Counter(ids.numpy().tobytes() for ids in example.answers).items() if count > 1]
    if twice and isinstance(example, PairExample):
        raise ContractError(f"pair {example.id}: chosen and rejected are the same answer, so nothing is preferred")
    if twice:
        raise ContractError(f"list {example.id}: two of its answers are the same, so their order says nothing")


def _check_tokens(ids: Tensor, vocabulary: Sequence[int | None], where: str) -> None:
    """Raises ContractError for ids, (steps, streams), outside the vocabulary, the size of each stream or None."""
    if ids.shape[1] != len(vocabulary):
        wanted = "one sequence of token ids" if len(vocabulary) == 1 else f"(steps, {len(vocabulary)}) token ids"
        raise ContractError(f"{where} must be {wanted}, found shape {tuple(ids.shape)}")
    for size, low, high in zip(vocabulary, ids.amin(0).tolist(), ids.amax(0).tolist(), strict=True):
        if size is not None and not 0 <= low <= high < size:
            raise ContractError(f"{where} holds token {high if high >= size else low}, the model's vocabulary has {size}")
