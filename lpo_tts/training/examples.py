"""What is learnt from, as token ids: pairs, labelled answers, ranked lists."""

import functools
import hashlib
import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from lpo_tts.errors import ContractError
from lpo_tts.lm.base import prompt_key

logger = logging.getLogger(__name__)
Kind = TypeVar("Kind", bound="Example")


@dataclass(frozen=True, eq=False)
class Example(ABC):
    """A prompt and answers to it, exactly as the model emitted them: (steps, streams) int64 each, or what turns into it.

    One sequence of ids becomes (steps, 1). An answer that did not end by itself has no end token; none is added here.

    Attributes:
        id: names the example.
        prompt_ids: tokens of the prompt.
        features: what the prompt holds beside tokens, by name (`PromptInputs.features`).
    """

    id: str
    prompt_ids: Tensor
    features: Mapping[str, Tensor] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "prompt_ids", _ids(self.prompt_ids, self.id, "prompt_ids"))
        object.__setattr__(self, "features", {name: torch.as_tensor(value) for name, value in self.features.items()})

    @functools.cached_property
    def prompt_key(self) -> bytes:
        """Equal for two examples exactly when they have the same prompt, features included."""
        return prompt_key(self.prompt_ids, self.features)

    @property
    @abstractmethod
    def answers(self) -> tuple[Tensor, ...]:
        """All answers; the chosen one of a pair first, a list from best to worst."""

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """What messages call the answers."""

    @property
    def weights(self) -> tuple[Tensor | None, ...]:
        """Per answer, (steps, streams) weights of its tokens, or None: all 1."""
        return (None,) * len(self.answers)

    @property
    def importance(self) -> tuple[Tensor | None, ...]:
        """Per answer, (steps, streams) importance of its tokens, or None: all 1."""
        return (None,) * len(self.answers)

    @property
    def num_tokens(self) -> int:
        """Steps of the longest sequence, prompt included."""
        return len(self.prompt_ids) + max(map(len, self.answers))

    @abstractmethod
    def with_answers(self: Kind, answers: Sequence[Tensor]) -> Kind:
        """The same example with other answers."""

    def unweighted(self: Kind) -> Kind:
        """The same example with all tokens alike."""
        named = [one.name for one in fields(self) if one.name.endswith(("_weights", "_importance"))]
        return replace(self, **dict.fromkeys(named))


@dataclass(frozen=True, eq=False)
class PairExample(Example):
    """One preference pair.

    Attributes:
        margins: per metric, by how much the chosen answer is better; read by losses that weigh pairs.
        aspect: in what the two answers differ, "content" or "style"; read by the decoupled loss.
        chosen_weights, rejected_weights: float weights of the answers' tokens, in the shape of the ids; 0 leaves a token
            out, None counts every token once. Only the tokens of a faulty segment, say (FPO, arXiv 2502.02950). They weigh
            log-probs: the log-ratio of an answer is that of its weighted tokens. Entries that the pattern of a model with
            several streams fixes are never counted.
        chosen_importance, rejected_importance: float factors of the tokens' own costs, likewise, for losses that have a
            cost for every token (TKTO, see `losses.tkto.token_weights`); the log-ratios stay as they are. None: all 1.
    """

    chosen_ids: Tensor
    rejected_ids: Tensor
    margins: Mapping[str, float] = field(default_factory=dict)
    aspect: str = ""
    chosen_weights: Tensor | None = None
    rejected_weights: Tensor | None = None
    chosen_importance: Tensor | None = None
    rejected_importance: Tensor | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("chosen", "rejected"):
            _check_answer(self, name)

    @property
    def answers(self) -> tuple[Tensor, ...]:
        """Chosen, rejected."""
        return self.chosen_ids, self.rejected_ids

    @property
    def names(self) -> tuple[str, ...]:
        """The two columns."""
        return "chosen_ids", "rejected_ids"

    @property
    def weights(self) -> tuple[Tensor | None, ...]:
        """Token weights of chosen and rejected."""
        return self.chosen_weights, self.rejected_weights

    @property
    def importance(self) -> tuple[Tensor | None, ...]:
        """Token importance of chosen and rejected."""
        return self.chosen_importance, self.rejected_importance

    def with_answers(self, answers: Sequence[Tensor]) -> "PairExample":
        """The same pair with cut answers, weights and importance cut alike."""
        weights, importance = _cut(self.weights, answers), _cut(self.importance, answers)
        return replace(
            self,
            chosen_ids=answers[0],
            rejected_ids=answers[1],
            chosen_weights=weights[0],
            rejected_weights=weights[1],
            chosen_importance=importance[0],
            rejected_importance=importance[1],
        )


