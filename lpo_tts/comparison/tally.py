"""One candidate under one metric as an outcome: what it counts as, and what is told of its errors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lpo_tts.alignment import num_repeated
from lpo_tts.comparison.candidates import JudgedCandidate, MetricRole, was_asked
from lpo_tts.comparison.figures import EDITS
from lpo_tts.errors import ContractError
from lpo_tts.records import Judgement

State = Literal["evaluated", "missing", "unreadable", "unscorable", "not asked", "no words"]


@dataclass(frozen=True, kw_only=True)
class Edits:
    """Where the errors of a recogniser's hypothesis lie."""

    substitutions: int
    deletions: int
    insertions: int
    repeated: int


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one metric makes of one candidate.

    `errors` are value x weight: what a ratio sums up. For a candidate that counts though it has no value, they are
    `missing` x weight. `value` is None where the candidate does not count.
    """

    prompt_id: str
    state: State
    value: float | None
    weight: float = 1
    errors: float = 0
    edits: Edits | None = None


def whole(number: float) -> float:
    """A whole number where only the division that made the value lies between: 3 / 7 * 7 is 3."""
    near = round(number)
    return near if abs(number - near) <= 1e-9 * max(1.0, abs(number)) else number


def outcomes_of(candidates: Sequence[JudgedCandidate], role: MetricRole, weights: Mapping[str, float]) -> list[Outcome]:
    """One outcome per candidate; those without a value count as the metric says, kept apart by `state`.

    Args:
        candidates: of one system.
        role: the metric.
        weights: text -> what it weighs, for candidates whose judgement does not say.

    Raises:
        ContractError: nobody says what a text weighs.
    """
    return [_outcome(one, role, weights) for one in candidates]


def weights_of(candidates: Sequence[JudgedCandidate], metric: str) -> dict[str, float]:
    """What each text weighs, by the judgements of this metric."""
    known: dict[str, float] = {}
    for one in candidates:
        judgement = one.judgements.get(metric)
        if judgement is not None and judgement.weight is not None:
            known.setdefault(one.text, whole(judgement.weight))
    return known


def _outcome(candidate: JudgedCandidate, role: MetricRole, weights: Mapping[str, float]) -> Outcome:
    judgement = candidate.judgements.get(role.name, Judgement(value=None))
    weight = _weight(candidate, role, judgement, weights) if role.is_ratio else 1
    if weight == 0:
        return Outcome(prompt_id=candidate.prompt_id, state="no words", value=None, weight=0)
    if not candidate.has_audio or judgement.value is None:
        state = _absence(candidate, role)
        value = None if state == "not asked" else role.missing
        errors = 0 if value is None else whole(value * weight)
        return Outcome(prompt_id=candidate.prompt_id, state=state, value=value, weight=weight, errors=errors)
    errors = whole(judgement.value * weight)
    return Outcome(
        prompt_id=candidate.prompt_id,
        state="evaluated",
        value=errors / weight if role.is_ratio else judgement.value,
        weight=weight,
        errors=errors,
        edits=_edits(judgement.detail),
    )


def _weight(candidate: JudgedCandidate, role: MetricRole, judgement: Judgement, weights: Mapping[str, float]) -> float:
    weight = judgement.weight if judgement.weight is not None else weights.get(candidate.text)
    if weight is None:
        raise ContractError(
            f"report: nobody says how many {role.counts}s {role.name!r} counts in {candidate.text!r} (prompt "
            f"{candidate.prompt_id!r} of {candidate.system!r}); give its judgement a weight"
        )
    return whole(weight)


def _absence(candidate: JudgedCandidate, role: MetricRole) -> State:
    if not candidate.has_audio:
        return "unreadable" if candidate.unreadable else "missing"
    return "unscorable" if was_asked(candidate, role.name) else "not asked"


def _edits(detail: Mapping[str, Any]) -> Edits | None:
    if any(detail.get(name) is None for name in EDITS):
        return None
    words = [str(detail.get(name) or "").split() for name in ("reference", "hypothesis")]
    return Edits(**{name: int(detail[name]) for name in EDITS}, repeated=num_repeated(*words))
