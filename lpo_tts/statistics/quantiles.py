"""Quantiles of candidates, in every resample of their prompts."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lpo_tts.errors import ContractError
from lpo_tts.statistics.draws import Draws

NUM_PARTS = 16  # ours: the sorted values in so many parts; a quantile is looked for within one of them


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
        self._bounds = np.linspace(0, len(found), NUM_PARTS + 1).astype(np.int64)
        part = np.searchsorted(self._bounds, np.arange(len(found)), side="right") - 1
        cells = np.bincount(self._places * NUM_PARTS + part, minlength=num_clusters * NUM_PARTS)
        self._parts = cells.reshape(num_clusters, NUM_PARTS).astype(np.float64)

    def estimates(self) -> NDArray[np.float64]:
        """The quantiles of the values themselves, (num_shares,); NaN without values."""
        return self.of(np.ones((1, len(self._parts))))[0]

    def of(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """The quantiles in each resample, (num_resamples, num_shares); NaN where no value was drawn.

        Args:
            counts: (num_resamples, num_clusters) how often each cluster was drawn.
        """
        result = np.full((len(counts), len(self.shares)), np.nan)
        upto = np.cumsum(counts @ self._parts, axis=1)  # whole numbers, so exact
        filled = np.flatnonzero(upto[:, -1] > 0)
        for column, share in enumerate(self.shares):
            rank = np.maximum(1, np.ceil(share * upto[:, -1] - 1e-9))
            within = np.argmax(upto >= rank[:, None], axis=1)
            for part in np.unique(within[filled]):
                rows = filled[within[filled] == part]
                start, stop = self._bounds[part], self._bounds[part + 1]
                before = upto[rows, part - 1] if part else np.zeros(len(rows))
                drawn = np.cumsum(counts[np.ix_(rows, self._places[start:stop])], axis=1)
                place = np.argmax(drawn >= (rank[rows] - before)[:, None], axis=1)
                result[rows, column] = self._values[start + place]
        return result

    def resampled(self, draws: Draws) -> NDArray[np.float64]:
        """The quantiles in all resamples, (num_resamples, num_shares)."""
        return np.concatenate([self.of(block) for block in draws.blocks()])
