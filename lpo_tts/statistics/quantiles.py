"""Quantiles of candidates, in every resample of their prompts."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lpo_tts.errors import ContractError
from lpo_tts.statistics.draws import Draws

WIDTH = 5.0  # ours: standard deviations of a quantile's rank within which it is looked for first; speed alone depends on it


class Quantiles:
    """Quantiles of values, each weighted by how often its cluster was drawn.

    A quantile is the smallest value that at least its share of the values does not exceed (numpy's "inverted_cdf"), so it
    is always a value that was observed; of an even number of values the median is the lower of the middle two.

    Args:
        values: (num_values,) finite.
        clusters: (num_values,) place of each value's cluster in the draws.
        num_clusters: clusters there are.
        shares: the quantiles asked for, in (0, 1).
    """

    def __init__(self, values: ArrayLike, clusters: ArrayLike, num_clusters: int, shares: Sequence[float]) -> None:
        found, places = np.asarray(values, dtype=np.float64), np.asarray(clusters, dtype=np.int64)
        if found.ndim != 1 or found.shape != places.shape:
            raise ContractError(f"statistics: {found.shape} values but {places.shape} clusters; give one cluster per value")
        if not np.isfinite(found).all():
            raise ContractError("statistics: a value is not finite; leave out what could not be scored and count it")
        order = np.argsort(found, kind="stable")
        self.shares = tuple(shares)
        self._values, self._places = found[order], places[order]
        size = self._upto(len(found), num_clusters)
        columns, self._windows = [size], []
        for share in self.shares:
            middle = math.ceil(share * len(found))
            spread = math.sqrt(float(((self._upto(middle, num_clusters) - share * size) ** 2).sum()))
            half = math.ceil(WIDTH * spread) + 1
            start, stop = max(0, middle - half), min(len(found), middle + half)
            self._windows.append((start, stop))
            columns.append(self._upto(start, num_clusters))
        self.columns = np.stack(columns, axis=1)  # (num_clusters, 1 + num_shares): all values, and those before each window

    def _upto(self, count: int, num_clusters: int) -> NDArray[np.float64]:
        """How many of the `count` smallest values are each cluster's."""
        return np.bincount(self._places[:count], minlength=num_clusters).astype(np.float64)

    def estimates(self) -> NDArray[np.float64]:
        """The quantiles of the values themselves, (num_shares,); NaN without values."""
        return self.of(np.ones((1, len(self.columns))))[0]

    def of(self, counts: NDArray[np.float64], sums: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """The quantiles in each resample, (num_resamples, num_shares); NaN where no value was drawn.

        Args:
            counts: (num_resamples, num_clusters) how often each cluster was drawn.
            sums: counts @ columns, where the caller has it.
        """
        sums = counts @ self.columns if sums is None else sums
        total = sums[:, 0]
        result = np.full((len(counts), len(self.shares)), np.nan)
        for k, (share, (start, stop)) in enumerate(zip(self.shares, self._windows, strict=True)):
            rank = np.maximum(1, np.ceil(share * total - 1e-9))
            wanted = rank - sums[:, k + 1]
            place = self._place(counts, start, stop, wanted)
            inside = (wanted > 0) & (place < stop - start) & (total > 0)
            result[inside, k] = self._values[start + place[inside]]
            rest = np.flatnonzero(~inside & (total > 0))
            if len(rest):
                result[rest, k] = self._values[self._place(counts[rest], 0, len(self._values), rank[rest])]
        return result

    def _place(self, counts: NDArray[np.float64], start: int, stop: int, rank: NDArray[np.float64]) -> NDArray[np.int64]:
        """Which of the sorted values from `start` to `stop` has this rank among those drawn, (num_resamples,)."""
        drawn = np.cumsum(counts.T[self._places[start:stop]], axis=0)  # whole numbers, so exact
        return (drawn < rank).sum(axis=0)

    def resampled(self, draws: Draws) -> NDArray[np.float64]:
        """The quantiles in all resamples, (num_resamples, num_shares)."""
        return np.concatenate([self.of(block) for block in draws.blocks()])
