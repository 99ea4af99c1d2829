"""rank_sum: the best and the worst share of the candidates by the sum of their ranks in several metrics."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lpo_tts.bounds import above, check_settings
from lpo_tts.errors import ConfigError
from lpo_tts.rules.base import Dropped, Pair, Scored, best_first
from lpo_tts.rules.shares import outer

POINTS = 9.0  # ESPnet's: the worst of a metric has 0, the best 9


@dataclass(frozen=True)
class RankSum:
    """Each metric's ranks become 0 (worst) to 9 (best) and are added; then as `percentile`, by that sum.

    After the joint rule of ESPnet (arXiv 2409.12403), where ten candidates have the ranks 0 to 9; with n candidates a
    rank counts 9 / (n - 1). Candidates of equal score share the mean of their ranks, and one that a metric could not score
    has its worst rank. `min_gap` is compared with the difference of the two sums.

    Attributes:
        metrics: names of the scores, at least two; the first one must have scored a candidate.
        share: share of the candidates on either side, rounded down, at least one candidate.
    """

    metrics: tuple[str, ...] = ("wer", "similarity")
    share: float = 0.2

    bounds = {"share": above(0).at_most(0.5)}

    def __post_init__(self) -> None:
        check_settings(self, "")
        if len(set(self.metrics)) < max(2, len(self.metrics)):
            raise ConfigError(f"metrics: expected at least two different names, found {', '.join(self.metrics) or 'none'}")

    @property
    def needs_targets(self) -> bool:
        """No recordings."""
        return False

    def match(self, candidates: Sequence[Scored]) -> Iterator[Pair | Dropped]:
        """Pairs by falling sum."""
        order = best_first(candidates)
        sums = rank_sums(order)
        order.sort(key=lambda one: -sums[one.candidate.id])  # stable: equal sums stay in order of error
        for found in outer(order, self.share):
            if isinstance(found, Dropped):
                yield found
            else:
                chosen, rejected = found
                yield Pair(chosen, rejected, gap=sums[chosen.candidate.id] - sums[rejected.candidate.id])


def rank_sums(candidates: Sequence[Scored]) -> dict[str, float]:
    """Candidate id -> its points over all metrics, from 0 to 9 times their number."""
    columns = list(zip(*((-one.error, *one.others) for one in candidates), strict=True))
    points = [_points(column) for column in columns]
    return {one.candidate.id: sum(column[row] for column in points) for row, one in enumerate(candidates)}


def _points(values: Sequence[float]) -> list[float]:
    """Higher values, more points; equal ones share theirs."""
    top = max(1, len(values) - 1)
    below = [sum(other < value for other in values) for value in values]
    equal = [sum(other == value for other in values) for value in values]
    return [POINTS * (less + (same - 1) / 2) / top for less, same in zip(below, equal, strict=True)]
