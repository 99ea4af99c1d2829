"""A report as lines for a terminal: a table of systems and judges, the differences, and the verdict."""

from collections.abc import Iterator

from lpo_tts.comparison.candidates import MetricRole
from lpo_tts.comparison.results import RatioRow, Report, SystemRow
from lpo_tts.comparison.wording import interval_text

SYSTEMS = ["system", "judge", "value", "asked", "judged", "missing", "unscorable"]
DIFFERENCES = ["difference", "judge", "value", "shown"]


def lines_of(report: Report) -> list[str]:
    """The figures that stand for each judge, the differences from the baseline, and what they show."""
    tables = [_table([SYSTEMS, *_systems(report)])]
    if report.differences:
        tables.append(_table([DIFFERENCES, *_differences(report)]))
    said = [*report.headline, *([report.verdict] if report.verdict not in ("", *report.headline) else [])]
    return [line for part in (*tables, said) for line in (*part, "")][:-1]


def _table(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _systems(report: Report) -> Iterator[list[str]]:
    for system in report.systems:
        for metric in report.metrics:
            if metric.of is not None:  # a figure beside another one: the page has it
                continue
            found = report.results[system].metrics[metric.name]
            counts = [str(count) for count in (found.asked, found.evaluated, found.missing, found.unscorable)]
            for name, value in _values(report.average, metric, report.results[system]):
                yield [system, metric.label + name, value, *counts]


def _values(average: str, metric: MetricRole, system: SystemRow) -> list[tuple[str, str]]:
    """The figures of one system by one metric, each with what is to be added to the metric's label."""
    found = system.metrics[metric.name]
    counted = interval_text(found.value(average), metric)
    if average != "utterance" or not isinstance(found, RatioRow):
        return [("", counted)]
    comparable = interval_text(found.value_evaluated(average), metric)
    return [(" (as the benchmark: missing left out)", comparable), (" (missing counted)", counted)]


def _differences(report: Report) -> Iterator[list[str]]:
    for row in report.differences:
        metric, shown = report.metric(row.metric), row.shown(report.average)
        if metric.of is not None:
            continue
        value = interval_text(shown.difference, metric, signed=True)
        label = metric.label + (" (missing counted)" if shown is not row else "")
        verdict = row.test.verdict if row.test is not None else ""
        yield [f"{row.system} − {row.baseline}", label, value, verdict]
