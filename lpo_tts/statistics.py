"""Intervals and tests for rates and means of two systems over the same prompts: cluster bootstrap, sign test."""

import functools
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lpo_tts.errors import ContractError

NUM_RESAMPLES = 10_000  # ours: the ends of a 95 % interval then carry a Monte Carlo error of about 2 % of its width
CONFIDENCE = 0.95
MIN_CLUSTERS = 5  # ours: drawn from fewer, resamples repeat each other, and one prompt has an "interval" of width 0
FEW_CLUSTERS = 30  # ours: below it a percentile interval is too narrow to be taken at its word
CHUNK_ELEMENTS = 2_000_000  # counts held at once; bounds memory to tens of MB however many clusters there are


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate and its percentile bootstrap interval, in the unit of the estimate.

    `low` and `high` are None where the estimate rests on fewer than `MIN_CLUSTERS` clusters (prompts).
    """

    estimate: float
    low: float | None
    high: float | None
    confidence: float
    num_resamples: int
    num_clusters: int


@dataclass(frozen=True, kw_only=True)
class PairedWer:
    """Two corpus WERs over the same prompts, their difference b - a and the relative change (b - a) / a.

    `relative` is None where it has no meaning: a made no error in the data, or in so many resamples that an end of
    the interval would be infinite.
    """

    wer_a: float
    wer_b: float
    difference: Interval
    relative: Interval | None


def _check_settings(confidence: float, num_resamples: int) -> None:
    if not 0 < confidence < 1:
        raise ContractError(f"statistics: confidence must lie in (0, 1), found {confidence}")
    if num_resamples < 1:
        raise ContractError(f"statistics: num_resamples must be at least 1, found {num_resamples}")


def _column(name: str, values: ArrayLike) -> NDArray[np.float64]:
    column = np.asarray(values, dtype=np.float64)
    if column.ndim != 1:
        raise ContractError(f"statistics: {name} must be one number per answer, found shape {column.shape}")
    if not np.isfinite(column).all():
        where = int(np.flatnonzero(~np.isfinite(column))[0])
        raise ContractError(f"statistics: {name}[{where}] is {column[where]}; leave out what could not be scored and count it")
    return column


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
    return sums, list(order)  # pyright: ignore[reportReturnType]  # numpy's stub overlooks bincount's weights


def resampled_sums(sums: NDArray[np.float64], num_resamples: int = NUM_RESAMPLES, seed: int = 0) -> NDArray[np.float64]:
    """Draws clusters with replacement and sums them: (num_clusters, k) to (num_resamples, k).

    All columns share the draws, so whatever is computed from one row is computed on one and the same set of prompts.
    """
    num_clusters = len(sums)
    if num_clusters == 0:
        raise ContractError("statistics: nothing to resample, there is no cluster")
    if num_clusters * num_resamples <= CHUNK_ELEMENTS:
        return _drawn_counts(num_clusters, num_resamples, seed) @ sums
    rng = np.random.default_rng(seed)
    chunk = max(1, CHUNK_ELEMENTS // num_clusters)
    starts = range(0, num_resamples, chunk)
    return np.concatenate([_draw(num_clusters, min(chunk, num_resamples - start), rng) @ sums for start in starts])


@functools.lru_cache(maxsize=4)  # at most 16 MB each; a report asks for the same draws for every judge
def _drawn_counts(num_clusters: int, num_resamples: int, seed: int) -> NDArray[np.float64]:
    return _draw(num_clusters, num_resamples, np.random.default_rng(seed))


def _draw(num_clusters: int, num_resamples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """How often each cluster is drawn in each resample, (num_resamples, num_clusters)."""
    draws = rng.integers(num_clusters, size=(num_resamples, num_clusters))
    draws += np.arange(num_resamples)[:, None] * num_clusters
    counts = np.bincount(draws.ravel(), minlength=num_resamples * num_clusters)
    return counts.reshape(num_resamples, num_clusters).astype(np.float64)


def percentile_interval(
    estimate: float, resamples: NDArray[np.float64], confidence: float = CONFIDENCE, *, num_clusters: int
) -> Interval:
    """The middle `confidence` share of the resampled statistics (num_resamples,) around an estimate.

    There is no interval when fewer than `MIN_CLUSTERS` clusters were drawn from, or when no resample has a value.
    """
    low = high = None
    if num_clusters >= MIN_CLUSTERS and len(resamples):
        tail = (1 - confidence) / 2
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


def _ratio_interval(
    top: NDArray[np.float64],
    bottom: NDArray[np.float64],
    clusters: Sequence[Hashable],
    confidence: float,
    num_resamples: int,
    seed: int,
) -> Interval:
    """Interval of sum(top) / sum(bottom); bottom must be positive in every cluster that is kept."""
    _check_settings(confidence, num_resamples)
    sums, _ = cluster_sums([top, bottom], clusters)
    sums = sums[sums[:, 1] > 0]
    if len(sums) == 0:
        raise ContractError("statistics: nothing to average, no answer has a word or a value")
    drawn = resampled_sums(sums, num_resamples, seed)
    estimate = sums[:, 0].sum() / sums[:, 1].sum()
    return percentile_interval(estimate, drawn[:, 0] / drawn[:, 1], confidence, num_clusters=len(sums))


def bootstrap_wer(
    errors: ArrayLike,
    words: ArrayLike,
    clusters: Sequence[Hashable],
    *,
    confidence: float = CONFIDENCE,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Corpus WER (errors / words, a fraction) with an interval over resampled clusters.

    Args:
        errors: (num_answers,) substitutions + deletions + insertions of each answer.
        words: (num_answers,) words of its reference.
        clusters: (num_answers,) what is drawn as a whole, normally the prompt id: all seeds of a prompt stay together.
        confidence: Share of the resamples inside the interval.
        num_resamples: How often the clusters are drawn.
        seed: Of the draws.
    """
    return _ratio_interval(_column("errors", errors), _column("words", words), clusters, confidence, num_resamples, seed)


