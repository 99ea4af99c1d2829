"""Equivalence by a margin: two one-sided tests (TOST) on the bootstrap distribution of a difference."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lpo_tts.errors import ContractError
from lpo_tts.statistics.intervals import MIN_CLUSTERS, Interval, expanded_p, percentile_interval


@dataclass(frozen=True, kw_only=True)
class Equivalence:
    """Result of the two one-sided tests.

    Attributes:
        interval: of confidence 1 - 2 alpha; both tests hold at alpha where it lies within the margin.
        above_p: p against "the difference is -margin or less": small where it is certainly above -margin.
        below_p: p against "the difference is margin or more".
    """

    interval: Interval
    above_p: float
    below_p: float

    @property
    def p(self) -> float:
        """The larger of the two: small where the difference is certainly smaller than the margin, in either direction."""
        return max(self.above_p, self.below_p)


def equivalence_test(
    estimate: float, resamples: NDArray[np.float64], margin: float, *, alpha: float, num_clusters: int
) -> Equivalence | None:
    """Whether a difference is certainly smaller than a margin; None below `MIN_CLUSTERS` clusters.

    Each p is the share of resamples beyond the margin, counted as (b + 1) / (m + 1) and corrected for few clusters as
    intervals are (`expanded_p`). So p is at most alpha where the end of the interval lies within the margin, up to one
    resample. "Equivalent" needs both tests (Schuirmann 1987), "not worse" (non-inferiority) only that of the bad side.

    Args:
        estimate: the difference.
        resamples: (num_resamples,) of it.
        margin: the difference that is too small to matter, above 0.
        alpha: level of each test.
        num_clusters: prompts that were drawn from.

    Raises:
        ContractError: the margin is not positive, or alpha does not lie in (0, 0.5).
    """
    if not margin > 0:
        raise ContractError(f"statistics: expected a margin above 0, found {margin}")
    if not 0 < alpha < 0.5:
        raise ContractError(f"statistics: expected alpha in (0, 0.5), found {alpha}")
    if num_clusters < MIN_CLUSTERS or not len(resamples):
        return None
    shares = [(np.count_nonzero(beyond) + 1) / (len(resamples) + 1) for beyond in (resamples <= -margin, resamples >= margin)]
    above, below = (expanded_p(share, num_clusters) for share in shares)
    interval = percentile_interval(estimate, resamples, 1 - 2 * alpha, num_clusters=num_clusters)
    return Equivalence(interval=interval, above_p=above, below_p=below)
