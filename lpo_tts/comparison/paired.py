"""Differences between systems of different runs, paired by prompt, from the sums that reports keep of every prompt."""

from collections.abc import Mapping, Sequence
from typing import get_args

import numpy as np

from lpo_tts.comparison.candidates import MetricRole
from lpo_tts.comparison.columns import SUMS, Table, draw, paired
from lpo_tts.comparison.differences import difference_of
from lpo_tts.comparison.figures import Average
from lpo_tts.comparison.reports import Source
from lpo_tts.comparison.results import Difference
from lpo_tts.comparison.significance import evidence_of, with_tests
from lpo_tts.statistics import NUM_PERMUTATIONS, Draws

FIGURES = {"ratio": get_args(Average), "mean": ("mean",)}  # what can be had from the sums; quantiles, for one, cannot

Place = tuple[Source, str]  # a report, and a system in it


def differences_between(
    reference: Place, others: Mapping[str, Place], metrics: Mapping[str, Sequence[MetricRole]], average: str
) -> dict[str, dict[str, Difference]]:
    """Every other system less the reference, metric by metric, by the rules of a report's own differences.

    All are computed on the same draws of prompts. Holm's correction counts every tested difference that is returned.

    Args:
        reference: what the differences start from.
        others: by the name of their row; their reports are on the same prompts.
        metrics: row -> metrics that it shares with the reference, from judges with the same settings.
        average: what stands for a ratio; the tests speak of it.

    Returns:
        row -> metric -> difference; metrics without sums per prompt, or without a shared prompt, are left out.
    """
    source, system = reference
    prompts = list(source.prompts)
    if not prompts:
        return {}
    draws = Draws(len(prompts), source.bootstrap.num_resamples, source.bootstrap.seed)
    found, places = [], []
    for row, (other, name) in others.items():
        for role in metrics[row]:
            old, new = (_table(one, which, role, prompts) for one, which in ((source, system), (other, name)))
            if old is None or new is None:
                continue
            pair = paired(old, new, role)
            first, second = draw(pair, draws)
            difference = difference_of(row, system, role, pair, (first, second), average, source.bootstrap)
            if difference is not None:
                settings = (average, source.bootstrap, NUM_PERMUTATIONS)
                found.append((difference, evidence_of(role, difference.difference, pair, *settings)))
                places.append((row, role.name))
    result: dict[str, dict[str, Difference]] = {}
    for (row, metric), one in zip(places, with_tests(found, source.bootstrap.confidence), strict=True):
        result.setdefault(row, {})[metric] = one
    return result


def _table(source: Source, system: str, role: MetricRole, prompts: Sequence[str]) -> Table | None:
    """The columns of one system under one metric, prompts in this order; None where its report holds no sums of them."""
    names = SUMS[role.aggregate]
    rows = [source.prompts[name].sums.get(system, {}).get(role.name) for name in prompts]
    if not any(rows):
        return None
    columns = np.array([row or (0.0,) * len(names) for row in rows], dtype=np.float64)
    nothing = np.zeros(0)
    return Table(
        figures=FIGURES[role.aggregate],
        columns={name: columns[:, k] for k, name in enumerate(names)},
        values=nothing,
        places=nothing.astype(np.int64),
    )
