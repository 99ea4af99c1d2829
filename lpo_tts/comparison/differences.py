"""One system against the baseline on the same prompts: differences of all figures, gains by each judge, durations."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from lpo_tts.comparison.candidates import JudgedCandidate, MetricRole
from lpo_tts.comparison.columns import Drawn, Table
from lpo_tts.comparison.figures import main_figure
from lpo_tts.comparison.results import Bootstrap, Change, Difference, DurationRatio, Gap
from lpo_tts.statistics import Draws, Interval, percentile_interval, relative_interval, sign_test


def difference_of(
    system: str,
    baseline: str,
    role: MetricRole,
    tables: tuple[Table, Table],
    drawn: tuple[Drawn, Drawn],
    average: str,
    bootstrap: Bootstrap,
) -> Difference | None:
    """Paired difference new - old of every figure over the same prompts; None where there is nothing to compare.

    Args:
        system: the new one.
        baseline: the old one.
        role: the metric.
        tables: of old and new on the prompts that both have (`columns.paired`).
        drawn: their figures on the same draws.
        average: what stands for a ratio.
        bootstrap: how intervals are made.
    """
    figure = main_figure(role, average)
    main = _change(figure, drawn, bootstrap, role.is_ratio)
    if main is None:
        return None
    figures = {name: _interval(name, drawn, bootstrap) for name in tables[0].figures}
    wins, losses, num_prompts = _wins(role, tables, figure)
    return Difference(
        system=system,
        baseline=baseline,
        metric=role.name,
        old=main.old,
        new=main.new,
        difference=main.difference,
        relative=main.relative,
        num_prompts=num_prompts,
        prompts_better=wins if role.is_ratio else None,
        prompts_worse=losses if role.is_ratio else None,
        prompts_equal=num_prompts - wins - losses if role.is_ratio else None,
        sign_test_p=sign_test(wins, losses) if role.is_ratio else None,
        figures=figures,
    )


def _interval(figure: str, drawn: tuple[Drawn, Drawn], bootstrap: Bootstrap) -> Interval | None:
    old, new = drawn
    estimate = new.estimates[figure] - old.estimates[figure]
    if np.isnan(estimate):
        return None
    resamples = new.resamples[figure] - old.resamples[figure]
    num_prompts = min(old.num_prompts[figure], new.num_prompts[figure])
    return percentile_interval(estimate, resamples[~np.isnan(resamples)], bootstrap.confidence, num_clusters=num_prompts)


def _change(figure: str, drawn: tuple[Drawn, Drawn], bootstrap: Bootstrap, relative: bool) -> Change | None:
    difference = _interval(figure, drawn, bootstrap)
    if difference is None:
        return None
    a, b = (one.estimates[figure] for one in drawn)
    both = [one.resamples[figure] for one in drawn]
    kept = ~np.isnan(both[0]) & ~np.isnan(both[1])
    change = None
    if relative:
        change = relative_interval(a, b, both[0][kept], both[1][kept], bootstrap.confidence, difference.num_clusters)
    return Change(old=a, new=b, difference=difference, relative=change)


def _wins(role: MetricRole, tables: tuple[Table, Table], figure: str) -> tuple[int, int, int]:
    """Prompts in which the new system is better by a figure, those in which it is worse, and all."""
    old, new = (table.rates(figure) for table in tables)
    here = old[:, 1] > 0
    change = new[here, 0] / new[here, 1] - old[here, 0] / old[here, 1]
    change[np.abs(change) < 1e-12] = 0
    rises, falls = int((change > 0).sum()), int((change < 0).sum())
    return (rises, falls, len(change)) if role.higher_is_better else (falls, rises, len(change))


def gap_of(
    system: str,
    trained: MetricRole,
    other: MetricRole,
    tables: Sequence[Table],
    average: str,
    draws: Draws,
    bootstrap: Bootstrap,
) -> Gap | None:
    """Gain by the judge that chose the pairs less the gain by one that did not; well above 0 smells of reward hacking.

    Args:
        system: what gained.
        trained: the judge that chose the pairs.
        other: one that did not; of the same scale.
        tables: of baseline and system by the one, then by the other.
        average: what stands for a ratio.
        draws: of prompts, shared by all gains.
        bootstrap: how intervals are made.
    """
    figure = main_figure(trained, average)
    rates = [table.rates(figure) for table in tables]
    shared = np.logical_and.reduce([table[:, 1] > 0 for table in rates])
    if not shared.any():
        return None
    columns = np.concatenate([_per_prompt(table, trained) * shared[:, None] for table in rates], axis=1)
    sign = 1 if trained.higher_is_better else -1

    def gains(sums: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        values = sums[:, 0::2] / sums[:, 1::2]
        return sign * (values[:, 1] - values[:, 0]), sign * (values[:, 3] - values[:, 2])

    drawn = draws.sums(columns)
    by_trained, by_other = gains(columns.sum(axis=0, keepdims=True))
    drawn_trained, drawn_other = gains(drawn[drawn[:, 1] > 0])

    def interval(estimate: NDArray[np.float64], resamples: NDArray[np.float64]) -> Interval:
        return percentile_interval(float(estimate[0]), resamples, bootstrap.confidence, num_clusters=int(shared.sum()))

    return Gap(
        system=system,
        training_judge=trained.name,
        judge=other.name,
        gain_by_training_judge=interval(by_trained, drawn_trained),
        gain_by_judge=interval(by_other, drawn_other),
        gap=interval(by_trained - by_other, drawn_trained - drawn_other),
        num_prompts=int(shared.sum()),
    )


def _per_prompt(rates: NDArray[np.float64], role: MetricRole) -> NDArray[np.float64]:
    """Of a plain mean, a prompt counts once by the mean of its seeds."""
    if role.is_ratio:
        return rates
    here = rates[:, 1] > 0
    means = np.divide(rates[:, 0], rates[:, 1], out=np.zeros(len(rates)), where=here)
    return np.stack([means, here.astype(np.float64)], axis=1)


def duration_ratio(
    system: str,
    baseline: str,
    candidates: tuple[Sequence[JudgedCandidate], Sequence[JudgedCandidate]],
    prompts: Mapping[str, int],
    draws: Draws,
    bootstrap: Bootstrap,
) -> DurationRatio | None:
    """Mean duration of the new candidates over that of the old ones, on prompts for which both have audio."""
    tables = []
    for own in candidates:
        found = [(prompts[one.prompt_id], one.duration) for one in own if not one.missing and one.duration is not None]
        places, seconds = [place for place, _ in found], [duration for _, duration in found]
        tables += [_summed(places, seconds, len(prompts)), _summed(places, [1.0] * len(places), len(prompts))]
    shared = (tables[1] > 0) & (tables[3] > 0)
    ratio = _mean_ratio(np.stack(tables, axis=1) * shared[:, None], draws, bootstrap)
    return None if ratio is None else DurationRatio(system=system, baseline=baseline, ratio=ratio, num_prompts=int(shared.sum()))


def length_ratio(
    candidates: Sequence[JudgedCandidate], prompts: Mapping[str, int], draws: Draws, bootstrap: Bootstrap
) -> Interval | None:
    """Mean duration of a system's candidates over that of the real recordings of their texts; None without recordings."""
    found = [
        (prompts[one.prompt_id], one.duration, one.target_duration)
        for one in candidates
        if not one.missing and one.duration is not None and one.target_duration is not None
    ]
    places = [place for place, _, _ in found]
    parts = ([target for _, _, target in found], [1.0] * len(found), [duration for _, duration, _ in found], [1.0] * len(found))
    return _mean_ratio(np.stack([_summed(places, part, len(prompts)) for part in parts], axis=1), draws, bootstrap)


def _summed(places: Sequence[int], values: Sequence[float], num_prompts: int) -> NDArray[np.float64]:
    return np.bincount(np.array(places, dtype=np.int64), np.array(values, dtype=np.float64), num_prompts).astype(np.float64)


def _mean_ratio(columns: NDArray[np.float64], draws: Draws, bootstrap: Bootstrap) -> Interval | None:
    """Mean new over mean old of columns (num_prompts, 4): old sum, old count, new sum, new count."""
    total = columns.sum(axis=0)
    if total[0] <= 0 or total[3] <= 0:
        return None

    def ratio(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        return (sums[:, 2] / sums[:, 3]) / (sums[:, 0] / sums[:, 1])

    drawn = draws.sums(columns)
    resamples = ratio(drawn[(drawn[:, 0] > 0) & (drawn[:, 3] > 0)])
    count = int(np.count_nonzero(columns[:, 1]))
    return percentile_interval(float(ratio(total[None])[0]), resamples, bootstrap.confidence, num_clusters=count)
