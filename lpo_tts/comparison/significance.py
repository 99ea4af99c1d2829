"""What a difference shows: permutation test, equivalence by a margin, power, and one word for all of it.

One rule decides. A difference is shown where the paired permutation test gives p < alpha (1 - confidence), after Holm's
correction for a figure that belongs to the tested ones, and the interval of the difference excludes 0 too. The test
decides and the interval can only object: with a p that is small enough by a hair they may disagree, and then nothing is
called shown. A difference for the better is "better". Else the margin speaks, where the recipe names one: "equivalent"
needs both one-sided tests at alpha, "not worse" only that of the bad side, and this holds though the difference be certain,
since the margin says which differences are too small to matter. What is left is "worse" (or "different", for a metric
without a good direction), or "no difference shown". Equivalence is not corrected for the number of figures.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lpo_tts.comparison.candidates import MetricRole
from lpo_tts.comparison.columns import Drawn, Table
from lpo_tts.comparison.figures import main_figure
from lpo_tts.comparison.results import Bootstrap, Difference, Test, Verdict
from lpo_tts.scale import PERCENT
from lpo_tts.statistics import (
    Equivalence,
    Interval,
    Permutation,
    detectable,
    equivalence_test,
    holm,
    influences,
    permutation_test,
    prompts_needed,
)

HALF_POINT = 0.005  # the difference of fractions that power speaks of


@dataclass(frozen=True)
class Evidence:
    """What is computed of one difference, before the number of tested figures is known.

    Attributes:
        role: the metric.
        difference: of the figure that stands for it.
        permutation: test of that difference.
        equivalence: None without a margin, or with too few prompts.
        spread: standard deviation of what one prompt adds to the difference.
        num_prompts: prompts that both systems have.
    """

    role: MetricRole
    difference: Interval
    permutation: Permutation
    equivalence: Equivalence | None
    spread: float
    num_prompts: int


def evidence_of(
    role: MetricRole,
    difference: Interval,
    tables: tuple[Table, Table],
    drawn: tuple[Drawn, Drawn],
    average: str,
    bootstrap: Bootstrap,
    num_permutations: int,
) -> Evidence:
    """Tests of the figure that stands for a metric.

    Args:
        role: the metric.
        difference: of that figure.
        tables: of old and new on the prompts that both have.
        drawn: their figures on the same draws.
        average: what stands for a ratio.
        bootstrap: its confidence and seed serve the tests too.
        num_permutations: drawn at most.
    """
    figure = main_figure(role, average)
    here = tables[0].bottom(figure) > 0
    # Per candidate, so that a prompt's entries can change places where the systems have different numbers of seeds.
    old, new = (table.rates(figure)[here] / table.count(figure)[here].mean() for table in tables)
    equivalence = None
    if role.margin is not None:
        resamples = drawn[1].resamples[figure] - drawn[0].resamples[figure]
        equivalence = equivalence_test(
            difference.estimate,
            resamples[~np.isnan(resamples)],
            role.margin,
            alpha=1 - bootstrap.confidence,
            num_clusters=difference.num_clusters,
        )
    return Evidence(
        role=role,
        difference=difference,
        permutation=permutation_test(old, new, num_permutations=num_permutations, seed=bootstrap.seed),
        equivalence=equivalence,
        spread=float(influences(old, new).std(ddof=1)) if here.sum() > 1 else 0.0,
        num_prompts=int(here.sum()),
    )


def with_tests(found: Sequence[tuple[Difference, Evidence]], confidence: float) -> list[Difference]:
    """Differences with their tests, corrected for how many of them are of tested metrics."""
    alpha = 1 - confidence
    family = [k for k, (_, evidence) in enumerate(found) if evidence.role.tested]
    corrected = dict(zip(family, holm([found[k][1].permutation.p for k in family]), strict=True))
    # Holm's first step asks the smallest p to be below alpha / number of tests: so many prompts are needed at worst.
    return [
        replace(difference, test=_test(evidence, corrected.get(k), alpha, alpha / len(family) if k in corrected else alpha))
        for k, (difference, evidence) in enumerate(found)
    ]


def _test(evidence: Evidence, holm_p: float | None, alpha: float, strict: float) -> Test:
    role, found, equivalence = evidence.role, evidence.permutation, evidence.equivalence
    p = found.p if holm_p is None else holm_p
    target = HALF_POINT if role.unit == PERCENT else role.margin
    not_worse = None
    if equivalence is not None and role.graded:
        not_worse = equivalence.above_p if role.higher_is_better else equivalence.below_p
    return Test(
        verdict=_verdict(evidence, p, not_worse, alpha),
        tested=role.tested,
        permutation_p=found.p,
        exact=found.exact,
        num_permutations=found.num_permutations,
        holm_p=holm_p,
        margin=role.margin,
        equivalence=None if equivalence is None else equivalence.interval,
        equivalence_p=None if equivalence is None else equivalence.p,
        not_worse_p=not_worse,
        target=target,
        prompts_needed=None if target is None else prompts_needed(evidence.spread, target, alpha=strict),
        detectable=detectable(evidence.spread, evidence.num_prompts, alpha=strict),
    )


def _verdict(evidence: Evidence, p: float, not_worse: float | None, alpha: float) -> Verdict:
    role, difference = evidence.role, evidence.difference
    smallest = 2.0 ** (1 - evidence.num_prompts)  # p of the one permutation, and its mirror, that no other exceeds
    if difference.low is None or smallest >= alpha:
        return "too few prompts"
    shown = p < alpha and difference.excludes_zero
    better = (difference.estimate > 0) == role.higher_is_better
    if shown and role.graded and better:
        return "better"
    if evidence.equivalence is not None and evidence.equivalence.p < alpha:
        return "equivalent"
    if not_worse is not None and not_worse < alpha:
        return "not worse"
    if shown:
        return "worse" if role.graded else "different"
    return "no difference shown"
