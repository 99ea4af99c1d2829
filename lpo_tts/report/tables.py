"""The main tables of a report as text, for Markdown and LaTeX: systems by metrics, differences, judges."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from lpo_tts.comparison.candidates import MetricRole
from lpo_tts.comparison.figures import figure_label, figure_scale
from lpo_tts.comparison.results import Report, SystemRow
from lpo_tts.comparison.wording import (
    FACTOR,
    NO_INTERVAL,
    ROLE_NAMES,
    difference_parts,
    interval_parts,
    percent,
    seeds_of,
    where_text,
)
from lpo_tts.report import layout
from lpo_tts.report.facts import p_text
from lpo_tts.scale import PERCENT, Scale
from lpo_tts.statistics import Interval

NUM_METRICS = 4  # columns of one table of systems; more metrics go into further tables, so that each fits a page
NONE = "–"
# Marks behind the name of a metric, and what a note below the table says of them.
MARKS = {
    "training judge": ("†", "ranked the pairs, so its gains may not transfer"),
    "advisory": ("‡", "advisory: shown, not to be relied on"),
}


@dataclass(frozen=True)
class Cell:
    """A text, and its interval in brackets; "" for none."""

    text: str
    spread: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Cells below heads; the first column names the row."""

    name: str  # short, without spaces
    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()


def tables(report: Report) -> Iterator[Table]:
    """The tables that a paper or an issue needs; empty ones are left out."""
    for one in (*systems(report), figures(report), differences(report), judges(report)):
        if one is not None and one.rows:
            yield one


def systems(report: Report) -> Iterator[Table]:
    """Systems by the main figures of the metrics that are not derived, in tables of a few columns each."""
    metrics = [metric for group in layout.judges(report.metrics) for metric in group.metrics]
    short = short_names(report.metrics)
    unreadable = any(row.unreadable for row in report.results.values())
    audio = ["missing", *(["unreadable"] if unreadable else []), "length ratio"]
    for k in range(0, len(metrics), NUM_METRICS):
        some = metrics[k : k + NUM_METRICS]
        first, how = k == 0, layout.how_missing_counts(some, report.average)
        heads = ["System", *(short[metric.name] for metric in some), *(audio if first else [])]
        rows = []
        for system in report.systems:
            row = report.results[system]
            cells = [Cell(system), *(_cell(layout.value_of(report, system, metric), metric) for metric in some)]
            rows.append((*cells, *(_audio(row, unreadable) if first else ())))
        yield Table(
            name="systems" if first else f"systems-{k // NUM_METRICS + 1}",
            caption=f"{'Main figures' if first else 'Further figures'} of all systems on {_where(report)}, missing audio {how}",
            heads=tuple(heads),
            rows=tuple(rows),
            notes=tuple(_notes(some, short)),
        )


def _audio(row: SystemRow, unreadable: bool) -> Iterator[Cell]:
    yield Cell(f"{row.missing} of {row.asked}")
    if unreadable:
        yield Cell(f"{row.unreadable} of {row.asked}")
    yield _cell(row.length_ratio, FACTOR)


def figures(report: Report) -> Table | None:
    """All figures of the metric of the headline."""
    for metric in layout.first_metrics(report):
        rows = [
            (Cell(figure_label(metric, name)), *(_figure(report, system, metric, name) for system in report.systems))
            for name in layout.figure_names(report, metric)
        ]
        return Table(
            name="figures",
            caption=f"All figures by {metric.label} on {_where(report)}",
            heads=("Figure", *report.systems),
            rows=tuple(rows),
        )
    return None


def _figure(report: Report, system: str, metric: MetricRole, name: str) -> Cell:
    return _cell(report.results[system].figures.get(metric.name, {}).get(name), figure_scale(metric, name))


