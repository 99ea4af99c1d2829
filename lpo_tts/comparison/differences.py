"""One system against the baseline on the same prompts: differences, gains by each judge, durations."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from lpo_tts.comparison.candidates import JudgedCandidate, MetricRole, group_by_prompt
from lpo_tts.comparison.results import Bootstrap, Change, Difference, DurationRatio, Gap
from lpo_tts.comparison.tally import Outcome
from lpo_tts.statistics import (
    Interval,
    PairedWer,
    paired_bootstrap_mean,
    paired_bootstrap_wer,
    percentile_interval,
    resampled_sums,
    sign_test,
)

Outcomes = Sequence[Outcome]  # one per candidate


def difference_of(
    system: str, baseline: str, role: MetricRole, old: Outcomes, new: Outcomes, bootstrap: Bootstrap
) -> Difference | None:
    """Paired difference new - old over the same prompts; None where there is nothing to compare."""
    old, new = [one for one in old if one.value is not None], [one for one in new if one.value is not None]
    if not old or not new:
        return None
    return (_ratio_difference if role.is_ratio else _mean_difference)(system, baseline, role, old, new, bootstrap)


def _ratio_difference(
    system: str, baseline: str, role: MetricRole, old: Outcomes, new: Outcomes, bootstrap: Bootstrap
) -> Difference:
    """Of the corpus value (missing counted), of the utterance mean, and wins per prompt."""
    settings = asdict(bootstrap)
    prompts_old, prompts_new = [one.prompt_id for one in old], [one.prompt_id for one in new]
    corpus = paired_bootstrap_wer(
        [one.errors for one in old],
        [one.weight for one in old],
        [one.errors for one in new],
        [one.weight for one in new],
        prompts_old,
        prompts_new,
        **settings,
    )
    # The same ratio of sums with one "word" per candidate is the mean over utterances.
    values_old, values_new = ([one.value or 0.0 for one in some] for some in (old, new))
    utterance = paired_bootstrap_wer(values_old, [1] * len(old), values_new, [1] * len(new), prompts_old, prompts_new, **settings)
    before, after = prompt_sums(old), prompt_sums(new)
    rates = [(before[name][0] / before[name][1], after[name][0] / after[name][1]) for name in before]
    falls, rises = sum(b < a for a, b in rates), sum(b > a for a, b in rates)
    wins, losses = (rises, falls) if role.higher_is_better else (falls, rises)
    return Difference(
        system=system,
        baseline=baseline,
        metric=role.name,
        old=corpus.wer_a,
        new=corpus.wer_b,
        difference=corpus.difference,
        relative=corpus.relative,
        utterance=_change(utterance),
        num_prompts=len(before),
        prompts_better=wins,
        prompts_worse=losses,
        prompts_equal=len(before) - wins - losses,
        sign_test_p=sign_test(wins, losses),
    )


def _change(paired: PairedWer) -> Change:
    return Change(old=paired.wer_a, new=paired.wer_b, difference=paired.difference, relative=paired.relative)


def prompt_sums(outcomes: Outcomes) -> dict[str, tuple[float, float]]:
    """(errors, words) of each prompt, all its seeds together."""
    sums: dict[str, tuple[float, float]] = {}
    for one in outcomes:
        if one.value is not None:
            errors, words = sums.get(one.prompt_id, (0, 0))
            sums[one.prompt_id] = (errors + one.errors, words + one.weight)
    return sums


def prompt_means(outcomes: Outcomes) -> dict[str, float]:
    """Mean value per prompt over the outcomes that have one; prompts without any are left out."""
    values: dict[str, list[float]] = {}
    for one in outcomes:
        if one.value is not None:
            values.setdefault(one.prompt_id, []).append(one.value)
    return {name: float(np.mean(some)) for name, some in values.items()}


def _mean_difference(
    system: str, baseline: str, role: MetricRole, old: Outcomes, new: Outcomes, bootstrap: Bootstrap
) -> Difference | None:
    """Of per-prompt means, over the prompts both systems have a value for."""
    before, after = prompt_means(old), prompt_means(new)
    shared = [name for name in before if name in after]
    if not shared:
        return None
    a, b = [before[name] for name in shared], [after[name] for name in shared]
    return Difference(
        system=system,
        baseline=baseline,
        metric=role.name,
        old=float(np.mean(a)),
        new=float(np.mean(b)),
        difference=paired_bootstrap_mean(a, b, shared, **asdict(bootstrap)),
        relative=None,
        num_prompts=len(shared),
    )


def gap_of(
    system: str,
    trained: MetricRole,
    other: MetricRole,
    outcomes: Sequence[Outcomes],
    bootstrap: Bootstrap,
) -> Gap | None:
    """Gain by the judge that chose the pairs less the gain by one that did not; well above 0 smells of reward hacking.

    Args:
        system: what gained.
        trained: the judge that chose the pairs.
        other: one that did not; of the same scale.
        outcomes: of baseline and system by the one, then by the other. All gains come from the same draws of prompts.
        bootstrap: how intervals are made.
    """
    tables = [prompt_sums(some) for some in outcomes]
    shared = [name for name in tables[0] if all(name in table for table in tables)]
    if not shared:
        return None
    sums = np.array([[number for table in tables for number in table[name]] for name in shared], dtype=np.float64)
    sign = -1 if trained.higher_is_better else 1

    def gains(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rates = rows[:, 0::2] / rows[:, 1::2]
        return sign * (rates[:, 0] - rates[:, 1]), sign * (rates[:, 2] - rates[:, 3])

    by_trained, by_other = gains(sums.sum(axis=0, keepdims=True))
    drawn_trained, drawn_other = gains(resampled_sums(sums, bootstrap.num_resamples, bootstrap.seed))

    def interval(estimate: np.ndarray, drawn: np.ndarray) -> Interval:
        return percentile_interval(float(estimate[0]), drawn, bootstrap.confidence, num_clusters=len(sums))

    return Gap(
        system=system,
        training_judge=trained.name,
        judge=other.name,
        gain_by_training_judge=interval(by_trained, drawn_trained),
        gain_by_judge=interval(by_other, drawn_other),
        gap=interval(by_trained - by_other, drawn_trained - drawn_other),
        num_prompts=len(shared),
    )


def duration_ratio(
    system: str,
    baseline: str,
    old: Sequence[JudgedCandidate],
    new: Sequence[JudgedCandidate],
    bootstrap: Bootstrap,
) -> DurationRatio | None:
    """Mean duration of the new candidates over that of the old ones, on prompts for which both have audio."""
    tables = []
    for candidates in (old, new):
        groups = group_by_prompt([one for one in candidates if not one.missing and one.duration is not None])
        tables.append({name: (sum(a.duration or 0.0 for a in group), len(group)) for name, group in groups.items()})
    shared = [name for name in tables[0] if name in tables[1]]
    sums = np.array([[*tables[0][name], *tables[1][name]] for name in shared], dtype=np.float64)
    if not shared or sums[:, 0].sum() <= 0:
        return None

    def ratio(rows: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return (rows[:, 2] / rows[:, 3]) / (rows[:, 0] / rows[:, 1])

    drawn = ratio(resampled_sums(sums, bootstrap.num_resamples, bootstrap.seed))
    estimate = float(ratio(sums.sum(axis=0, keepdims=True))[0])
    interval = percentile_interval(estimate, drawn[np.isfinite(drawn)], bootstrap.confidence, num_clusters=len(sums))
    return DurationRatio(system=system, baseline=baseline, ratio=interval, num_prompts=len(shared))
