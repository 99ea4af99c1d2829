"""Numbers, intervals and p-values as people read them."""

from collections.abc import Mapping, Sequence

from lpo_tts.comparison.candidates import MetricRole
from lpo_tts.comparison.results import Difference, Gap, Report, Test
from lpo_tts.scale import PERCENT, Scale
from lpo_tts.statistics import FEW_CLUSTERS, MIN_CLUSTERS, Interval

NO_INTERVAL = "no interval"
RATE = Scale(higher_is_better=False, unit=PERCENT)  # of shares and relative changes
FACTOR = Scale(higher_is_better=False)
ROLE_NAMES = {
    "judge": "held out",
    "training judge": "chose the pairs",
    "outside": "outside",
    "advisory": "advisory",
    "unstated": "",
}


def percent(value: float | None, digits: int = 2) -> str:
    """A fraction as percent, "–" for None."""
    return RATE.text(value, digits)


def interval_text(interval: Interval | None, scale: Scale, digits: int | None = None, signed: bool = False) -> str:
    """Estimate and interval: "1.23 % [0.98, 1.51]", "1.23 % (no interval)" for too few prompts or equal ones, "–" for None."""
    if interval is None:
        return "–"
    estimate, spread = interval_parts(interval, scale, digits, signed)
    return f"{estimate} {spread}" if has_interval(interval) else f"{estimate} ({spread})"


def interval_parts(interval: Interval, scale: Scale, digits: int | None = None, signed: bool = False) -> tuple[str, str]:
    """The estimate and its interval apart: "1.23 %", and "[0.98, 1.51]" or "no interval"."""
    return scale.text(interval.estimate, digits, signed=signed), _ends(interval, scale, digits, signed)


def difference_parts(interval: Interval, scale: Scale) -> tuple[str, str]:
    """As `interval_parts`, signed; a difference of fractions is in percentage points, which have no unit behind them."""
    if scale.unit == PERCENT:
        return scale.number(interval.estimate, signed=True), _ends(interval, scale, None, True)
    return interval_parts(interval, scale, signed=True)


def difference_text(interval: Interval | None, scale: Scale) -> str:
    """As `interval_text`, of a difference: "+1.23 points [+0.98, +1.51]" where values are in percent; "–" for None."""
    if interval is None:
        return "–"
    estimate, spread = difference_parts(interval, scale)
    unit = " points" if scale.unit == PERCENT else ""
    return f"{estimate}{unit} {spread}" if has_interval(interval) else f"{estimate}{unit} ({spread})"


def _ends(interval: Interval, scale: Scale, digits: int | None, signed: bool) -> str:
    if interval.low is None or interval.high is None:
        return NO_INTERVAL
    low, high = (scale.number(end, digits, signed=signed) for end in (interval.low, interval.high))
    return f"[{low}, {high}]"


def has_interval(interval: Interval) -> bool:
    """Whether there were prompts enough for an interval, and not all the same."""
    return interval.low is not None and interval.high is not None


def caution(interval: Interval) -> str:
    """What is to be kept in mind of a result on few prompts, or on prompts that are all the same; "" for others."""
    count = interval.num_clusters
    if count >= MIN_CLUSTERS and not has_interval(interval):
        return f"Caution: all {count} prompts say the same, so no interval can be given."
    if count >= FEW_CLUSTERS:
        return ""
    if count < MIN_CLUSTERS:
        return f"Caution: {counted(count, 'prompt')}; below {MIN_CLUSTERS} no interval can be given, and chance may decide."
    return f"Caution: only {count} prompts; below {FEW_CLUSTERS} an interval is itself uncertain."


def difference_cautions(row: Difference) -> list[str]:
    """As `caution`, of a difference; that few prompts make it, too, where the metric counts them."""
    told = [caution(row.difference)]
    if row.prompts_better is not None and row.prompts_worse is not None and has_interval(row.difference):
        count = row.prompts_better + row.prompts_worse
        if 0 < count < MIN_CLUSTERS:
            differ = "differs" if count == 1 else "differ"
            told.append(f"Caution: only {count} of {row.num_prompts} prompts {differ}; the interval of so few is too narrow.")
    return [text for text in told if text]


def main_metric(metrics: Sequence[MetricRole]) -> MetricRole | None:
    """The ratio that the headline speaks of: held out first, then an outside one, then any; None without a ratio."""
    for role in ("judge", "outside", "unstated", "training judge", "advisory"):
        for metric in metrics:
            if metric.is_ratio and metric.role == role:
                return metric
    return None


