"""One candidate under one metric as an outcome, and many outcomes as one row of the results."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from lpo_tts.alignment import num_repeated
from lpo_tts.comparison.candidates import JudgedCandidate, MetricRole, was_asked
from lpo_tts.comparison.results import Bootstrap, Cell, MeanRow, RatioRow
from lpo_tts.errors import ContractError
from lpo_tts.records import Judgement
from lpo_tts.statistics import Interval, bootstrap_mean, bootstrap_wer

RUNAWAY = 0.5  # seed-tts-eval and sglang-omni set apart utterances above 50 %
EDITS = ("substitutions", "deletions", "insertions")

State = Literal["evaluated", "missing", "unscorable", "not asked", "no words"]


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
    """One outcome per candidate; missing and unscorable ones count as the metric says, kept apart by `state`.

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
    if candidate.missing or judgement.value is None:
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
    if candidate.missing:
        return "missing"
    return "unscorable" if was_asked(candidate, role.name) else "not asked"


def _edits(detail: Mapping[str, Any]) -> Edits | None:
    if any(detail.get(name) is None for name in EDITS):
        return None
    words = [str(detail.get(name) or "").split() for name in ("reference", "hypothesis")]
    return Edits(**{name: int(detail[name]) for name in EDITS}, repeated=num_repeated(*words))


def row_of(outcomes: Sequence[Outcome], role: MetricRole, bootstrap: Bootstrap) -> RatioRow | MeanRow:
    """All numbers of one system under one metric."""
    return (_ratio_row if role.is_ratio else _mean_row)(outcomes, bootstrap)


def cell_of(outcomes: Sequence[Outcome], role: MetricRole, bootstrap: Bootstrap) -> Cell:
    """The same in short."""
    counted = [one for one in outcomes if one.value is not None]
    return Cell(
        value=_corpus(counted, bootstrap) if role.is_ratio else _mean(counted, bootstrap),
        utterance=_mean(counted, bootstrap) if role.is_ratio else None,
        asked=len(outcomes),
        evaluated=sum(one.state == "evaluated" for one in outcomes),
    )


def _ratio_row(outcomes: Sequence[Outcome], bootstrap: Bootstrap) -> RatioRow:
    counted = [one for one in outcomes if one.value is not None]
    heard = [one for one in counted if one.state == "evaluated"]
    counts = _counts(outcomes)
    words_evaluated = sum(one.weight for one in heard)
    edits = [one.edits for one in heard if one.edits is not None]
    told = len(edits) == len(heard)
    sums = {name: sum(getattr(one, name) for one in edits) if told else None for name in (*EDITS, "repeated")}
    runaway = sum(one.value > RUNAWAY for one in counted if one.value is not None)
    return RatioRow(
        asked=counts["asked"],
        evaluated=counts["evaluated"],
        missing=counts["missing"],
        unscorable=counts["unscorable"],
        not_asked=counts["not_asked"],
        no_words=sum(one.state == "no words" for one in outcomes),
        wer=_corpus(counted, bootstrap),
        wer_evaluated=_corpus(heard, bootstrap),
        mean_utterance_wer=_mean(counted, bootstrap),
        mean_utterance_wer_evaluated=_mean(heard, bootstrap),
        words=sum(one.weight for one in counted),
        errors=sum(one.errors for one in counted),
        words_evaluated=words_evaluated,
        errors_evaluated=sum(one.errors for one in heard),
        substitutions=sums["substitutions"],
        deletions=sums["deletions"],
        insertions=sums["insertions"],
        repeated=sums["repeated"],
        inserted_rate=_rate(sums["insertions"], words_evaluated),
        repeated_rate=_rate(sums["repeated"], words_evaluated),
        runaway=runaway,
        runaway_rate=_rate(runaway, len(counted)),
        perfect_rate=_rate(sum(one.errors == 0 for one in counted), len(counted)),
    )


def _mean_row(outcomes: Sequence[Outcome], bootstrap: Bootstrap) -> MeanRow:
    return MeanRow(mean=_mean([one for one in outcomes if one.value is not None], bootstrap), **_counts(outcomes))


def _counts(outcomes: Sequence[Outcome]) -> dict[str, int]:
    states = [one.state for one in outcomes]
    return {
        "asked": len(states),
        "evaluated": states.count("evaluated"),
        "missing": states.count("missing"),
        "unscorable": states.count("unscorable"),
        "not_asked": states.count("not asked"),
    }


def _corpus(outcomes: Sequence[Outcome], bootstrap: Bootstrap) -> Interval | None:
    if not outcomes:
        return None
    errors, words = [one.errors for one in outcomes], [one.weight for one in outcomes]
    return bootstrap_wer(errors, words, [one.prompt_id for one in outcomes], **asdict(bootstrap))


def _mean(outcomes: Sequence[Outcome], bootstrap: Bootstrap) -> Interval | None:
    values = [one.value for one in outcomes if one.value is not None]
    if not values:
        return None
    return bootstrap_mean(values, [one.prompt_id for one in outcomes if one.value is not None], **asdict(bootstrap))


def _rate(count: float | None, total: float) -> float | None:
    return count / total if total and count is not None else None
