"""Equivalence by a margin: two one-sided tests (TOST), each with Gaffke's bound, so that rare failures are not overlooked."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lpo_tts.errors import ContractError
from lpo_tts.statistics.draws import CHUNK_ELEMENTS
from lpo_tts.statistics.intervals import MIN_CLUSTERS, NUM_RESAMPLES, Interval


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
    a: ArrayLike,
    b: ArrayLike,
    margin: float,
    bound: float,
    *,
    alpha: float,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> Equivalence | None:
    """Whether the difference b - a of two ratios of sums is certainly smaller than a margin; None below `MIN_CLUSTERS` prompts.

    Prompts that were not asked may be worse than all that were: of 20 without a failure the bootstrap says that none ever
    fails. So each side has one prompt more, of mean weight, on which b differs by the bound towards that side. In every
    draw the prompts have random weights, uniform among all that sum to 1, and p is the share of draws in which the
    difference reaches the margin, counted as (b + 1) / (m + 1). For values 0 and 1 and equal weights it is the test by
    Clopper and Pearson's exact bound: of n prompts without a failure, p = (1 - margin) ** n.

    "Equivalent" needs both tests (Schuirmann 1987), "not worse" (non-inferiority) only that of the bad side. The ends of the
    interval are shares alpha of the same draws, so p is at most alpha where an end lies within the margin, up to one draw.

    Source: Gaffke, "Three test statistics for a nonparametric one-sided hypothesis on the mean of a nonnegative variable"
    (2005); Learned-Miller and Thomas, "A New Confidence Interval for the Mean of a Bounded Random Variable" (arXiv
    1905.06208, 2020). That the level is kept is proven for values 0 and 1, conjectured for others, and simulated by
    `python -m benchmarks.verdicts`.

    Args:
        a: (num_prompts, 2) numerator and denominator of one system for each prompt.
        b: (num_prompts, 2) the same of the other.
        margin: the difference that is too small to matter, above 0.
        bound: by how much the difference on one prompt can be away from 0 at most, per unit of the denominator, above 0.
        alpha: level of each test.
        num_resamples: draws of weights.
        seed: of the draws.

    Raises:
        ContractError: the shapes differ, a denominator, the margin or the bound is not positive, or alpha lies outside (0, 0.5).
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 2 or first.shape[1] != 2:
        raise ContractError(
            f"statistics: expected two tables (num_prompts, 2) of one size, found {first.shape} and {second.shape}"
        )
    if not ((first[:, 1] > 0).all() and (second[:, 1] > 0).all()):
        raise ContractError("statistics: expected positive denominators for every prompt and both systems")
    if not margin > 0:
        raise ContractError(f"statistics: expected a margin above 0, found {margin}")
    if not bound > 0:
        raise ContractError(f"statistics: expected a bound above 0, found {bound}")
    if not 0 < alpha < 0.5:
        raise ContractError(f"statistics: expected alpha in (0, 0.5), found {alpha}")
    num_prompts = len(first)
    if num_prompts < MIN_CLUSTERS:
        return None
    lower, upper = _drawn(first, second, bound, num_resamples, seed)
    low, high = (
        float(np.quantile(side, share, method="closest_observation")) for side, share in ((lower, alpha), (upper, 1 - alpha))
    )
    above, below = ((int(np.count_nonzero(beyond)) + 1) / (num_resamples + 1) for beyond in (lower <= -margin, upper >= margin))
    return Equivalence(
        interval=Interval(
            estimate=float(second[:, 0].sum() / second[:, 1].sum() - first[:, 0].sum() / first[:, 1].sum()),
            low=low,
            high=high,
            confidence=1 - 2 * alpha,
            num_resamples=num_resamples,
            num_clusters=num_prompts,
        ),
        above_p=above,
        below_p=below,
    )


def _drawn(
    a: NDArray[np.float64], b: NDArray[np.float64], bound: float, num_resamples: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The differences of all draws with a prompt more on the lower side, and on the upper side, (num_resamples,) each."""
    rate = a[:, 0].sum() / a[:, 1].sum()
    weight_a, weight_b = a[:, 1].mean(), b[:, 1].mean()
    columns = np.concatenate([a, b], axis=1)
    rng = np.random.default_rng(seed)
    chunk = max(1, CHUNK_ELEMENTS // (len(a) + 1))
    sides: tuple[list[NDArray[np.float64]], ...] = ([], [])
    for start in range(0, num_resamples, chunk):
        # Exponential weights over their sum are uniform among those that sum to 1; ratios need no division by the sum.
        weights = rng.standard_exponential((min(chunk, num_resamples - start), len(a) + 1))
        sums, more = weights[:, :-1] @ columns, weights[:, -1]
        old = (sums[:, 0] + more * rate * weight_a) / (sums[:, 1] + more * weight_a)
        for side, sign in zip(sides, (-1, 1), strict=True):
            new = (sums[:, 2] + more * (rate + sign * bound) * weight_b) / (sums[:, 3] + more * weight_b)
            side.append(new - old)
    lower, upper = (np.concatenate(side) for side in sides)
    return lower, upper
