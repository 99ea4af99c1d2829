"""The filter that all pair rules share: gap, floors, length, reuse, pairs per prompt; every drop counted with its reason."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lpo_tts.bounds import Range, at_least, check_settings
from lpo_tts.errors import ConfigError
from lpo_tts.records import Candidate, LabelledCandidate, Preference, PreferencePair, RankedList, Split
from lpo_tts.rules.base import Dropped, Found, Label, Pair, Ranking, Rule, Scored, detail_metrics_of, members

NO_GAP = 1e-9  # ours: two scores that differ by less are equal, whatever `min_gap` allows, and so are a gap and `min_gap`


Values = Mapping[str, Mapping[str, float | None]]
"""Metric -> candidate id -> value; None = unscorable."""
Details = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Metric -> candidate id -> what its value rests on."""


@dataclass(frozen=True)
class Limits:
    """What of a rule's finds is kept. Of a ranked list, the best counts as chosen, the others as rejected.

    Attributes:
        min_gap: smallest gap between chosen and rejected: the difference in the rule's first metric, or what the rule
            measures in its place. Without any difference nothing is kept, even at 0.
        max_chosen: absolute floor of quality: the chosen one's error is at most this; None = any.
        min_rejected: the rejected one's error is at least this; None = any.
        floors: metric -> the worst value that the chosen one may have in it: at least this where more is better, else at
            most. The metric need not be one of the rule's. A recording of the text passes.
        pairs_per_prompt: at most so many pairs of one prompt (or lists, or candidates of each label).
        max_uses: in how many pairs of its prompt a candidate may stand; a recording may be chosen in any number.
        max_length_ratio: a rejected candidate may be at most so many times as long as the chosen one; None = any.
        min_duration: shortest candidate on either side, in seconds of its frames; None = any.
        max_duration: longest candidate on either side, in seconds of its frames; None = any.
        all_scored: whether a prompt gives nothing where one of its candidates could not be scored by all of the rule's
            metrics; else that candidate alone is left out.
    """

    min_gap: float = 0.06
    max_chosen: float | None = None
    min_rejected: float | None = None
    floors: dict[str, float] = field(default_factory=dict)
    pairs_per_prompt: int = 1
    max_uses: int = 1
    max_length_ratio: float | None = None
    min_duration: float | None = None
    max_duration: float | None = None
    all_scored: bool = False

    bounds = {
        "min_gap": at_least(0),
        "max_chosen": Range(),
        "min_rejected": Range(),
        "floors": Range(),
        "pairs_per_prompt": at_least(1),
        "max_uses": at_least(1),
        "max_length_ratio": at_least(1),
        "min_duration": at_least(0),
        "max_duration": at_least(0),
    }

    def __post_init__(self) -> None:
        check_settings(self, "")
        low, high = self.min_duration, self.max_duration
        if low is not None and high is not None and low > high:
            raise ConfigError(f"min_duration must be at most max_duration, found {low:g} and {high:g}")

    @property
    def needs_durations(self) -> bool:
        """Whether the frame rate of the candidates must be known."""
        return self.min_duration is not None or self.max_duration is not None


def select(
    rule: Rule,
    limits: Limits,
    candidates: Sequence[Candidate],
    scores: Values,
    higher_is_better: Mapping[str, bool],
    split: Split = "train",
    target: Candidate | None = None,
    *,
    details: Details | None = None,
    frame_rate: float | None = None,
) -> tuple[list[Preference], Counter[str]]:
    """What a rule finds among the candidates of one prompt, within the limits, and why the rest was dropped.

    Args:
        rule: what matches candidates.
        limits: what of that is kept.
        candidates: all candidates of one prompt.
        scores: metric name -> candidate id -> value (None = unscorable), of the rule's metrics and of the floors.
        higher_is_better: direction of each metric.
        split: split written into the rows.
        target: the recording of this text as a finished candidate, for rules that need it.
        details: metric name -> candidate id -> detail of the score, of the rule's `detail_metrics`.
        frame_rate: frames per second, for limits on the duration.

    Raises:
        ConfigError: the limits ask for durations and there is no frame rate.
    """
    if limits.needs_durations and frame_rate is None:
        raise ConfigError("min_duration and max_duration need the codec's frame rate; give it as frame_rate")
    dropped: Counter[str] = Counter()
    given = (scored(rule, one, scores, higher_is_better, details) for one in candidates)
    usable = [one for one in given if one is not None]
    if len(usable) < len(candidates):
        dropped["unscorable candidate"] += len(candidates) - len(usable)
    whole = len(usable) == len(candidates) and all(math.isfinite(value) for one in usable for value in one.others)
    if limits.all_scored and not whole:
        dropped["prompt with an unscorable candidate"] += 1
        return [], dropped
    if rule.needs_targets and target is not None:
        usable.append(Scored(target, 0.0, (math.inf,) * max(0, len(rule.metrics) - 1), label=1.0, recorded=True))
    judge = _Judge(limits, scores, higher_is_better, frame_rate)
    kept: dict[str, Preference] = {}
    taken: Counter[object] = Counter()
    uses: Counter[str] = Counter()
    for found in rule.match(usable):
        if isinstance(found, Dropped):
            dropped[found.reason] += 1
            continue
        kind = (type(found), isinstance(found, Label) and found.desirable)
        if taken[kind] == limits.pairs_per_prompt:
            continue
        parties = members(found)
        reason = judge.refusal(found, parties, uses)
        if reason is not None:
            dropped[reason] += 1
            continue
        row = _row(rule, found, split)
        if row.id in kept:
            dropped["found twice"] += 1
            continue
        taken[kind] += 1
        # A recording may be chosen over several candidates.
        uses.update(one.candidate.id for one in parties if not one.recorded)
        kept[row.id] = row
    return list(kept.values()), dropped


