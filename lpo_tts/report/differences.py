"""One system against the baseline on the same prompts: differences, gains by each judge, durations."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lpo_tts.report.answers import JudgedAnswer, MetricRole, group_by_prompt
from lpo_tts.report.tally import Outcome, as_json
from lpo_tts.statistics import (
    PairedWer,
    paired_bootstrap_mean,
    paired_bootstrap_wer,
    percentile_interval,
    resampled_sums,
    sign_test,
)

Outcomes = Mapping[tuple[str, str], Sequence[Outcome]]  # (system, metric) -> one per answer
Settings = Mapping[str, Any]  # confidence, num_resamples, seed


def wer_difference(old: Sequence[Outcome], new: Sequence[Outcome], settings: Settings) -> dict[str, Any] | None:
    """Paired difference new - old of the WER (missing counted), of the utterance mean, and wins per prompt."""
    old, new = [one for one in old if one.words], [one for one in new if one.words]
    if not old or not new:
        return None
    prompts_old, prompts_new = [one.prompt_id for one in old], [one.prompt_id for one in new]
    corpus = paired_bootstrap_wer(
        [one.errors for one in old],
        [one.words for one in old],
        [one.errors for one in new],
        [one.words for one in new],
        prompts_old,
        prompts_new,
        **settings,
    )
    # The same ratio of sums with one "word" per answer is the mean over utterances.
    utterance = paired_bootstrap_wer(
        [one.wer for one in old], [1] * len(old), [one.wer for one in new], [1] * len(new), prompts_old, prompts_new, **settings
    )
    before, after = prompt_rates(old), prompt_rates(new)
    wins = sum(after[name][0] / after[name][1] < before[name][0] / before[name][1] for name in before)
    losses = sum(after[name][0] / after[name][1] > before[name][0] / before[name][1] for name in before)
    return {
        "old": corpus.wer_a,
        "new": corpus.wer_b,
        "difference": as_json(corpus.difference),
        "relative": as_json(corpus.relative),
        "utterance": _utterance_json(utterance),
        "num_prompts": len(before),
        "prompts_better": wins,
        "prompts_worse": losses,
        "prompts_equal": len(before) - wins - losses,
        "sign_test_p": sign_test(wins, losses),
    }


def _utterance_json(paired: PairedWer) -> dict[str, Any]:
    return {
        "old": paired.wer_a,
        "new": paired.wer_b,
        "difference": as_json(paired.difference),
        "relative": as_json(paired.relative),
    }


def prompt_rates(outcomes: Sequence[Outcome]) -> dict[str, tuple[int, int]]:
    """(errors, words) of each prompt, all its seeds together."""
    sums: dict[str, tuple[int, int]] = {}
    for one in outcomes:
        if one.words:
            errors, words = sums.get(one.prompt_id, (0, 0))
            sums[one.prompt_id] = (errors + one.errors, words + one.words)
    return sums


def prompt_means(answers: Sequence[JudgedAnswer], metric: str) -> dict[str, float]:
    """Mean value of a metric per prompt over the answers it could score; prompts without any are left out."""
    means: dict[str, float] = {}
    for name, group in group_by_prompt(answers).items():
        values = [answer.judgements[metric]["value"] for answer in group if metric in answer.judgements and not answer.missing]
        values = [value for value in values if value is not None]
        if values:
            means[name] = float(np.mean(values))
    return means


def mean_difference(
    old: Sequence[JudgedAnswer], new: Sequence[JudgedAnswer], metric: str, settings: Settings
) -> dict[str, Any] | None:
    """Paired difference new - old of per-prompt means, over the prompts both systems have a value for."""
    before, after = prompt_means(old, metric), prompt_means(new, metric)
    shared = [name for name in before if name in after]
    if not shared:
        return None
    a, b = [before[name] for name in shared], [after[name] for name in shared]
    return {
        "old": float(np.mean(a)),
        "new": float(np.mean(b)),
        "difference": as_json(paired_bootstrap_mean(a, b, shared, **settings)),
        "relative": None,
        "num_prompts": len(shared),
        "prompts_better": None,
        "prompts_worse": None,
    }


def judge_gap(
    trained: MetricRole, held_out: MetricRole, outcomes: Outcomes, baseline: str, system: str, settings: Settings
) -> dict[str, Any] | None:
    """Gain by the judge that chose the pairs less the gain by one that did not; well above 0 smells of reward hacking.

    Both gains (baseline WER - system WER) come from the same draws of prompts.
    """
    tables = [prompt_rates(outcomes[name, role.name]) for role in (trained, held_out) for name in (baseline, system)]
    shared = [name for name in tables[0] if all(name in table for table in tables)]
    if not shared:
        return None
    sums = np.array([[number for table in tables for number in table[name]] for name in shared], dtype=np.float64)

    def gains(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rates = rows[:, 0::2] / rows[:, 1::2]
        return rates[:, 0] - rates[:, 1], rates[:, 2] - rates[:, 3]

    by_trained, by_held_out = gains(sums.sum(axis=0, keepdims=True))
    drawn_trained, drawn_held_out = gains(resampled_sums(sums, settings["num_resamples"], settings["seed"]))

    def interval(estimate: np.ndarray, drawn: np.ndarray) -> dict[str, Any] | None:
        return as_json(percentile_interval(float(estimate[0]), drawn, settings["confidence"], num_clusters=len(sums)))

    return {
        "system": system,
        "training_judge": trained.name,
        "judge": held_out.name,
        "gain_by_training_judge": interval(by_trained, drawn_trained),
        "gain_by_judge": interval(by_held_out, drawn_held_out),
        "gap": interval(by_trained - by_held_out, drawn_trained - drawn_held_out),
        "num_prompts": len(shared),
    }


def duration_ratio(old: Sequence[JudgedAnswer], new: Sequence[JudgedAnswer], settings: Settings) -> dict[str, Any] | None:
    """Mean duration of the new answers over that of the old ones, on prompts for which both have audio."""
    tables = []
    for answers in (old, new):
        groups = group_by_prompt([answer for answer in answers if not answer.missing and answer.duration is not None])
        tables.append({name: (sum(a.duration or 0.0 for a in group), len(group)) for name, group in groups.items()})
    shared = [name for name in tables[0] if name in tables[1]]
    sums = np.array([[*tables[0][name], *tables[1][name]] for name in shared], dtype=np.float64)
    if not shared or sums[:, 0].sum() <= 0:
        return None

    def ratio(rows: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return (rows[:, 2] / rows[:, 3]) / (rows[:, 0] / rows[:, 1])

    drawn = ratio(resampled_sums(sums, settings["num_resamples"], settings["seed"]))
    estimate = float(ratio(sums.sum(axis=0, keepdims=True))[0])
    interval = percentile_interval(estimate, drawn[np.isfinite(drawn)], settings["confidence"], num_clusters=len(sums))
    return {"ratio": as_json(interval), "num_prompts": len(shared)}
