"""Means of answers where every listener hears many items and every item has many listeners: both are drawn anew."""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lpo_tts.errors import ContractError
from lpo_tts.statistics.draws import CHUNK_ELEMENTS
from lpo_tts.statistics.intervals import (
    CONFIDENCE,
    MIN_CLUSTERS,
    NUM_RESAMPLES,
    Interval,
    check_settings,
    percentile_interval,
)

Column = NDArray[np.float64]


class Crossed:
    """Two-way cluster bootstrap: listeners and items are drawn with replacement, each apart from the other.

    An answer then counts as often as its listener was drawn, times as often as its item was (Owen, "The Pigeonhole
    Bootstrap", 2007). Answers of one listener depend on each other, and so do answers on one item; nothing else is assumed.

    The resamples of this bootstrap spread by V_listeners + V_items + V_answers, where the two-way cluster variance is
    V_listeners + V_items - V_answers (Cameron, Gelbach and Miller, 2011). Taken as they are, they would be too wide by up to
    the root of 3 where listeners and items hardly differ. So intervals scale them around the estimate to the latter
    variance, and to no less than that of listeners, of items, or of answers alone.

    Args:
        listeners: (num_answers,) who answered.
        items: (num_answers,) on what; all seeds of a prompt are one item.
        num_resamples: how often both are drawn.
        seed: of the draws.

    Raises:
        ContractError: there is no answer, or the lengths differ.
    """

    def __init__(
        self,
        listeners: Sequence[Hashable],
        items: Sequence[Hashable],
        *,
        num_resamples: int = NUM_RESAMPLES,
        seed: int = 0,
    ) -> None:
        check_settings(CONFIDENCE, num_resamples)
        if not len(listeners) or len(listeners) != len(items):
            raise ContractError(
                f"statistics: expected a listener and an item for each answer, found {len(listeners)} and {len(items)}"
            )
        self._places = tuple(_places(names) for names in (listeners, items))
        self._cells = _places(list(zip(*(place.tolist() for place in self._places), strict=True)))
        self.num_listeners, self.num_items = (int(place.max()) + 1 for place in self._places)
        self.num_resamples, self.seed = num_resamples, seed

    def mean(
        self, values: ArrayLike, *, among: ArrayLike | None = None, span: tuple[float, float], confidence: float = CONFIDENCE
    ) -> Interval:
        """The mean of values (num_answers,) with its interval; none below `MIN_CLUSTERS` listeners, or items.

        Where all values are the same there is nothing to draw from. The interval is then what is known of answers in `span`
        all the same: of n listeners none differed, so with the confidence asked for, no more than 1 - (alpha / 2)^(1 / n)
        of listeners would. The same holds for items; n is the number of whichever there are fewer of.

        Args:
            values: of the answers.
            among: (num_answers,) bool, which of them; None = all.
            span: the lowest and the highest value there can be.
            confidence: of the interval.
        """
        chosen = self._chosen(among)
        return self._contrast([self._columns(values, chosen)], [1.0], span, confidence)

    def difference(
        self, values: ArrayLike, a: ArrayLike, b: ArrayLike, *, span: tuple[float, float], confidence: float = CONFIDENCE
    ) -> Interval:
        """The mean of values among `b` minus that among `a`, both in the same draws; arguments and limits as for `mean`."""
        parts = [self._columns(values, self._chosen(among)) for among in (b, a)]
        widest = span[1] - span[0]
        return self._contrast(parts, [1.0, -1.0], (-widest, widest), confidence)

    def variance(self, values: ArrayLike) -> float:
        """The two-way cluster variance of the mean of values (num_answers,)."""
        part = self._columns(values, self._chosen(None))
        return self._variances(_influences([part], [1.0]))[0]

    def sums(self, columns: ArrayLike) -> NDArray[np.float64]:
        """Sums columns (num_answers, k) over each resample as it was drawn: (num_resamples, k)."""
        found = np.asarray(columns, dtype=np.float64)
        table = np.zeros((self.num_listeners, self.num_items, found.shape[1]))
        np.add.at(table, self._places, found)
        flat = table.reshape(self.num_listeners, -1)
        rng = np.random.default_rng(self.seed)
        chunk = max(1, CHUNK_ELEMENTS // flat.shape[1])
        drawn = []
        for start in range(0, self.num_resamples, chunk):
            rows = min(chunk, self.num_resamples - start)
            heard = (_counts(rng, rows, self.num_listeners) @ flat).reshape(rows, self.num_items, -1)
            drawn.append(np.einsum("ri,rik->rk", _counts(rng, rows, self.num_items), heard))
        return np.concatenate(drawn)

    def _chosen(self, among: ArrayLike | None) -> NDArray[np.bool_]:
        size = len(self._cells)
        chosen = np.ones(size, dtype=bool) if among is None else np.asarray(among, dtype=bool)
        if chosen.shape != (size,) or not chosen.any():
            raise ContractError(f"statistics: expected some of {size} answers, found {int(chosen.sum())} of {chosen.size}")
        return chosen

    def _columns(self, values: ArrayLike, chosen: NDArray[np.bool_]) -> tuple[Column, Column]:
        """Numerator and denominator of a mean, each (num_answers,)."""
        found = np.asarray(values, dtype=np.float64)
        if found.shape != chosen.shape or not np.isfinite(found[chosen]).all():
            raise ContractError(f"statistics: expected {chosen.size} finite values, found shape {found.shape}")
        return np.where(chosen, found, 0.0), chosen.astype(np.float64)

    def _contrast(
        self, parts: Sequence[tuple[Column, Column]], signs: Sequence[float], span: tuple[float, float], confidence: float
    ) -> Interval:
        check_settings(confidence, self.num_resamples)
        estimate = sum(sign * top.sum() / bottom.sum() for sign, (top, bottom) in zip(signs, parts, strict=True))
        # Each mean rests on its own answers: the other one's listeners and items do not make up for what it lacks.
        num_clusters = min(len(np.unique(place[bottom > 0])) for _, bottom in parts for place in self._places)
        wanted, as_drawn = self._variances(_influences(parts, signs))
        if wanted <= (1e-9 * (span[1] - span[0])) ** 2:  # nothing but rounding
            return self._unanimous(float(estimate), num_clusters, span, confidence)
        drawn = self.sums(np.stack([column for part in parts for column in part], axis=1))
        drawn = drawn[(drawn[:, 1::2] > 0).all(axis=1)]
        resamples = (drawn[:, ::2] / drawn[:, 1::2]) @ np.asarray(signs)
        resamples = estimate + (resamples - estimate) * np.sqrt(wanted / as_drawn)
        return percentile_interval(estimate, resamples, confidence, num_clusters=num_clusters)

    def _variances(self, influences: Column) -> tuple[float, float]:
        """The two-way cluster variance, and that of the resamples as they are drawn."""
        listeners, items, answers = (
            float((np.bincount(place, weights=influences) ** 2).sum()) for place in (*self._places, self._cells)
        )
        return max(listeners + items - answers, listeners, items, answers), listeners + items + answers

    def _unanimous(self, estimate: float, num_clusters: int, span: tuple[float, float], confidence: float) -> Interval:
        low = high = None
        if num_clusters >= MIN_CLUSTERS:
            alike = ((1 - confidence) / 2) ** (1 / num_clusters)
            low, high = (alike * estimate + (1 - alike) * end for end in span)
        return Interval(
            estimate=estimate,
            low=low,
            high=high,
            confidence=confidence,
            num_resamples=self.num_resamples,
            num_clusters=num_clusters,
        )


def _influences(parts: Sequence[tuple[Column, Column]], signs: Sequence[float]) -> Column:
    """What each answer adds to the estimate, to first order, (num_answers,); their sum is 0."""
    found = np.zeros(len(parts[0][0]))
    for sign, (top, bottom) in zip(signs, parts, strict=True):
        total = bottom.sum()
        found += sign * (top - top.sum() / total * bottom) / total
    return found


def _places(names: Sequence[Hashable]) -> NDArray[np.int64]:
    """Each name's number in order of first appearance."""
    order: dict[Hashable, int] = {}
    return np.array([order.setdefault(name, len(order)) for name in names], dtype=np.int64)


def _counts(rng: np.random.Generator, rows: int, size: int) -> NDArray[np.float64]:
    """How often each of `size` is drawn in each of `rows` resamples, (rows, size)."""
    drawn = rng.integers(size, size=(rows, size)) + np.arange(rows)[:, None] * size
    return np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size).astype(np.float64)
