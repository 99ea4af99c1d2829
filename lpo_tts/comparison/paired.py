"""Differences between systems of different runs, paired by prompt, from the sums that reports keep of every prompt."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from lpo_tts.comparison.candidates import MetricRole
from lpo_tts.comparison.reports import Source
from lpo_tts.comparison.results import Verdict
from lpo_tts.statistics import (
    MIN_CLUSTERS,
    NUM_PERMUTATIONS,
    Interval,
    holm,
    paired_bootstrap_mean,
    paired_bootstrap_wer,
    permutation_test,
)

ERRORS, WEIGHT, VALUES, COUNT = range(4)  # of the sums per prompt
TERMS = {"corpus": (ERRORS, WEIGHT), "utterance": (VALUES, COUNT)}  # figures of a ratio that can be paired

Place = tuple[Source, str]  # a report, and a system in it
Sums = Mapping[str, tuple[float, float, int]]  # prompt id -> numerator, denominator, candidates


@dataclass(frozen=True, kw_only=True)
class Paired:
    """One system less another on the prompts that both have a value for.

    Attributes:
        permutation_p: two-sided, of the paired permutation test.
        holm_p: after Holm's correction over all tested differences of the table; None for metrics that are not tested.
    """

    difference: Interval
    num_prompts: int
    permutation_p: float
    holm_p: float | None
    verdict: Verdict


def compare_rows(
    reference: Place, others: Mapping[str, Place], columns: Mapping[str, Mapping[str, tuple[MetricRole, str]]]
) -> dict[str, dict[str, Paired]]:
    """Every other system less the reference, column by column.

    A ratio is paired by its sums, so that the difference is that of the corpus values or of the means over utterances, and
    a mean by its values per prompt. Other figures, such as quantiles, cannot be had from sums and are left out.

    Args:
        reference: what the differences start from.
        others: by the name of their row.
        columns: row -> key of a column that it shares with the reference -> metric and figure.

    Returns:
        row -> column -> difference.
    """
    found: dict[str, dict[str, Paired]] = {}
    for row, other in others.items():
        for key, (role, figure) in columns[row].items():
            one = _paired(reference, other, role, figure)
            if one is not None:
                found.setdefault(row, {})[key] = one
    tested = [(row, key) for row, inner in found.items() for key in inner if columns[row][key][0].tested]
    for (row, key), p in zip(tested, holm([found[row][key].permutation_p for row, key in tested]), strict=True):
        found[row][key] = replace(found[row][key], holm_p=p)
    return {
        row: {key: replace(one, verdict=_verdict(one, columns[row][key][0])) for key, one in inner.items()}
        for row, inner in found.items()
    }


def _paired(reference: Place, other: Place, role: MetricRole, figure: str) -> Paired | None:
    if (role.is_ratio and figure not in TERMS) or (not role.is_ratio and figure != "mean"):
        return None
    before, after = _sums(reference, role, figure), _sums(other, role, figure)
    shared = [name for name in before if name in after]
    if not shared:
        return None
    settings = reference[0].bootstrap
    bootstrap = {"confidence": settings.confidence, "num_resamples": settings.num_resamples, "seed": settings.seed}
    a, b = ([table[name] for name in shared] for table in (before, after))
    if role.is_ratio:
        terms = [[one[k] for one in some] for some in (a, b) for k in (0, 1)]
        difference = paired_bootstrap_wer(*terms, shared, **bootstrap).difference
    else:
        difference = paired_bootstrap_mean([one[0] for one in a], [one[0] for one in b], shared, **bootstrap)
    test = permutation_test(
        [[one[0] / one[2], one[1] / one[2]] for one in a],
        [[one[0] / one[2], one[1] / one[2]] for one in b],
        num_permutations=NUM_PERMUTATIONS,
        seed=settings.seed,
    )
    return Paired(
        difference=difference,
        num_prompts=len(shared),
        permutation_p=test.p,
        holm_p=None,
        verdict="no difference shown",
    )


def _sums(place: Place, role: MetricRole, figure: str) -> Sums:
    return dict(_iterate_sums(place, role, figure))


def _iterate_sums(place: Place, role: MetricRole, figure: str) -> Iterator[tuple[str, tuple[float, float, int]]]:
    """Numerator and denominator of each prompt with a value, all its seeds together, and how many candidates those are."""
    source, system = place
    for name, prompt in source.prompts.items():
        if role.is_ratio:
            sums = prompt.sums.get(system, {}).get(role.name)
            top, bottom = TERMS[figure]
            if sums is not None and sums[COUNT] and sums[bottom] > 0:
                yield name, (sums[top], sums[bottom], sums[COUNT])
        else:
            value = prompt.values.get(system, {}).get(role.name)
            if value is not None:
                yield name, (value, 1.0, 1)


def _verdict(one: Paired, role: MetricRole) -> Verdict:
    """What the difference shows at the level of its interval, by the corrected p where there is one."""
    if one.num_prompts < MIN_CLUSTERS:
        return "too few prompts"
    p = one.permutation_p if one.holm_p is None else one.holm_p
    if p > 1 - one.difference.confidence or one.difference.estimate == 0:
        return "no difference shown"
    if not role.graded:
        return "different"
    return "better" if (one.difference.estimate > 0) == role.higher_is_better else "worse"
