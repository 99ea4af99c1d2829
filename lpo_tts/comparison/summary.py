"""Judged candidates to a report: per system, judge, group and seed, with intervals, paired differences and tests."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import get_args

import numpy as np

from lpo_tts.comparison.candidates import JudgedCandidate, MetricRole, check_candidates, filled, systems_of
from lpo_tts.comparison.columns import SUMS, Table
from lpo_tts.comparison.differences import length_ratio
from lpo_tts.comparison.examples import choose_examples
from lpo_tts.comparison.figures import Average, main_figure
from lpo_tts.comparison.groups import groups, num_words, per_seed
from lpo_tts.comparison.measured import Comparison, Measured
from lpo_tts.comparison.results import Bootstrap, Difference, PromptRow, Report, SystemRow
from lpo_tts.comparison.rows import row_of
from lpo_tts.comparison.significance import with_tests
from lpo_tts.comparison.tally import outcomes_of, weights_of
from lpo_tts.comparison.verdict import with_verdict
from lpo_tts.errors import ConfigError
from lpo_tts.statistics import CONFIDENCE, NUM_PERMUTATIONS, NUM_RESAMPLES


def summarise(
    candidates: Sequence[JudgedCandidate],
    roles: Sequence[MetricRole],
    baseline: str | None = None,
    *,
    average: Average = "corpus",
    confidence: float = CONFIDENCE,
    num_resamples: int = NUM_RESAMPLES,
    num_permutations: int = NUM_PERMUTATIONS,
    seed: int = 0,
    num_examples: int = 4,
) -> Report:
    """All numbers of a report.

    Args:
        candidates: Of all systems; one that does not exist is counted as missing, so a model that fails on hard
            prompts cannot score better for it.
        roles: The metrics to report, in order.
        baseline: System the others are compared with; None when there is only one.
        average: What stands for a ratio, in the headline and in all tests: "corpus" (errors / words) or "utterance" (mean of
            rates); with `_evaluated` behind it, candidates without a value are left out, as seed-tts-eval does.
        confidence: Of all intervals; a difference is tested at 1 - confidence.
        num_resamples: Of all bootstraps.
        num_permutations: Of every permutation test, at most.
        seed: Of all bootstraps and permutations.
        num_examples: Prompts to listen to in each of three groups (improved, worse, unchanged) of the first system that is
            compared; half as many of each further one.

    Raises:
        ConfigError: The baseline is not among the systems, or a setting is out of range.
        ContractError: A candidate stands twice, lacks a judgement, or systems disagree on a prompt's text.
    """
    if average not in get_args(Average):
        raise ConfigError(f"report: average = {average!r} is none of {', '.join(get_args(Average))}")
    if not 0.5 < confidence < 1:
        raise ConfigError(f"report: expected a confidence in (0.5, 1), such as 0.95, found {confidence}")
    least = round(2 / (1 - confidence))  # with fewer, no resample lies beyond an end, and no p can be below 1 - confidence
    if min(num_resamples, num_permutations) < least:
        found = f"num_resamples = {num_resamples}, num_permutations = {num_permutations}"
        raise ConfigError(f"report: expected resamples and permutations of at least {least}, found {found}")
    check_candidates(candidates, roles)
    candidates = filled(candidates)
    systems = systems_of(candidates)
    if baseline is not None and baseline not in systems:
        raise ConfigError(f"report: baseline {baseline!r} has no candidates (systems: {', '.join(systems) or 'none'})")
    own = {system: [one for one in candidates if one.system == system] for system in systems}
    weights = {role.name: weights_of(candidates, role.name) for role in roles}
    outcomes = {(system, role.name): outcomes_of(own[system], role, weights[role.name]) for role in roles for system in systems}
    bootstrap = Bootstrap(confidence=confidence, num_resamples=num_resamples, seed=seed)
    compared = Comparison(own, outcomes, roles, baseline, average, bootstrap, num_permutations)
    measured = {role.name: compared.measure(role) for role in roles}
    tables = {name: found.tables for name, found in measured.items()}
    report = Report(
        systems=tuple(systems),
        baseline=baseline,
        average=average,
        bootstrap=bootstrap,
        num_prompts=len(compared.prompts),
        seeds=tuple(sorted({one.seed for one in candidates})),
        metrics=tuple(roles),
        results={system: _system_row(compared, system, measured) for system in systems},
        groups=tuple(groups(compared)),
        per_seed=tuple(per_seed(compared)),
        differences=tuple(_differences(compared, measured)),
        gaps=tuple(compared.gaps(tables)),
        durations=tuple(compared.durations()),
        examples=choose_examples(own, roles, baseline, outcomes, num_examples),
        prompts=tuple(_prompts(compared, tables)),
    )
    return with_verdict(report)


def _differences(compared: Comparison, measured: Mapping[str, Measured]) -> list[Difference]:
    """Every system less the baseline with its test, system by system."""
    found = [(one, evidence) for role in compared.roles for one, evidence in measured[role.name].differences if evidence]
    order = {system: place for place, system in enumerate(compared.others)}
    return sorted(with_tests(found, compared.bootstrap.confidence), key=lambda one: order[one.system])


def _system_row(compared: Comparison, system: str, measured: Mapping[str, Measured]) -> SystemRow:
    own = compared.candidates[system]
    heard = [one for one in own if one.has_audio]
    durations = [one.duration for one in heard if one.duration is not None]
    unfinished = sum(not one.finished for one in own)
    figures = {role.name: measured[role.name].figures[system] for role in compared.roles}
    return SystemRow(
        asked=len(own),
        missing=sum(one.missing for one in own),
        unreadable=sum(one.unreadable for one in own),
        unfinished=unfinished,
        unfinished_share=unfinished / len(own),
        mean_duration=math.fsum(durations) / len(durations) if durations else None,
        metrics={role.name: row_of(compared.outcomes[system, role.name], role, figures[role.name]) for role in compared.roles},
        figures=figures,
        length_ratio=length_ratio(own, compared.prompts, compared.draws, compared.bootstrap),
    )


def _prompts(compared: Comparison, tables: Mapping[str, Mapping[str, Table]]) -> Iterator[PromptRow]:
    """What every metric says of every system, prompt by prompt."""
    first: dict[str, JudgedCandidate] = {}
    for one in compared.all:
        first.setdefault(one.prompt_id, one)
    missing = {system: dict.fromkeys(first, 0) for system in compared.candidates}
    unreadable: dict[str, dict[str, int]] = {name: {} for name in first}
    for one in compared.all:
        missing[one.system][one.prompt_id] += one.missing
        if one.unreadable:
            found = unreadable[one.prompt_id]
            found[one.system] = found.get(one.system, 0) + 1
    rates = {
        (system, role.name): tables[role.name][system].rates(main_figure(role, "corpus")).tolist()
        for system in compared.candidates
        for role in compared.roles
    }
    columns = {
        (system, role.name): np.stack([tables[role.name][system].columns[one] for one in SUMS[role.aggregate]], axis=1).tolist()
        for system in compared.candidates
        for role in compared.roles
    }
    for name, place in compared.prompts.items():
        values: dict[str, dict[str, float | None]] = {system: {} for system in compared.candidates}
        for (system, metric), rows in rates.items():
            top, bottom = rows[place]
            values[system][metric] = top / bottom if bottom > 0 else None
        sums: dict[str, dict[str, tuple[float, ...]]] = {system: {} for system in compared.candidates}
        for (system, metric), rows in columns.items():
            sums[system][metric] = tuple(rows[place])
        yield PromptRow(
            prompt_id=name,
            text=first[name].text,
            num_words=num_words(first[name].text),
            tags=first[name].tags,
            values=values,
            missing={system: counts[name] for system, counts in missing.items()},
            unreadable=unreadable[name],
            sums=sums,
        )
