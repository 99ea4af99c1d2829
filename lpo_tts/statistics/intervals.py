"""An estimate and its interval: the percentile bootstrap, widened for few clusters."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lpo_tts.errors import ContractError
from lpo_tts.statistics.student import NORMAL, t_quantile

NUM_RESAMPLES = 10_000  # ours: the ends of a 95 % interval then carry a Monte Carlo error of about 2 % of its width
MIN_RESAMPLES = 1000  # ours: the fewest that a report is made of; its ends then vary by about 6 % of the width
CONFIDENCE = 0.95
MIN_CLUSTERS = 5  # ours: drawn from fewer, resamples repeat each other, and one prompt has an "interval" of width 0
ROUNDING = 1e-12  # of a resampled figure, where the values themselves are equal
FEW_CLUSTERS = 30  # ours: below it the bootstrap of skewed data is not to be taken at its word, however it is widened


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate and its percentile bootstrap interval, in the unit of the estimate.

    `low` and `high` are None where the estimate rests on fewer than `MIN_CLUSTERS` clusters (prompts), or where no resample
    differs from it: clusters that are all alike do not tell how others would be.
    """

    estimate: float
    low: float | None
    high: float | None
    confidence: float
    num_resamples: int
    num_clusters: int

    @property
    def excludes_zero(self) -> bool:
        """Whether there is an interval, and 0 lies outside it."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


def check_settings(confidence: float, num_resamples: int) -> None:
    """Raises ContractError for a confidence or a number of resamples that cannot be."""
    if not 0 < confidence < 1:
        raise ContractError(f"statistics: confidence must lie in (0, 1), found {confidence}")
    if num_resamples < 1:
        raise ContractError(f"statistics: num_resamples must be at least 1, found {num_resamples}")


def expanded_tail(tail: float, num_clusters: int) -> float:
    """The share of resamples to leave out at an end, so that a share `tail` of intervals misses the truth there.

    The bootstrap's variance is too small by (n - 1) / n, and it has the tails of a normal distribution where n clusters
    give those of Student's t. Both are made good by leaving out less: at 20 clusters 1.6 % instead of 2.5 %.

    Source: Hesterberg, "What Teachers Should Know About the Bootstrap" (2015): the expanded percentile interval.
    """
    return NORMAL.cdf(math.sqrt(num_clusters / (num_clusters - 1)) * t_quantile(tail, num_clusters - 1))


def percentile_interval(
    estimate: float, resamples: NDArray[np.float64], confidence: float = CONFIDENCE, *, num_clusters: int
) -> Interval:
    """The middle share of the resampled statistics (num_resamples,) around an estimate, widened for few clusters.

    There is no interval when fewer than `MIN_CLUSTERS` clusters were drawn from, when no resample has a value, or when all
    have the same: [0, 0] of 40 prompts without a failure would claim that no prompt ever fails.
    """
    low = high = None
    if num_clusters >= MIN_CLUSTERS and len(resamples) and _spread(resamples):
        tail = expanded_tail((1 - confidence) / 2, num_clusters)
        # An observed value, not one between two: infinite resamples outside the interval must not make its ends NaN.
        low, high = map(float, np.quantile(resamples, [tail, 1 - tail], method="closest_observation"))
    return Interval(
        estimate=float(estimate),
        low=low,
        high=high,
        confidence=confidence,
        num_resamples=len(resamples),
        num_clusters=num_clusters,
    )


def _spread(resamples: NDArray[np.float64]) -> bool:
    """Whether resamples differ by more than rounding; an infinite one does."""
    least, most = float(resamples.min()), float(resamples.max())
    return most > least and (math.isinf(most) or most - least > ROUNDING * max(1.0, abs(most)))
