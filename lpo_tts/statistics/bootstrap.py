"""Cluster bootstrap of one rate or mean, and of the paired difference of two systems over the same prompts."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lpo_tts.errors import ContractError
from lpo_tts.statistics.draws import cluster_sums, resampled_sums
from lpo_tts.statistics.intervals import CONFIDENCE, NUM_RESAMPLES, Interval, check_settings, percentile_interval


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


def _column(name: str, values: ArrayLike) -> NDArray[np.float64]:
    column = np.asarray(values, dtype=np.float64)
    if column.ndim != 1:
        raise ContractError(f"statistics: {name} must be one number per answer, found shape {column.shape}")
    if not np.isfinite(column).all():
        where = int(np.flatnonzero(~np.isfinite(column))[0])
        raise ContractError(f"statistics: {name}[{where}] is {column[where]}; leave out what could not be scored and count it")
    return column


def _ratio_interval(
    top: NDArray[np.float64],
    bottom: NDArray[np.float64],
    clusters: Sequence[Hashable],
    confidence: float,
    num_resamples: int,
    seed: int,
) -> Interval:
    """Interval of sum(top) / sum(bottom); bottom must be positive in every cluster that is kept."""
    check_settings(confidence, num_resamples)
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
    check_settings(confidence, num_resamples)
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
        relative=relative_interval(wer_a, wer_b, drawn_a, drawn_b, confidence, len(sums)),
    )


def relative_interval(
    wer_a: float,
    wer_b: float,
    drawn_a: NDArray[np.float64],
    drawn_b: NDArray[np.float64],
    confidence: float,
    num_clusters: int,
) -> Interval | None:
    """The relative change (b - a) / a with its interval; None where a makes no error, or too often to bound the change."""
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