@dataclass(frozen=True, eq=False)
class AnswerExample(Example):
    """One answer with a label, for unpaired losses (KTO).

    `answer_weights` and `answer_importance` are of its tokens, as those of a PairExample's answers.
    """

    answer_ids: Tensor
    desirable: bool
    answer_weights: Tensor | None = None
    answer_importance: Tensor | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_answer(self, "answer")

    @property
    def answers(self) -> tuple[Tensor, ...]:
        """The one answer."""
        return (self.answer_ids,)

    @property
    def names(self) -> tuple[str, ...]:
        """The column."""
        return ("answer_ids",)

    @property
    def weights(self) -> tuple[Tensor | None, ...]:
        """Token weights of the one answer."""
        return (self.answer_weights,)

    @property
    def importance(self) -> tuple[Tensor | None, ...]:
        """Token importance of the one answer."""
        return (self.answer_importance,)

    def with_answers(self, answers: Sequence[Tensor]) -> "AnswerExample":
        """The same label on a cut answer, weights and importance cut alike."""
        weights, importance = _cut(self.weights, answers), _cut(self.importance, answers)
        return replace(self, answer_ids=answers[0], answer_weights=weights[0], answer_importance=importance[0])


@dataclass(frozen=True, eq=False)
class ListExample(Example):
    """Several answers from best to worst, for listwise losses; `scores`, higher is better, one per answer or empty."""

    ranked: tuple[Tensor, ...]
    scores: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        ranked = tuple(_ids(ids, self.id, f"answers[{i}]") for i, ids in enumerate(self.ranked))
        object.__setattr__(self, "ranked", ranked)
        if self.scores and len(self.scores) != len(ranked):
            raise ContractError(f"list {self.id}: {len(ranked)} answers, but {len(self.scores)} scores; give one per answer")
        falling = all(before >= after for before, after in zip(self.scores, self.scores[1:], strict=False))
        if not falling or any(score != score for score in self.scores):  # nan has no place in an order
            raise ContractError(f"list {self.id}: answers must stand from best to worst, found scores {list(self.scores)}")

    @property
    def answers(self) -> tuple[Tensor, ...]:
        """All, best first."""
        return self.ranked

    @property
    def names(self) -> tuple[str, ...]:
        """The column, numbered."""
        return tuple(f"answers[{i}]" for i in range(len(self.ranked)))

    def with_answers(self, answers: Sequence[Tensor]) -> "ListExample":
        """The same ranks on cut answers."""
        return replace(self, ranked=tuple(answers))


def _ids(value: Any, example: str, name: str) -> Tensor:
    found = torch.as_tensor(value)
    ids = found.to(torch.int64)
    if found.is_floating_point() and not torch.equal(ids.to(found), found):
        raise ContractError(f"pair {example}: {name} must be whole numbers, found {found.tolist()[:8]}")
    if ids.dim() not in (1, 2):
        raise ContractError(f"pair {example}: {name} must be (steps, streams) token ids, found shape {tuple(ids.shape)}")
    return ids.unsqueeze(-1) if ids.dim() == 1 else ids


def _check_answer(example: PairExample | AnswerExample, name: str) -> None:
    """Makes tensors of an answer's ids and of what its tokens weigh; raises ContractError where they do not fit."""
    ids = _ids(getattr(example, f"{name}_ids"), example.id, f"{name}_ids")
    object.__setattr__(example, f"{name}_ids", ids)
    for column in (f"{name}_weights", f"{name}_importance"):
        values = getattr(example, column)
        if values is None:
            continue
        values = torch.as_tensor(values, dtype=torch.float32)
        values = values.unsqueeze(-1) if values.dim() == 1 else values
        if values.shape != ids.shape or not bool((values >= 0).all()) or not 0 < float(values.sum()) < math.inf:
            raise ContractError(
                f"pair {example.id}: {column} must be one finite number >= 0 per token, some above 0: "
                f"expected {_times(_shape(ids))}, found shape {_shape(values)} with sum {float(values.sum()):g}"
            )
        object.__setattr__(example, column, values)


