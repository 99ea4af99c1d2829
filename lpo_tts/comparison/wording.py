"""Numbers, intervals and p-values as people read them."""

from collections.abc import Sequence

from lpo_tts.comparison.candidates import MetricRole
from lpo_tts.comparison.results import Gap, Report, Test
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
    """Estimate and interval: "1.23 % [0.98, 1.51]", "1.23 % (no interval)" for too few prompts, "–" for None."""
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
    """Whether there were prompts enough for an interval."""
    return interval.low is not None and interval.high is not None


def caution(interval: Interval) -> str:
    """What is to be kept in mind of a result on few prompts; "" for enough of them."""
    count = interval.num_clusters
    if count >= FEW_CLUSTERS:
        return ""
    if count < MIN_CLUSTERS:
        return f"Caution: {counted(count, 'prompt')}; below {MIN_CLUSTERS} no interval can be given, and chance may decide."
    return f"Caution: only {count} prompts; below {FEW_CLUSTERS} an interval is itself uncertain."


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


def p_text(p: float) -> str:
    """A p-value: "p < 0.001", "p = 0.012"."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def decisive_p(test: Test) -> float | None:
    """The p that decides: after Holm's correction, for a tested figure."""
    return test.permutation_p if test.holm_p is None else test.holm_p


def test_text(test: Test, family: int) -> str:
    """How a difference was tested: "p = 0.012 (paired permutation, Holm over 2 figures)"; "" without a test.

    Args:
        test: of the difference.
        family: differences that Holm's correction counts (`family_size`).
    """
    p = decisive_p(test)
    return "" if p is None else f"{p_text(p)} ({method_text([test], family)})"


def method_text(tests: Sequence[Test], family: int) -> str:
    """How differences were tested: "paired permutation, Holm over 2 figures"."""
    how = "exact paired permutation" if all(test.exact for test in tests) else "paired permutation"
    corrected = any(test.holm_p is not None for test in tests) and family > 1
    return f"{how}, Holm over {counted(family, 'figure')}" if corrected else how


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
    if gap.gap.low is None or gap.gain_by_judge.low is None:
        return "too few prompts to tell"
    if gap.gap.low <= 0:
        return "no sign of it"
    if gap.gain_by_judge.low > 0:
        return "part of the gain does not transfer"
    return NOT_CONFIRMED


NOT_CONFIRMED = "gain not confirmed by the other judge"