def bootstrap_mean(
    values: ArrayLike,
    clusters: Sequence[Hashable],
    *,
    confidence: float = CONFIDENCE,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Mean of values (num_answers,) with an interval over resampled clusters."""
    column = _column("values", values)
    return _ratio_interval(column, np.ones_like(column), clusters, confidence, num_resamples, seed)


def paired_bootstrap_wer(
    errors_a: ArrayLike,
    words_a: ArrayLike,
    errors_b: ArrayLike,
    words_b: ArrayLike,
    clusters: Sequence[Hashable],
    clusters_b: Sequence[Hashable] | None = None,
    *,
    confidence: float = CONFIDENCE,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> PairedWer:
    """Difference of two corpus WERs, b - a, each resample judging both systems on the same prompts.

    Args:
        errors_a: (num_answers,) errors of system a; `words_a`, `errors_b`, `words_b` likewise.
        words_a: Reference words.
        errors_b: Errors of system b.
        words_b: Reference words.
        clusters: (num_answers,) cluster of each answer of a (and of b, unless `clusters_b` is given).
        clusters_b: Clusters of b where it has another number of answers (seeds) per prompt.
        confidence: Share of the resamples inside the interval.
        num_resamples: How often the clusters are drawn.
        seed: Of the draws.

    Raises:
        ContractError: The two systems were not asked the same prompts, so nothing can be paired.
    """
    _check_settings(confidence, num_resamples)
    sums_a, names_a = cluster_sums([_column("errors_a", errors_a), _column("words_a", words_a)], clusters)
    sums_b, names_b = cluster_sums(
        [_column("errors_b", errors_b), _column("words_b", words_b)], clusters if clusters_b is None else clusters_b
    )
    sums = np.concatenate([sums_a, _reordered(sums_b, names_b, names_a)], axis=1)
    sums = sums[(sums[:, 1] > 0) & (sums[:, 3] > 0)]
    if len(sums) == 0:
        raise ContractError("statistics: no prompt has reference words in both systems")
    total = sums.sum(axis=0)
    drawn = resampled_sums(sums, num_resamples, seed)
    wer_a, wer_b = total[0] / total[1], total[2] / total[3]
    drawn_a, drawn_b = drawn[:, 0] / drawn[:, 1], drawn[:, 2] / drawn[:, 3]
    difference = percentile_interval(wer_b - wer_a, drawn_b - drawn_a, confidence, num_clusters=len(sums))
    return PairedWer(
        wer_a=float(wer_a),
        wer_b=float(wer_b),
        difference=difference,
        relative=_relative(wer_a, wer_b, drawn_a, drawn_b, confidence, len(sums)),
    )


def _relative(
    wer_a: float,
    wer_b: float,
    drawn_a: NDArray[np.float64],
    drawn_b: NDArray[np.float64],
    confidence: float,
    num_clusters: int,
) -> Interval | None:
    if wer_a == 0:
        return None
    change = np.where(drawn_b > 0, np.inf, 0.0)  # where a is 0: no change, or an infinite one
    np.divide(drawn_b - drawn_a, drawn_a, out=change, where=drawn_a > 0)
    interval = percentile_interval((wer_b - wer_a) / wer_a, change, confidence, num_clusters=num_clusters)
    return interval if interval.high is None or math.isfinite(interval.high) else None


def paired_bootstrap_mean(
    a: ArrayLike,
    b: ArrayLike,
    clusters: Sequence[Hashable],
    *,
    confidence: float = CONFIDENCE,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Mean of b - a, element by element the same prompt and seed, with an interval over resampled clusters."""
    column_a, column_b = _column("a", a), _column("b", b)
    if len(column_a) != len(column_b):
        raise ContractError(
            f"statistics: a has {len(column_a)} values and b has {len(column_b)}; pair them by prompt and seed first"
        )
    return bootstrap_mean(column_b - column_a, clusters, confidence=confidence, num_resamples=num_resamples, seed=seed)


def sign_test(wins: int, losses: int) -> float:
    """Two-sided p-value of wins against losses if both were equally likely (ties left out), exact.

    Raises:
        ContractError: A count is negative.
    """
    if wins < 0 or losses < 0:
        raise ContractError(f"statistics: counts cannot be negative, found {wins} wins and {losses} losses")
    trials = wins + losses
    if trials == 0:
        return 1.0
    term, tail = 1, 1
    for k in range(1, min(wins, losses) + 1):
        term = term * (trials - k + 1) // k  # binomial coefficient, exact in integers
        tail += term
    return min(1.0, 2 * tail / 2**trials)


def _reordered(sums: NDArray[np.float64], names: list[Hashable], order: list[Hashable]) -> NDArray[np.float64]:
    """Rows of `sums` in the order of the other system's clusters; raises when the two sets differ."""
    position = {name: k for k, name in enumerate(names)}
    absent = [name for name in order if name not in position]
    extra = set(names) - set(order)
    if absent or extra:
        example = absent[0] if absent else next(iter(extra))
        raise ContractError(
            f"statistics: the systems were asked different prompts ({len(absent)} only in a, {len(extra)} only in b, "
            f"e.g. {example!r}); count what is missing as an error before pairing"
        )
    return sums[[position[name] for name in order]]
