"""The verdict: per system one sentence that a person can quote, which says so where no difference is shown."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from lpo_tts.comparison.candidates import MetricRole
from lpo_tts.comparison.cells import MeanRow, RatioRow
from lpo_tts.comparison.figures import leaves_out, main_figure
from lpo_tts.comparison.results import Difference, Report, Test
from lpo_tts.comparison.wording import (
    NO_INTERVAL,
    amount_text,
    by_margin,
    caution,
    decisive_text,
    difference_cautions,
    family_size,
    interval_text,
    listed,
    main_metric,
    method_text,
    seeds_of,
    where_text,
    who,
)
from lpo_tts.scale import PERCENT
from lpo_tts.statistics import POWER, Interval

ROLES = ("judge", "outside", "unstated", "training judge", "advisory")


def with_verdict(report: Report) -> Report:
    """The report with its headline, a sentence per system, and its verdict, one line for all; anew if it has them."""
    headline = tuple(sentences(report))
    if len(headline) < 2:
        return replace(report, headline=headline, verdict="".join(headline))
    return replace(report, headline=headline, verdict=_together(report))


def sentences(report: Report) -> Iterator[str]:
    """One for each system that is compared with the baseline; without a baseline, one with the plain figure of each system."""
    metric = _main(report)
    if metric is None:
        return
    for system in report.systems:
        if report.baseline is None:
            yield _alone(report, system, metric)
        elif system != report.baseline:
            row = _row(report, system, metric)
            yield _unjudged(report, system, metric) if row is None else _compared(report, row, metric)


def _together(report: Report) -> str:
    """Several systems in one line: what is claimed of each, how it was tested and judged, then what other figures say."""
    metric = _main(report)
    if metric is None:
        return ""
    parts, counts, rows = [], [], []
    for system in report.systems:
        row = _row(report, system, metric)
        value = report.results[system].metrics[metric.name].value(report.average)
        if report.baseline is None:
            parts.append(f"{system} {interval_text(value, metric)}")
            counts.append(0 if value is None else value.num_clusters)
        elif row is not None:
            parts.append(f"{_claim(report, row, metric)}{_numbers(report, row, metric)}{_p(row.test)}")
            counts.append(row.num_prompts)
            rows.append(row)
        elif system != report.baseline:
            parts.append(f"{system} and {report.baseline} have no prompt in common that could be judged")
    method = method_text([row.test for row in rows if row.test is not None], family_size(report))
    tested = f" ({method})" if method else ""
    name = f"{_name(metric, report.average)}: " if report.baseline is None else ""
    judged = f"by {who(metric)} on {_where(report, max(counts, default=0), report.systems)}"
    line = "; ".join([f"{name}{'; '.join(parts)}{tested}, {judged}", *_needed_by_any(rows, metric)])
    beside = [(row.system, text) for row in rows for text in [", ".join(_besides(report, row.system, metric))] if text]
    cautions = dict.fromkeys(text for row in rows for text in difference_cautions(row))
    return _joined(
        f"{line}.",
        *(f"Beside it, {system}: {text}." for system, text in beside),
        _absent(report, report.systems, metric, None),
        _trained(report, metric),
        *cautions,
    )


def _main(report: Report) -> MetricRole | None:
    return main_metric(report.metrics) or _first(report)


def _first(report: Report) -> MetricRole | None:
    """Without a ratio: the first metric of the best role."""
    return next((metric for role in ROLES for metric in report.metrics if metric.role == role and metric.of is None), None)


def _row(report: Report, system: str, metric: MetricRole) -> Difference | None:
    return next((one for one in report.differences if one.system == system and one.metric == metric.name), None)


def _where(report: Report, num_prompts: int, systems: Sequence[str]) -> str:
    seeds = seeds_of(report)
    return where_text(num_prompts, {system: seeds[system] for system in systems})


def _name(metric: MetricRole, average: str) -> str:
    short = metric.short or metric.title or metric.label
    return f"mean utterance {short}" if metric.is_ratio and average.startswith("utterance") else short


def _unjudged(report: Report, system: str, metric: MetricRole) -> str:
    asked = _where(report, report.num_prompts, (str(report.baseline), system))
    sentence = f"{system} and {report.baseline} have no prompt in common that {metric.label} could judge, of {asked}."
    return _joined(sentence, _absent(report, [system, str(report.baseline)], metric, None))


def _alone(report: Report, system: str, metric: MetricRole) -> str:
    value = report.results[system].metrics[metric.name].value(report.average)
    if value is None:
        return f"{system}: {metric.label} could judge nothing on {_where(report, report.num_prompts, (system,))}."
    utterances = metric.is_ratio and report.average.startswith("utterance")
    name = _name(metric, report.average) if utterances else metric.title or metric.label
    where = _where(report, value.num_clusters, (system,))
    counts = f", missing audio {'left out' if leaves_out(metric, report.average) else 'counted'}"
    counts = counts if metric.missing is not None else ""
    sentence = f"{system}: {name} {interval_text(value, metric)} by {who(metric)} on {where}{counts}."
    return _joined(sentence, _absent(report, (system,), metric, None), _trained(report, metric), caution(value))


def _compared(report: Report, row: Difference, metric: MetricRole) -> str:
    method = "" if row.test is None else method_text([row.test], family_size(report))
    tested = _p(row.test) + (f" ({method})" if method else "")
    claim, numbers = _claim(report, row, metric), _numbers(report, row, metric)
    judged = f"by {who(metric)} on {_where(report, row.num_prompts, (row.baseline, row.system))}"
    parts = [f"{claim}{numbers}{tested}, {judged}", *_needed(row.test, metric), *_besides(report, row.system, metric)]
    absent = _absent(report, (row.system, row.baseline), metric, row)
    return _joined("; ".join(parts) + ".", absent, _trained(report, metric), *difference_cautions(row))


def _numbers(report: Report, row: Difference, metric: MetricRole) -> str:
    spread = _spread(row.difference, metric, report.bootstrap.confidence)
    return f"{metric.text(row.new)} against {metric.text(row.old)}, {spread}"


def _p(test: Test | None) -> str:
    p = "" if test is None else decisive_text(test)
    return f", {p}" if p else ""


def _trained(report: Report, metric: MetricRole) -> str:
    """That the judge who speaks took part in the training, where somebody has found out."""
    how = report.trained_judges.get(metric.name)
    return f"Caution: the judge took part in the training ({how})." if how and metric.role != "training judge" else ""


def _claim(report: Report, row: Difference, metric: MetricRole) -> str:
    """What the numbers that follow show."""
    name, margin = _name(metric, report.average), amount_text(metric.margin or 0.0, metric)
    between = f"{row.system} against {row.baseline}"
    word = "no difference shown" if row.test is None else row.test.verdict
    if word == "no difference shown":
        return f"{between}: no difference shown in {name}, "
    if word == "too few prompts":
        return f"{between}: too few prompts to tell a difference in {name}, "
    if word == "equivalent":
        return f"{between}: equivalent in {name} by a margin of {margin}, "
    if word == "not worse":
        return f"{row.system} is not worse than {row.baseline} by a margin of {margin}: {name} "
    higher = row.difference.estimate > 0
    if metric.is_ratio and not metric.higher_is_better:
        more = "more" if higher else "fewer"
        return f"{row.system} makes {more} {metric.counts} errors than {row.baseline}: {name} "
    return f"{row.system} has a {'higher' if higher else 'lower'} {metric.title or name} than {row.baseline}: "


def _spread(difference: Interval, metric: MetricRole, confidence: float | None = None) -> str:
    """The difference with its interval: "−4.90 points [95 % interval −6.71, −3.20]"; without a confidence, in short."""
    unit = " points" if metric.unit == PERCENT else metric.suffix
    estimate = f"{metric.number(difference.estimate, signed=True)}{unit}"
    if difference.low is None or difference.high is None:
        return f"{estimate} ({NO_INTERVAL})"
    low, high = (metric.number(end, signed=True) for end in (difference.low, difference.high))
    return f"{estimate} [{'' if confidence is None else f'{100 * confidence:g} % interval '}{low}, {high}]"


def _needed(test: Test | None, metric: MetricRole) -> list[str]:
    """How many prompts would show a small difference, where none is shown; or that these would show it."""
    if test is None or test.verdict != "no difference shown" or test.target is None or test.prompts_needed is None:
        return []
    target = amount_text(test.target, metric)
    if test.detectable is not None and test.detectable <= test.target:
        smallest = amount_text(test.detectable, metric)
        return [f"these prompts would show a difference of {smallest} with {100 * POWER:g} % power"]
    return [f"about {_rounded(test.prompts_needed)} prompts would be needed to show {target}"]


def _needed_by_any(rows: Sequence[Difference], metric: MetricRole) -> list[str]:
    """As `_needed`, once for several systems: by the difference that would need the most prompts."""
    told = {
        row.test.prompts_needed or 0: f"{text} between {row.system} and {row.baseline}"
        for row in rows
        if row.test is not None
        for text in _needed(row.test, metric)
    }
    return [told[max(told)]] if told else []


def _rounded(count: int) -> str:
    """To two digits: 643 is "640"; the spread that it rests on is known no better."""
    return f"{int(float(f'{count:.2g}')):,}" if count >= 100 else str(count)


def _besides(report: Report, system: str, metric: MetricRole) -> list[str]:
    """What the figures beside that of the headline say of a system."""
    return [text for other in report.metrics if other.name != metric.name for text in _beside(report, system, other)]


def _beside(report: Report, system: str, metric: MetricRole) -> list[str]:
    """What another figure says, if it is tested or has a margin: "better in SIM-o (+0.018 [+0.002, +0.036], p = 0.029)"."""
    row = _row(report, system, metric)
    if row is None or row.test is None or not (metric.tested or metric.margin is not None):
        return []
    name = _name(metric, report.average)
    if any(other.short == metric.short and other.name != metric.name for other in report.metrics):
        name += f" by {metric.label}"
    spread = _spread(row.difference, metric)
    p = decisive_text(row.test)
    if not p:
        return []
    if by_margin(row.test):
        p = f"margin {amount_text(metric.margin or 0.0, metric)}, {p}"
    elif row.test.holm_p is None:
        p += ", uncorrected"
    return [f"{row.test.verdict} in {name} ({spread}, {p})"]


def _absent(report: Report, systems: Sequence[str], metric: MetricRole, row: Difference | None) -> str:
    """How many candidates nobody could judge, whether they count or are left out, and the difference the other way."""
    if metric.missing is None:
        return ""
    found = {system: report.results[system].metrics[metric.name] for system in systems}
    lost = {system: why for system, one in found.items() if (why := _why(one))}
    if not lost:
        return ""
    reasons = {reason for why in lost.values() for reason in why}
    who_lacks = [
        f"{sum(why.values())} of {found[system].asked} candidates of {system}" + (f" ({_told(why)})" if len(reasons) > 1 else "")
        for system, why in lost.items()
    ]
    one = sum(sum(why.values()) for why in lost.values()) == 1
    errors = "as errors" if metric.is_ratio else f"as {metric.text(metric.missing)}"
    counted = f"{'counts' if one else 'count'} {errors}"
    figure, left_out = main_figure(metric, report.average), leaves_out(metric, report.average)
    other = figure.removesuffix("_evaluated") if left_out else f"{figure}_evaluated"
    difference = None if row is None else row.figures.get(other)
    rest = f"; if {'it' if one else 'they'} {counted}" if left_out else f"; without {'it' if one else 'them'}"
    rest = "" if difference is None else f"{rest} the difference is {_spread(difference, metric)}"
    be = "is" if one else "are"
    if len(reasons) == 1:
        what = f"{be} {reasons.pop()} and {'left out' if left_out else counted}"
    else:
        what = f"{be} left out" if left_out else counted
    return f"{listed(who_lacks)} {what}{rest}."


def _why(row: RatioRow | MeanRow) -> dict[str, int]:
    """Reason -> candidates that have no value for it."""
    counts = {"missing": row.missing, "unreadable": row.unreadable, "unscorable": row.unscorable}
    return {reason: count for reason, count in counts.items() if count}


def _told(reasons: Mapping[str, int]) -> str:
    """Several reasons with their counts: "1 missing, 4 unreadable"."""
    return ", ".join(f"{count} {reason}" for reason, count in reasons.items())


def _joined(*parts: str) -> str:
    """Sentences behind each other; those without content are left out."""
    return " ".join(part for part in parts if part)
