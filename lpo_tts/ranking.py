"""Pair rules: from the scored candidates of one prompt to (chosen, rejected), with the reason for every drop."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from lpo_tts.errors import ConfigError
from lpo_tts.records import Candidate, PreferencePair, Split

Rule = Literal["best_worst", "perfect_wrong", "pareto", "ground_truth", "decoupled"]
RULES: tuple[str, ...] = ("best_worst", "perfect_wrong", "pareto", "ground_truth", "decoupled")
ASPECTS = ("content", "style")


@dataclass(frozen=True)
class PairRule:
    """Which candidates become pairs.

    Rules, all on the very tokens the model sampled:
        best_worst: the i-th best against the i-th worst by `metric`, `second_metric` breaking ties (after INTP,
            arXiv 2505.04113, whose minimum gap is 0.06 WER).
        perfect_wrong: every candidate with metric value 0 error against every other in order of badness.
        pareto: non-dominated sorting on both metrics (after Koel-TTS), first front against last front.
        decoupled: as best_worst, but chosen and rejected differ in `metric` alone: by at most `tolerance` in
            `second_metric`. `aspect` says what `metric` measures, for the decoupled loss (after arXiv 2505.16995).
        ground_truth: the recording of the text as chosen against each wrong candidate (LPO, arXiv 2508.14947).

    Attributes:
        metric: name of the score that ranks first, an error (lower is better) unless `higher_is_better` says else.
        second_metric: name of the score that breaks ties, or None.
        min_gap: smallest difference in `metric` between chosen and rejected.
        max_chosen: absolute floor of quality: the chosen one's error is at most this; None = any.
        pairs_per_prompt: at most so many pairs of one prompt; candidates are not used twice.
        aspect: decoupled only: "content" (metric wer, second_metric similarity) or "style" (the other way round).
        tolerance: decoupled only: largest difference in `second_metric`, either way.
        max_length_ratio: a rejected answer may be at most so many times as long as the chosen one, None = any.
    """

    rule: Rule = "best_worst"
    metric: str = "wer"
    second_metric: str | None = "similarity"
    min_gap: float = 0.06
    max_chosen: float | None = None
    pairs_per_prompt: int = 1
    max_length_ratio: float | None = None
    aspect: str = ""
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise ConfigError(f"rule must be one of {', '.join(RULES)}, found {self.rule!r}")
        if (self.rule == "decoupled") != (self.aspect in ASPECTS):
            raise ConfigError(f"aspect goes with rule decoupled and is one of {', '.join(ASPECTS)}, found {self.aspect!r}")
        if self.rule == "decoupled" and self.second_metric is None:
            raise ConfigError("rule decoupled needs a second_metric: what must not differ")
        if self.tolerance < 0:
            raise ConfigError(f"tolerance must be at least 0, found {self.tolerance}")
        if self.min_gap < 0:
            raise ConfigError(f"min_gap must be at least 0, found {self.min_gap}")
        if self.pairs_per_prompt < 1:
            raise ConfigError(f"pairs_per_prompt must be at least 1, found {self.pairs_per_prompt}")
        if self.max_length_ratio is not None and self.max_length_ratio < 1:
            raise ConfigError(f"max_length_ratio must be at least 1, found {self.max_length_ratio}")
        if self.rule == "pareto" and self.second_metric is None:
            raise ConfigError("rule pareto needs second_metric")


@dataclass(frozen=True)
class Scored:
    """A candidate with its error (lower is better) and its second value (higher is better)."""

    candidate: Candidate
    error: float
    second: float


def pairs_of_prompt(
    rule: PairRule,
    candidates: Sequence[Candidate],
    scores: Mapping[str, Mapping[str, float | None]],
    higher_is_better: Mapping[str, bool],
    split: Split = "train",
    target: Candidate | None = None,
) -> tuple[list[PreferencePair], Counter[str]]:
    """Pairs of one prompt, and why the others were dropped.

    Args:
        rule: the rule.
        candidates: all candidates of one prompt.
        scores: metric name -> candidate id -> value (None = unscorable).
        higher_is_better: direction of each metric.
        split: split written into the pairs.
        target: the recording of this text as a finished answer, for rule ground_truth.
    """
    dropped: Counter[str] = Counter()
    usable: list[Scored] = []
    for candidate in candidates:
        scored = _scored(rule, candidate, scores, higher_is_better)
        if scored is None:
            dropped["unscorable candidate"] += 1
        else:
            usable.append(scored)
    if rule.rule == "ground_truth":
        if target is None:
            dropped["prompt without a recording of its text"] += 1
            return [], dropped
        wrong = [Scored(target, 0.0, 1.0)] * len(usable)
        matches = list(zip(wrong, _by_badness(usable)[::-1], strict=True))
    elif rule.rule == "pareto":
        fronts = _fronts(usable)
        matches = list(zip(_flat(fronts), _flat(fronts)[::-1], strict=True))[: len(usable) // 2]
    else:
        good = _by_badness([one for one in usable if one.candidate.finished and one.candidate.status == "ok"])
        bad = _by_badness(usable)[::-1]
        if rule.rule == "perfect_wrong":
            good = [one for one in good if one.error <= 0]
            bad = [one for one in bad if one.error > 0]
        if usable and not good:
            dropped["no candidate good enough to be chosen"] += 1
        # beyond the middle, best and worst change sides
        matches = list(zip(good, bad, strict=False))[: len(usable) // 2]
        if rule.rule == "decoupled":
            matches = _alike(rule, good, bad)
    pairs: list[PreferencePair] = []
    used: set[str] = set()
    for chosen, rejected in matches:
        if len(pairs) == rule.pairs_per_prompt:
            break
        reason = _refusal(rule, chosen, rejected, used)
        if reason is not None:
            dropped[reason] += 1
            continue
        if rule.rule != "ground_truth":
            used.add(chosen.candidate.id)
        used.add(rejected.candidate.id)
        margins = {rule.metric: rejected.error - chosen.error}
        if (
            rule.second_metric is not None
            and math.isfinite(chosen.second)
            and math.isfinite(rejected.second)
            and rule.rule != "ground_truth"
        ):
            margins[rule.second_metric] = chosen.second - rejected.second
        pairs.append(
            PreferencePair(
                id=f"{chosen.candidate.id}>{rejected.candidate.id}",
                prompt_id=rejected.candidate.prompt_id,
                chosen=chosen.candidate.id,
                rejected=rejected.candidate.id,
                margins=margins,
                split=split,
                aspect=rule.aspect,
            )
        )
    return pairs, dropped


def _scored(
    rule: PairRule, candidate: Candidate, scores: Mapping[str, Mapping[str, float | None]], higher_is_better: Mapping[str, bool]
) -> Scored | None:
    value = scores[rule.metric].get(candidate.id)
    if value is None:
        return None
    second = 0.0
    if rule.second_metric is not None:
        found = scores[rule.second_metric].get(candidate.id)
        # A candidate that only the tie-breaker cannot judge (too short, say) stays usable, at the bottom of its ties.
        second = float("-inf") if found is None else (found if higher_is_better[rule.second_metric] else -found)
    return Scored(candidate, -value if higher_is_better[rule.metric] else value, second)


def _by_badness(scored: Sequence[Scored]) -> list[Scored]:
    """Best first; unfinished answers after finished ones of equal error; the id makes the order total."""
    return sorted(scored, key=lambda one: (one.error, not one.candidate.finished, -one.second, one.candidate.id))


def _refusal(rule: PairRule, chosen: Scored, rejected: Scored, used: set[str]) -> str | None:
    first, last = chosen.candidate, rejected.candidate
    if first.id == last.id or first.id in used or last.id in used:
        return "too few different candidates"
    if not first.finished or first.status != "ok":
        return "chosen is unfinished"
    if last.num_tokens == 0:
        return "rejected is empty"
    if rejected.error - chosen.error < max(rule.min_gap, 1e-9):
        return "gap below min_gap"
    if rule.rule == "pareto" and rejected.second > chosen.second:
        return "rejected is better in the second metric"
    if rule.max_chosen is not None and chosen.error > rule.max_chosen:
        return "chosen above max_chosen"
    if rule.max_length_ratio is not None and last.num_tokens > rule.max_length_ratio * first.num_tokens:
        return "rejected too long"
    return None


def _alike(rule: PairRule, good: Sequence[Scored], bad: Sequence[Scored]) -> list[tuple[Scored, Scored]]:
    """Best against worst among those that are alike in the second metric; each candidate once."""
    matches, used = [], set()
    for one in good:
        near = (o for o in bad if o.candidate.id not in used and abs(o.second - one.second) <= rule.tolerance)
        other = next((o for o in near if o.candidate.id != one.candidate.id and o.error > one.error), None)
        if one.candidate.id not in used and other is not None:
            used |= {one.candidate.id, other.candidate.id}
            matches.append((one, other))
    return matches


def _fronts(scored: Sequence[Scored]) -> list[list[Scored]]:
    """Non-dominated sorting: front 0 is dominated by none; within a front by error, then by second value."""
    left, fronts = list(scored), []
    while left:
        front = [
            one
            for one in left
            if not any(
                other.error <= one.error and other.second >= one.second and (other.error, other.second) != (one.error, one.second)
                for other in left
            )
        ]
        fronts.append(_by_badness(front))
        left = [one for one in left if one not in front]
    return fronts


def _flat(fronts: Sequence[Sequence[Scored]]) -> list[Scored]:
    return [one for front in fronts for one in front]