def counted(number: int, noun: str) -> str:
    """A number with its noun: "1 prompt", "2 prompts"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def listed(names: Sequence[str]) -> str:
    """Names in a sentence: "a", "a and b", "a, b and c"."""
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def where_text(num_prompts: int, num_seeds: Mapping[str, int]) -> str:
    """What was judged: "24 prompts × 2 seeds", or "24 prompts × 2 seeds of a and 1 seed of b".

    Args:
        num_prompts: that were judged.
        num_seeds: system -> its candidates per prompt.
    """
    systems: dict[int, list[str]] = {}
    for system, count in num_seeds.items():
        systems.setdefault(count, []).append(system)
    alone = len(systems) == 1
    seeds = [counted(count, "seed") + ("" if alone else f" of {listed(names)}") for count, names in systems.items()]
    return f"{counted(num_prompts, 'prompt')} × {listed(seeds)}"


def seeds_of(report: Report) -> dict[str, int]:
    """System -> candidates that it was asked for per prompt."""
    return {system: round(report.results[system].asked / report.num_prompts) for system in report.systems}


def p_text(p: float) -> str:
    """A p-value: "p < 0.001", "p = 0.012"."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def by_margin(test: Test) -> bool:
    """Whether the verdict is one of the two one-sided tests against the margin (TOST), and not of the permutation test."""
    return test.verdict in ("equivalent", "not worse")


def decisive_p(test: Test) -> float | None:
    """The p that the verdict rests on: of TOST, or of the permutation test, after Holm's correction for a tested figure."""
    if by_margin(test):
        return test.equivalence_p if test.verdict == "equivalent" else test.not_worse_p
    return test.permutation_p if test.holm_p is None else test.holm_p


def decisive_text(test: Test) -> str:
    """The p that the verdict rests on: "p = 0.012", "TOST p = 0.012"; "" without one, or where prompts are too few for any."""
    p = None if test.verdict == "too few prompts" else decisive_p(test)
    return "" if p is None else f"{'TOST ' if by_margin(test) else ''}{p_text(p)}"


def method_text(tests: Sequence[Test], family: int) -> str:
    """How differences were tested: "paired permutation, Holm over 2 figures"; "" where all verdicts are of TOST.

    Args:
        tests: of the differences.
        family: differences that Holm's correction counts (`family_size`).
    """
    permuted = [test for test in tests if decisive_text(test) and not by_margin(test)]
    if not permuted:
        return ""
    how = "exact paired permutation" if all(test.exact for test in permuted) else "paired permutation"
    if all(test.holm_p is None for test in permuted):
        how += ", uncorrected"
    elif family > 1:
        how += f", Holm over {counted(family, 'figure')}"
    return how if len(permuted) == len(tests) else f"p by {how}"


def family_size(report: Report) -> int:
    """How many differences Holm's correction counts."""
    return sum(row.test is not None and row.test.holm_p is not None for row in report.differences)


def amount_text(value: float, scale: Scale) -> str:
    """A difference without a sign, as short as it can be said: "0.5 points", "0.02"."""
    unit = " points" if scale.unit == PERCENT else scale.suffix
    return f"{scale.scaled(abs(value)):.2g}{unit}"


def who(metric: MetricRole) -> str:
    """Who judged, and how the judge stands to the training: "WER, Whisper (held-out judge)"."""
    known = {
        "judge": "held-out judge",
        "outside": "outside judge",
        "training judge": "training judge",
        "advisory": "advisory judge",
    }
    what = known.get(metric.role)
    if what and what.split()[0] in metric.label.lower():  # the label says it
        what = None
    return f"{metric.label} ({what})" if what else metric.label


def verdict(difference: Interval, metric: Scale) -> str:
    """The word "better" or "worse", where the interval excludes 0 and the metric says which is which; else none.

    For groups, which are not tested; a difference of the whole has its own word in `Difference.test`.
    """
    if not metric.graded or difference.low is None or not difference.excludes_zero:
        return ""
    return "better" if (difference.low > 0) == metric.higher_is_better else "worse"


def gap_words(gap: Gap) -> str:
    """What the gain by the training judge and the gain by another one say together."""
    if gap.num_prompts >= MIN_CLUSTERS and gap.gap.low is None and gap.gap.estimate <= 0:  # the same gap for every prompt
        return "no sign of it"
    if gap.gap.low is None or gap.gain_by_judge.low is None:
        return "no interval to tell by"
    if gap.gap.low <= 0:
        return "no sign of it"
    if gap.gain_by_judge.low > 0:
        return "part of the gain does not transfer"
    return NOT_CONFIRMED


NOT_CONFIRMED = "gain not confirmed by the other judge"
