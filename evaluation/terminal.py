"""A report as lines for a terminal: a table of systems and judges, the differences, and the verdict."""

from collections.abc import Iterator

from lpo_tts.comparison.candidates import MetricRole
from lpo_tts.comparison.figures import leaves_out
from lpo_tts.comparison.results import Report, SystemRow
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
    """The figures of one system by one metric, that of the headline first, each with what is added to the metric's label.

    There are two for any average but "corpus": benchmarks that publish another one leave missing audio out.
    """
    names = [average]
    if not metric.is_ratio:
        names = ["mean"]
    elif average != "corpus":
        names.append(average.removesuffix("_evaluated") if leaves_out(metric, average) else f"{average}_evaluated")
    figures = system.figures[metric.name]
    return [(_missing(metric, name) if len(names) > 1 else "", interval_text(figures.get(name), metric)) for name in names]


def _missing(metric: MetricRole, average: str) -> str:
    return f" (missing {'left out' if leaves_out(metric, average) else 'counted'})"


def _differences(report: Report) -> Iterator[list[str]]:
    for row in report.differences:
        metric = report.metric(row.metric)
        if metric.of is not None:
            continue
        value = interval_text(row.difference, metric, signed=True)
        label = metric.label + (_missing(metric, report.average) if metric.is_ratio and report.average != "corpus" else "")
        verdict = row.test.verdict if row.test is not None else ""
        yield [f"{row.system} − {row.baseline}", label, value, verdict]
