"""What a difference shows: permutation test, equivalence by a margin, power, and one word for all of it.

One rule decides. A difference is shown where the paired permutation test gives p < alpha (1 - confidence), after Holm's
correction for a figure that belongs to the tested ones, and the interval of the difference, where there is one, excludes 0
too. The test decides and the interval can only object: with a p that is small enough by a hair they may disagree, and then
nothing is called shown. A difference for the better is "better". Else the margin speaks, where the recipe names one:
"equivalent" needs both one-sided tests at alpha, "not worse" only that of the bad side, and this holds though the difference
be certain, since the margin says which differences are too small to matter. What is left is "worse" (or "different", for a
metric without a good direction), "too few prompts" where no permutation could have given a p that is small enough, or "no
difference shown". Equivalence is not corrected for the number of figures.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lpo_tts.comparison.candidates import MetricRole
from lpo_tts.comparison.columns import Table
from lpo_tts.comparison.figures import main_figure
from lpo_tts.comparison.results import Bootstrap, Difference, Test, Verdict
from lpo_tts.scale import PERCENT
from lpo_tts.statistics import (
    MIN_CLUSTERS,
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
    average: str,
    bootstrap: Bootstrap,
    num_permutations: int,
) -> Evidence:
    """Tests of the figure that stands for a metric.

    Args:
        role: the metric.
        difference: of that figure.
        tables: of old and new on the prompts that both have.
        average: what stands for a ratio.
        bootstrap: its confidence and seed serve the tests too.
        num_permutations: drawn at most.
    """
    figure = main_figure(role, average)
    here = tables[0].bottom(figure) > 0
    # Per candidate, so that a prompt's entries can change places where the systems have different numbers of seeds.
    old, new = (table.rates(figure)[here] / table.count(figure)[here].mean() for table in tables)
    equivalence, bound = None, bound_of(role, old, new)
    if role.margin is not None and bound > 0:
        equivalence = equivalence_test(
            old,
            new,
            role.margin,
            bound,
            alpha=1 - bootstrap.confidence,
            num_resamples=bootstrap.num_resamples,
            seed=bootstrap.seed,
        )
    return Evidence(
        role=role,
        difference=difference,
        permutation=permutation_test(old, new, num_permutations=num_permutations, seed=bootstrap.seed),
        equivalence=equivalence,
        spread=float(influences(old, new).std(ddof=1)) if here.sum() > 1 else 0.0,
        num_prompts=int(here.sum()),
    )


def bound_of(role: MetricRole, old: NDArray[np.float64], new: NDArray[np.float64]) -> float:
    """By how much two systems can differ on one prompt that was not asked, for the test of equivalence.

    Of fractions it is 1. Of other values it is the distance from what a failed prompt has, the metric's `missing` or its
    `worst`, to the systems' means, by the one that is farther away. It is no less than what was seen on a prompt. A
    metric that names neither gets the range of the values that were seen: there the test does not guard against failures
    that are rarer than those.

    Args:
        role: the metric.
        old: (num_prompts, 2) numerator and denominator of the old system for each prompt.
        new: (num_prompts, 2) the same of the new one.

    Returns:
        0 where nothing is known: no value is named, and all that were seen are the same.
    """
    values = np.stack([table[:, 0] / table[:, 1] for table in (old, new)])
    failed = role.worst if role.missing is None else role.missing
    if role.unit == PERCENT:
        known = 1.0
    elif failed is not None:
        known = max(abs(failed - float(table[:, 0].sum() / table[:, 1].sum())) for table in (old, new))
    else:
        known = float(np.ptp(values))
    return max(known, float(np.abs(values[1] - values[0]).max()))


def with_tests(found: Sequence[tuple[Difference, Evidence]], confidence: float) -> list[Difference]:
    """Differences with their tests, corrected for how many of them are of tested metrics."""
    alpha = 1 - confidence
    family = [k for k, (_, evidence) in enumerate(found) if evidence.role.tested]
    corrected = dict(zip(family, holm([found[k][1].permutation.p for k in family]), strict=True))
    # The p of one permutation and its mirror, where no other has a larger difference: the smallest that the prompts allow.
    least = [2.0 ** (1 - evidence.num_prompts) for _, evidence in found]
    reachable = dict(enumerate(least)) | dict(zip(family, holm([least[k] for k in family]), strict=True))
    # Holm's first step asks the smallest p to be below alpha / number of tests: so many prompts are needed at worst.
    return [
        replace(
            difference,
            test=_test(evidence, corrected.get(k), reachable[k], alpha, alpha / len(family) if k in corrected else alpha),
        )
        for k, (difference, evidence) in enumerate(found)
    ]


def _test(evidence: Evidence, holm_p: float | None, reachable: float, alpha: float, strict: float) -> Test:
    role, found, equivalence = evidence.role, evidence.permutation, evidence.equivalence
    p = found.p if holm_p is None else holm_p
    target = HALF_POINT if role.unit == PERCENT else role.margin
    not_worse = None
    if equivalence is not None and role.graded:
        not_worse = equivalence.above_p if role.higher_is_better else equivalence.below_p
    return Test(
        verdict=_verdict(evidence, p, not_worse, reachable, alpha),
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


def _verdict(evidence: Evidence, p: float, not_worse: float | None, reachable: float, alpha: float) -> Verdict:
    role, difference = evidence.role, evidence.difference
    if evidence.num_prompts < MIN_CLUSTERS:
        return "too few prompts"
    # Without an interval all prompts differ alike, and the test alone decides.
    shown = p < alpha and (difference.low is None or difference.excludes_zero)
    better = (difference.estimate > 0) == role.higher_is_better
    if shown and role.graded and better:
        return "better"
    if evidence.equivalence is not None and evidence.equivalence.p < alpha:
        return "equivalent"
    if not_worse is not None and not_worse < alpha:
        return "not worse"
    if shown:
        return "worse" if role.graded else "different"
    if reachable >= alpha:
        return "too few prompts"
    return "no difference shown"
