"""Numbers as people read them, and the sentences that say what was gained and how far that carries."""

from collections.abc import Sequence

from lpo_tts.comparison.candidates import MetricRole
from lpo_tts.comparison.results import Change, Gap, Report
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


def headline(report: Report) -> list[str]:
    """One sentence per system that is not the baseline (or per system, without one)."""
    metric = main_metric(report.metrics)
    if metric is None:
        return []
    name = (metric.title or metric.label) if report.average == "corpus" else f"mean utterance {metric.short or metric.label}"
    where = f"{counted(report.num_prompts, 'prompt')} × {counted(len(report.seeds), 'seed')}"
    sentences = []
    for system in report.systems:
        if system == report.baseline:
            continue
        value = report.results[system].metrics[metric.name].value(report.average)
        if value is None:
            sentences.append(f"{system}: {metric.label} could judge nothing on {where}.")
        elif report.baseline is None:
            sentence = f"{system}: {name} {interval_text(value, metric)} by {_who(metric)} on {where}, missing audio counted."
            sentences.append(f"{sentence} {caution(value)}".rstrip())
        else:
            row = next(one for one in report.differences if one.system == system and one.metric == metric.name)
            between = f"{system} against {report.baseline}"
            confidence = report.bootstrap.confidence
            sentences.append(_gain(between, name, row.shown(report.average), metric, where, confidence))
    return sentences


def counted(number: int, noun: str) -> str:
    """A number with its noun: "1 prompt", "2 prompts"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _who(metric: MetricRole) -> str:
    known = {
        "judge": "held-out judge",
        "outside": "outside judge",
        "training judge": "training judge",
        "advisory": "advisory judge",
    }
    what = known.get(metric.role)
    return f"{metric.label} ({what})" if what else metric.label


def _gain(between: str, name: str, row: Change, metric: MetricRole, where: str, confidence: float) -> str:
    difference = row.difference
    unit = " points" if metric.unit == PERCENT else metric.suffix
    spread = f"{metric.number(difference.estimate, signed=True)}{unit}"
    if difference.low is None or difference.high is None:
        change = "too few prompts to tell a change in"
        spread += f", {NO_INTERVAL}"
    else:
        change = "lower" if difference.high < 0 else "higher" if difference.low > 0 else "no certain change in"
        low, high = (metric.number(end, signed=True) for end in (difference.low, difference.high))
        spread += f", {100 * confidence:g} % interval {low} to {high}"
    ratio = ""
    if row.relative is not None:
        estimate, ends = interval_parts(row.relative, RATE, 1, signed=True)
        ratio = f"; relative {estimate} {ends}" if has_interval(row.relative) else f"; relative {estimate}"
    amount = f"{metric.text(row.old)} → {metric.text(row.new)}"
    sentence = f"{between}: {change} {name}, {amount} ({spread}{ratio}), by {_who(metric)} on {where}, missing audio counted."
    return f"{sentence} {caution(difference)}".rstrip()


def verdict(difference: Interval, metric: Scale) -> str:
    """The word "better" or "worse", where the interval excludes 0 and the metric says which is which; else none."""
    if not metric.graded or difference.low is None or difference.high is None or difference.low <= 0 <= difference.high:
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
