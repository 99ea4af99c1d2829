"""pareto: candidates that no other one beats in both metrics against those that most others beat."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lpo_tts.errors import ConfigError
from lpo_tts.rules.base import Pair, Scored, TwoMetrics, best_first


@dataclass(frozen=True)
class Pareto(TwoMetrics):
    """Non-dominated sorting on both metrics (after Koel-TTS): the first front against the last front."""

    def __post_init__(self) -> None:
        if not self.second_metric:
            raise ConfigError("rule pareto needs second_metric")

    def match(self, candidates: Sequence[Scored]) -> Iterator[Pair]:
        """Pairs from the outer fronts inwards."""
        order = [one for front in _fronts(candidates) for one in front]
        for chosen, rejected in list(zip(order, reversed(order), strict=True))[: len(order) // 2]:
            worse = rejected.second > chosen.second
            yield Pair(chosen, rejected, objection="rejected is better in the second metric" if worse else "")


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