def _shape(values: Tensor) -> tuple[int, ...]:
    """As users of models with one stream write it."""
    return tuple(values.shape[:1] if values.dim() == 2 and values.shape[1] == 1 else values.shape)


def _times(sizes: Sequence[int]) -> str:
    return " x ".join(map(str, sizes))


def _cut(values: Sequence[Tensor | None], answers: Sequence[Tensor]) -> list[Tensor | None]:
    return [None if one is None else one[: len(answer)] for one, answer in zip(values, answers, strict=True)]


def same_example(one: Example, other: Example) -> bool:
    """Whether two examples have the same tokens."""
    return one is other or content_of(one) == content_of(other)


def content_of(example: Example) -> tuple[bytes, ...]:
    """Equal for two examples exactly when they have the same label, prompt and answers, whatever their ids."""
    label = b"" if not isinstance(example, AnswerExample) else bytes([example.desirable])
    return label, example.prompt_key, *(ids.numpy().tobytes() for ids in example.answers)


def mismatched(examples: Sequence[Example]) -> dict[str, Example]:
    """For every example (by id) its prompt with as many answers to other prompts, as KTO's reference point needs.

    All answers take part, with their token weights: of pairs the rejected as well as the chosen. As far as the largest
    prompt's share allows, each is used once. Which answer goes where depends on the examples alone, not on their order,
    so that its reference log-probs can be kept.

    Args:
        examples: pairs or labelled answers.

    Returns:
        Pairs for pairs, labelled answers for labelled answers; which answer is called chosen means nothing there.

    Raises:
        ContractError: all examples have one prompt.
    """
    groups: dict[bytes, list[Example]] = {}
    for example in sorted(examples, key=lambda example: example.id):
        groups.setdefault(example.prompt_key, []).append(example)
    if len(groups) < 2:
        raise ContractError("KTO compares answers with those to other prompts, but all examples have the same prompt")
    order = [example for group in sorted(groups.values(), key=_num_answers, reverse=True) for example in group]
    rows = [row for example in order for row in zip(example.answers, example.weights, strict=True)]
    # A prompt's answers stand together, the largest prompt first: a shift by its size leaves no answer at its own prompt.
    step = max(map(_num_answers, groups.values()))
    others = (rows[step + i % (len(rows) - step) if i < step else (i + step) % len(rows)] for i in range(len(rows)))
    return {example.id: _exchanged(example, [next(others) for _ in example.answers]) for example in order}


def _num_answers(examples: Iterable[Example]) -> int:
    return sum(len(example.answers) for example in examples)


def _exchanged(example: Example, rows: Sequence[tuple[Tensor, Tensor | None]]) -> Example:
    answers, weights = zip(*rows, strict=True)
    name, prompt, features = f"{example.id}~", example.prompt_ids, example.features
    if len(rows) == 1:
        return AnswerExample(name, prompt, answers[0], False, answer_weights=weights[0], features=features)
    return PairExample(name, prompt, *answers, chosen_weights=weights[0], rejected_weights=weights[1], features=features)


def _bytes(ids: Tensor) -> bytes:
    return ids.numpy().tobytes()


def data_hash(examples: Sequence[Example], *, whole: bool = False) -> str:
    """sha-256 over ids and token ids, whatever the order of examples; with `whole`, over all that stands beside them too."""
    digest = hashlib.sha256()
    for example in sorted(examples, key=lambda example: example.id):
        for contents, length in ((example.prompt_key, len(example.prompt_ids)), *((_bytes(a), len(a)) for a in example.answers)):
            digest.update(f"{example.id}\0{length}\0".encode() + contents)
        if whole:
            for weights in example.weights:
                digest.update(b"-" if weights is None else weights.numpy().tobytes())
            for number, importance in enumerate(example.importance):
                if importance is not None:
                    digest.update(f"importance {number}\0".encode() + importance.numpy().tobytes())
            facts = [getattr(example, name, None) for name in ("aspect", "desirable", "scores")]
            digest.update(repr((sorted(dict(getattr(example, "margins", {})).items()), facts)).encode())
    return digest.hexdigest()
