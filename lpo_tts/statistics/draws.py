"""Clusters drawn with replacement: how often each one stands in each resample, in blocks that memory can hold."""

import functools
from collections.abc import Hashable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from lpo_tts.errors import ContractError
from lpo_tts.statistics.intervals import NUM_RESAMPLES

CHUNK_ELEMENTS = 2_000_000  # counts held at once as floats; bounds memory to tens of MB however many clusters there are
KEPT_ELEMENTS = 40_000_000  # counts kept as whole numbers of two bytes, so that the next figure need not draw again


class Draws:
    """The draws that all figures of a comparison share, so that whatever is computed from one is on the same prompts.

    Args:
        num_clusters: clusters there are to draw from, and how many each resample draws.
        num_resamples: how often they are drawn.
        seed: of the draws.
    """

    def __init__(self, num_clusters: int, num_resamples: int = NUM_RESAMPLES, seed: int = 0) -> None:
        if num_clusters == 0:
            raise ContractError("statistics: nothing to resample, there is no cluster")
        self.num_clusters, self.num_resamples, self.seed = num_clusters, num_resamples, seed
        self._kept: list[NDArray[np.uint16]] = []

    def blocks(self) -> Iterator[NDArray[np.float64]]:
        """How often each cluster is drawn, (num_resamples of the block, num_clusters), block by block.

        In memory the counts of one cluster lie side by side, so that clusters can be picked quickly.
        """
        keep = self.num_clusters * self.num_resamples <= KEPT_ELEMENTS and self.num_clusters < np.iinfo(np.uint16).max
        if keep and not self._kept:
            self._kept = [block.astype(np.uint16, order="F") for block in self._drawn()]
        for block in self._kept if keep else self._drawn():
            yield block.astype(np.float64, order="F")

    def _drawn(self) -> Iterator[NDArray[np.int64]]:
        rng = np.random.default_rng(self.seed)
        chunk = max(1, CHUNK_ELEMENTS // self.num_clusters)
        for start in range(0, self.num_resamples, chunk):
            rows = min(chunk, self.num_resamples - start)
            draws = rng.integers(self.num_clusters, size=(rows, self.num_clusters))
            draws += np.arange(rows)[:, None] * self.num_clusters
            yield np.bincount(draws.ravel(), minlength=rows * self.num_clusters).reshape(rows, self.num_clusters)

    def sums(self, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sums columns (num_clusters, k) over each resample: (num_resamples, k)."""
        return np.concatenate([block @ columns for block in self.blocks()])


def cluster_sums(
    columns: Sequence[NDArray[np.float64]], clusters: Sequence[Hashable]
) -> tuple[NDArray[np.float64], list[Hashable]]:
    """Sums each column (num_answers,) over the answers of a cluster.

    Returns:
        Sums (num_clusters, num_columns) float64, and the clusters in order of first appearance.
    """
    order: dict[Hashable, int] = {}
    index = np.array([order.setdefault(cluster, len(order)) for cluster in clusters], dtype=np.int64)
    for column in columns:
        if len(column) != len(index):
            raise ContractError(f"statistics: {len(column)} values but {len(index)} clusters; give one cluster per value")
    sums = np.stack([np.bincount(index, weights=column, minlength=len(order)) for column in columns], axis=1)
    return sums.astype(np.float64), list(order)


def resampled_sums(sums: NDArray[np.float64], num_resamples: int = NUM_RESAMPLES, seed: int = 0) -> NDArray[np.float64]:
    """Draws clusters with replacement and sums them: (num_clusters, k) to (num_resamples, k).

    All columns share the draws, so whatever is computed from one row is computed on one and the same set of prompts.
    """
    few = len(sums) * num_resamples <= CHUNK_ELEMENTS
    return (_shared if few else Draws)(len(sums), num_resamples, seed).sums(sums)


@functools.lru_cache(maxsize=4)  # at most 4 MB each; the same draws are often asked for in a row
def _shared(num_clusters: int, num_resamples: int, seed: int) -> Draws:
    return Draws(num_clusters, num_resamples, seed)