def differences(report: Report) -> Table | None:
    """Every system less the baseline by every metric that is not derived, with its tests."""
    rows = []
    some: list[MetricRole] = []
    short = short_names(report.metrics)
    for row in report.differences:
        metric = report.metric(row.metric)
        if metric.of is not None:
            continue
        some += [metric] if metric not in some else []
        test = row.test
        text, spread = difference_parts(row.difference, metric)
        rows.append(
            (
                Cell(f"{row.system}, {short[metric.name]}"),
                Cell(metric.text(row.old)),
                Cell(metric.text(row.new)),
                Cell(f"{text} points" if metric.unit == PERCENT else text, _spread(spread)),
                Cell(layout.verdict_of(row, report) or NONE),
                Cell(p_text(test.permutation_p if test else row.sign_test_p)),
                Cell(p_text(test.holm_p if test else None)),
                Cell(p_text(test.equivalence_p if test else None)),
            )
        )
    return Table(
        name="differences",
        caption=f"Differences from {report.baseline} on the same prompts",
        heads=("System, metric", "before", "after", "difference", "verdict", "p", "p, Holm", "p, TOST"),
        rows=tuple(rows),
        notes=tuple(_notes(some, short)),
    )


def judges(report: Report) -> Table | None:
    """What each judge says of real recordings, and its part in the training."""
    conditions = layout.conditions(report.floors)
    if not conditions and not report.trained_judges:
        return None
    rows = []
    for metric in report.metrics:
        if metric.of is not None:
            continue
        found = [layout.floor_of(report.floors, metric.name, condition) for condition in conditions]
        trained = report.trained_judges.get(metric.name, "ranked the pairs" if metric.role == "training judge" else NONE)
        values = (Cell(metric.text(one.value)) if one else Cell(NONE) for one in found)
        rows.append((Cell(metric.label), Cell(trained), *values))
    return Table(
        name="judges",
        caption="Judges: their part in the training, and their own errors on real recordings",
        heads=("Judge", "part in the training", *conditions),
        rows=tuple(rows),
    )


def short_names(metrics: Sequence[MetricRole]) -> dict[str, str]:
    """Metric -> a name that fits the head of a column ("WER A", "WER B" where several are called the same), with its mark."""
    main = [metric for group in layout.judges(metrics) for metric in group.metrics]
    calls = [metric.short or metric.title or metric.label for metric in main]
    seen: Counter[str] = Counter()
    names = {}
    for metric, call in zip(main, calls, strict=True):
        number = seen[call]
        seen[call] += 1
        letter = "" if calls.count(call) == 1 else f" {ascii_uppercase[number]}" if number < 26 else f" {number + 1}"
        names[metric.name] = call + letter + MARKS.get(metric.role, ("", ""))[0]
    return names


def _notes(metrics: Sequence[MetricRole], short: Mapping[str, str]) -> Iterator[str]:
    """Which judge each short name stands for, and what the marks mean."""
    for metric in metrics:
        role = ROLE_NAMES[metric.role]
        name = short[metric.name]
        if name != metric.label:
            yield f"{name}: {metric.label}{f' ({role})' if role else ''}"
    roles = {metric.role for metric in metrics}
    yield from (f"{mark} {words}" for role, (mark, words) in MARKS.items() if role in roles)


def _where(report: Report) -> str:
    return where_text(report.num_prompts, seeds_of(report))


def _cell(value: Interval | None, scale: Scale) -> Cell:
    if value is None:
        return Cell(NONE)
    text, spread = interval_parts(value, scale)
    return Cell(text, _spread(spread))


def _spread(text: str) -> str:
    return "" if text == NO_INTERVAL else text


def statistics_note(report: Report, *, tests: bool = False) -> str:
    """How the intervals (and tests) were made, in one sentence."""
    made = report.bootstrap
    return (
        f"In brackets {percent(made.confidence, 0)} bootstrap intervals, {made.num_resamples} resamples of prompts with all "
        f"their seeds{'; p by the paired permutation test' if tests else ''}."
    )
