"""The filter that all pair rules share: gap, floor, length, reuse, pairs per prompt; every drop counted with its reason."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lpo_tts.config import check_range
from lpo_tts.records import Candidate, PreferencePair, Split
from lpo_tts.rules.base import Dropped, Pair, Rule, Scored

NO_GAP = 1e-9  # ours: below it two scores are equal, whatever `min_gap` allows


@dataclass(frozen=True)
class Limits:
    """What of a rule's finds becomes a pair.

    Attributes:
        min_gap: smallest difference in the rule's first metric between chosen and rejected.
        max_chosen: absolute floor of quality: the chosen one's error is at most this; None = any.
        pairs_per_prompt: at most so many pairs of one prompt; candidates are not used twice.
        max_length_ratio: a rejected candidate may be at most so many times as long as the chosen one; None = any.
    """

    min_gap: float = 0.06
    max_chosen: float | None = None
    pairs_per_prompt: int = 1
    max_length_ratio: float | None = None

    def __post_init__(self) -> None:
        check_range("min_gap", self.min_gap, 0)
        check_range("max_chosen", self.max_chosen)
        check_range("pairs_per_prompt", self.pairs_per_prompt, 1)
        check_range("max_length_ratio", self.max_length_ratio, 1)


def select(
    rule: Rule,
    limits: Limits,
    candidates: Sequence[Candidate],
    scores: Mapping[str, Mapping[str, float | None]],
    higher_is_better: Mapping[str, bool],
    split: Split = "train",
    target: Candidate | None = None,
) -> tuple[list[PreferencePair], Counter[str]]:
    """Pairs of one prompt, and why the others were dropped.

    Args:
        rule: what matches candidates.
        limits: what of that is kept.
        candidates: all candidates of one prompt.
        scores: metric name -> candidate id -> value (None = unscorable).
        higher_is_better: direction of each metric.
        split: split written into the pairs.
        target: the recording of this text as a finished candidate, for rules that need it.
    """
    dropped: Counter[str] = Counter()
    usable = [one for candidate in candidates if (one := _scored(rule, candidate, scores, higher_is_better)) is not None]
    if len(usable) < len(candidates):
        dropped["unscorable candidate"] += len(candidates) - len(usable)
    if rule.needs_targets and target is not None:
        usable.append(Scored(target, 0.0, (math.inf,) * (len(rule.metrics) - 1), recorded=True))
    pairs: list[PreferencePair] = []
    used: set[str] = set()
    for found in rule.match(usable):
        if len(pairs) == limits.pairs_per_prompt:
            break
        reason = found.reason if isinstance(found, Dropped) else _refusal(limits, found, used)
        if isinstance(found, Dropped) or reason is not None:
            dropped[str(reason)] += 1
            continue
        # A recording may be chosen over several candidates.
        used |= {one.candidate.id for one in (found.chosen, found.rejected) if not one.recorded}
        pairs.append(_row(rule, found, split))
    return pairs, dropped


def _scored(
    rule: Rule, candidate: Candidate, scores: Mapping[str, Mapping[str, float | None]], higher_is_better: Mapping[str, bool]
) -> Scored | None:
    first, *further = rule.metrics
    value = scores[first].get(candidate.id)
    if value is None:
        return None
    others = []
    for name in further:
        found = scores[name].get(candidate.id)
        # A candidate that only a further metric cannot judge (too short, say) stays usable, at the bottom of its ties.
        others.append(-math.inf if found is None else (found if higher_is_better[name] else -found))
    return Scored(candidate, -value if higher_is_better[first] else value, tuple(others))


def _refusal(limits: Limits, pair: Pair, used: set[str]) -> str | None:
    first, last = pair.chosen.candidate, pair.rejected.candidate
    if first.id == last.id or first.id in used or last.id in used:
        return "too few different candidates"
    if not pair.chosen.choosable:
        return "chosen is unfinished"
    if last.num_tokens == 0:
        return "rejected is empty"
    if pair.rejected.error - pair.chosen.error < max(limits.min_gap, NO_GAP):
        return "gap below min_gap"
    if pair.objection:
        return pair.objection
    if limits.max_chosen is not None and pair.chosen.error > limits.max_chosen:
        return "chosen above max_chosen"
    if limits.max_length_ratio is not None and last.num_tokens > limits.max_length_ratio * first.num_tokens:
        return "rejected too long"
    return None


def _row(rule: Rule, pair: Pair, split: Split) -> PreferencePair:
    first, *further = rule.metrics
    margins = {first: pair.rejected.error - pair.chosen.error}
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
