"""The filter that all pair rules share: gap, floor, length, reuse, pairs per prompt; every drop counted with its reason."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lpo_tts.bounds import Range, at_least, check_settings
from lpo_tts.records import Candidate, LabelledCandidate, Preference, PreferencePair, RankedList, Split
from lpo_tts.rules.base import Dropped, Found, Label, Pair, Ranking, Rule, Scored, members

NO_GAP = 1e-9  # ours: below it two scores are equal, whatever `min_gap` allows


@dataclass(frozen=True)
class Limits:
    """What of a rule's finds is kept. Of a ranked list, the best counts as chosen, the others as rejected.

    Attributes:
        min_gap: smallest difference in the rule's first metric between chosen and rejected.
        max_chosen: absolute floor of quality: the chosen one's error is at most this; None = any.
        pairs_per_prompt: at most so many pairs of one prompt (or lists, or candidates of each label); candidates are not
            used twice.
        max_length_ratio: a rejected candidate may be at most so many times as long as the chosen one; None = any.
    """

    min_gap: float = 0.06
    max_chosen: float | None = None
    pairs_per_prompt: int = 1
    max_length_ratio: float | None = None

    bounds = {
        "min_gap": at_least(0),
        "max_chosen": Range(),
        "pairs_per_prompt": at_least(1),
        "max_length_ratio": at_least(1),
    }

    def __post_init__(self) -> None:
        check_settings(self, "")


def select(
    rule: Rule,
    limits: Limits,
    candidates: Sequence[Candidate],
    scores: Mapping[str, Mapping[str, float | None]],
    higher_is_better: Mapping[str, bool],
    split: Split = "train",
    target: Candidate | None = None,
) -> tuple[list[Preference], Counter[str]]:
    """What a rule finds among the candidates of one prompt, within the limits, and why the rest was dropped.

    Args:
        rule: what matches candidates.
        limits: what of that is kept.
        candidates: all candidates of one prompt.
        scores: metric name -> candidate id -> value (None = unscorable).
        higher_is_better: direction of each metric.
        split: split written into the rows.
        target: the recording of this text as a finished candidate, for rules that need it.
    """
    dropped: Counter[str] = Counter()
    usable = [one for candidate in candidates if (one := scored(rule, candidate, scores, higher_is_better)) is not None]
    if len(usable) < len(candidates):
        dropped["unscorable candidate"] += len(candidates) - len(usable)
    if rule.needs_targets and target is not None:
        usable.append(Scored(target, 0.0, (math.inf,) * (len(rule.metrics) - 1), label=1.0, recorded=True))
    kept: list[Preference] = []
    taken: Counter[object] = Counter()
    used: set[str] = set()
    for found in rule.match(usable):
        if isinstance(found, Dropped):
            dropped[found.reason] += 1
            continue
        kind = (type(found), isinstance(found, Label) and found.desirable)
        if taken[kind] == limits.pairs_per_prompt:
            continue
        parties = members(found)
        reason = _refusal(limits, found, parties, used)
        if reason is not None:
            dropped[reason] += 1
            continue
        taken[kind] += 1
        # A recording may be chosen over several candidates.
        used |= {one.candidate.id for one in parties if not one.recorded}
        kept.append(_row(rule, found, split))
    return kept, dropped


def scored(
    rule: Rule, candidate: Candidate, scores: Mapping[str, Mapping[str, float | None]], higher_is_better: Mapping[str, bool]
) -> Scored | None:
    """A candidate as the rule sees it; None where its first metric could not be scored.

    For a rule that reads no score the error is 0, and so is the label.
    """
    if not rule.metrics:
        return Scored(candidate, 0.0)
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
    return Scored(candidate, -value if higher_is_better[first] else value, tuple(others), label)


def _refusal(limits: Limits, found: Found, parties: Sequence[Scored], used: set[str]) -> str | None:
    ids = [one.candidate.id for one in parties]
    if len(set(ids)) < len(ids) or not used.isdisjoint(ids):
        return "too few different candidates"
    best, worst = parties[0], parties[-1]
    learnt = not isinstance(found, Label) or found.desirable  # whether the best is what the model should speak like
    if learnt and not best.choosable:
        return "chosen is unfinished"
    if any(one.candidate.num_tokens == 0 for one in (parties[1:] or parties)):
        return "rejected is empty"
    if len(parties) > 1:
        gap = found.width if isinstance(found, Pair) else worst.error - best.error
        if gap < max(limits.min_gap, NO_GAP):
            return "gap below min_gap"
    if isinstance(found, Pair) and found.objection:
        return found.objection
    if learnt and limits.max_chosen is not None and best.error > limits.max_chosen:
        return "chosen above max_chosen"
    longest = max(one.candidate.num_tokens for one in parties)
    if limits.max_length_ratio is not None and longest > limits.max_length_ratio * best.candidate.num_tokens:
        return "rejected too long"
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
