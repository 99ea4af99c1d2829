"""pareto: candidates that no other one beats in both metrics against those that most others beat."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lpo_tts.errors import ConfigError
from lpo_tts.rules.base import NONE_GOOD, Dropped, Pair, Scored, TwoMetrics, best_first


@dataclass(frozen=True)
class Pareto(TwoMetrics):
    """Non-dominated sorting on both metrics: the first front against the last front.

    After Koel-TTS (arXiv 2502.05236) and NeMo's `create_preference_pairs.py`: candidates stand in order of front, error and
    second metric. A pair is kept where the rejected one is better in neither metric and the two differences add up to more
    than 0. That sum is what `min_gap` is compared with; NeMo asks for no more than 0. Theirs chooses the first candidate
    of the order; ours the first one that ended by itself.

    Attributes:
        crossed: the first two against the last two, each against each (four pairs), as NeMo's second kind; else the first
            against the last, the second against the last but one, and so on.
    """

    crossed: bool = False

    def __post_init__(self) -> None:
        if not self.second_metric:
            raise ConfigError("rule pareto needs second_metric")

    def match(self, candidates: Sequence[Scored]) -> Iterator[Pair | Dropped]:
        """Pairs from the outer fronts inwards."""
        order = [one for front in _fronts(candidates) for one in front]
        good, bad = [one for one in order if one.choosable], order[::-1]
        if candidates and not good:
            yield NONE_GOOD
        half = len(order) // 2
        if self.crossed:
            depth = min(2, half)
            pairs = [(chosen, rejected) for chosen in good[:depth] for rejected in bad[:depth]]
        else:
            pairs = list(zip(good, bad, strict=False))[:half]
        for chosen, rejected in pairs:
            yield Pair(chosen, rejected, objection=_objection(chosen, rejected), gap=_gap(chosen, rejected))


def _gap(chosen: Scored, rejected: Scored) -> float:
    second = chosen.second - rejected.second
    return rejected.error - chosen.error + (second if math.isfinite(second) else 0.0)


def _objection(chosen: Scored, rejected: Scored) -> str:
    if rejected.error < chosen.error:
        return "rejected is better in the first metric"
    return "rejected is better in the second metric" if rejected.second > chosen.second else ""


def _fronts(candidates: Sequence[Scored]) -> list[list[Scored]]:
    """Front 0 is dominated by none, front 1 by front 0 alone, ...; within a front best first."""
    left, fronts = list(candidates), []
    while left:
        front = [one for one in left if not any(_dominates(other, one) for other in left)]
        fronts.append(best_first(front))
        left = [one for one in left if one not in front]
    return fronts


def _dominates(one: Scored, other: Scored) -> bool:
    better = one.error <= other.error and one.second >= other.second
    return better and (one.error, one.second) != (other.error, other.second)