def scored(
    rule: Rule,
    candidate: Candidate,
    scores: Values,
    higher_is_better: Mapping[str, bool],
    details: Details | None = None,
) -> Scored | None:
    """A candidate as the rule sees it; None where its first metric could not be scored.

    For a rule that reads no score the error is 0, and so is the label.
    """
    told = {name: dict((details or {}).get(name, {}).get(candidate.id, {})) for name in detail_metrics_of(rule)}
    if not rule.metrics:
        return Scored(candidate, 0.0, details=told)
    first, *further = rule.metrics
    value = scores[first].get(candidate.id)
    if value is None:
        return None
    others = []
    for name in further:
        found = scores[name].get(candidate.id)
        # A candidate that only a further metric cannot judge (too short, say) stays usable, at the bottom of its ties.
        others.append(-math.inf if found is None else (found if higher_is_better[name] else -found))
    label = min(max(value if higher_is_better[first] else 1 - value, 0.0), 1.0)
    rising = frozenset(name for name in rule.metrics if higher_is_better[name])
    error = -value if higher_is_better[first] else value
    return Scored(candidate, error, tuple(others), label, details=told, rising=rising)


@dataclass(frozen=True)
class _Judge:
    """The limits, and what they are compared with."""

    limits: Limits
    scores: Values
    higher_is_better: Mapping[str, bool]
    frame_rate: float | None

    def refusal(self, found: Found, parties: Sequence[Scored], uses: Mapping[str, int]) -> str | None:
        """Why a find is not kept; None where it is."""
        limits = self.limits
        ids = [one.candidate.id for one in parties]
        if len(set(ids)) < len(ids):
            return "too few different candidates"
        if any(uses.get(name, 0) >= limits.max_uses for name in ids):
            return "candidate used already"
        best, worst = parties[0], parties[-1]
        learnt = not isinstance(found, Label) or found.desirable  # whether the best is what the model should speak like
        if learnt and not best.choosable:
            return "chosen is unfinished"
        if any(one.candidate.num_tokens == 0 for one in (parties[1:] or parties)):
            return "rejected is empty"
        if isinstance(found, Pair) and found.objection:
            return found.objection
        if len(parties) > 1:
            gap = found.width if isinstance(found, Pair) else worst.error - best.error
            if gap < max(limits.min_gap - NO_GAP, NO_GAP):
                return "gap below min_gap"
        if learnt and limits.max_chosen is not None and best.error > limits.max_chosen:
            return "chosen above max_chosen"
        if (len(parties) > 1 or not learnt) and limits.min_rejected is not None and worst.error < limits.min_rejected:
            return "rejected below min_rejected"
        return (self._below_floor(best) if learnt else None) or self._wrong_length(best, parties)

    def _below_floor(self, best: Scored) -> str | None:
        for name, floor in self.limits.floors.items():
            if best.recorded:
                break
            value = self.scores[name].get(best.candidate.id)
            if value is None:
                return f"chosen not scored by {name}"
            if value < floor if self.higher_is_better[name] else value > floor:
                return f"chosen worse than the floor of {name}"
        return None

    def _wrong_length(self, best: Scored, parties: Sequence[Scored]) -> str | None:
        limits = self.limits
        longest = max(one.candidate.num_tokens for one in parties)
        if limits.max_length_ratio is not None and longest > limits.max_length_ratio * best.candidate.num_tokens:
            return "rejected too long"
        if self.frame_rate is not None:
            seconds = [one.candidate.num_frames / self.frame_rate for one in parties]
            if limits.min_duration is not None and min(seconds) < limits.min_duration:
                return "shorter than min_duration"
            if limits.max_duration is not None and max(seconds) > limits.max_duration:
                return "longer than max_duration"
        return None


def _row(rule: Rule, found: Found, split: Split) -> Preference:
    if isinstance(found, Pair):
        return _pair(rule, found, split)
    parties = members(found)
    ids = tuple(one.candidate.id for one in parties)
    prompt_id = parties[0].candidate.prompt_id
    if isinstance(found, Ranking):
        scores = tuple(one.label for one in parties)
        return RankedList(id=">".join(ids), prompt_id=prompt_id, candidates=ids, scores=scores, split=split)
    name = f"{ids[0]}{'+' if found.desirable else '-'}"
    return LabelledCandidate(id=name, prompt_id=prompt_id, candidate=ids[0], desirable=found.desirable, split=split)


def _pair(rule: Rule, pair: Pair, split: Split) -> PreferencePair:
    first, *further = rule.metrics or ("",)
    margins = {first: pair.rejected.error - pair.chosen.error} if first else {}
    for name, chosen, rejected in zip(further, pair.chosen.others, pair.rejected.others, strict=True):
        if math.isfinite(chosen) and math.isfinite(rejected):
            margins[name] = chosen - rejected
    return PreferencePair(
        id=f"{pair.chosen.candidate.id}>{pair.rejected.candidate.id}",
        prompt_id=pair.rejected.candidate.prompt_id,
        chosen=pair.chosen.candidate.id,
        rejected=pair.rejected.candidate.id,
        margins=margins,
        split=split,
        aspect=pair.aspect,
    )
