"""All prompts for the table that readers filter and sort: compact JSON for the script, and the rows that stand without it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from lpo_tts.comparison.candidates import MetricRole
from lpo_tts.comparison.results import PromptRow, Report
from lpo_tts.comparison.wording import main_metric
from lpo_tts.report.layout import full_name

NUM_STATIC = 20  # rows that stand in the page itself, for readers and printers without scripts
DIGITS = 5  # significant ones; more would not be shown

# Within a script element only "<" could end it; the others keep older parsers quiet.
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


@dataclass(frozen=True, kw_only=True)
class PromptTable:
    """What the template needs.

    Attributes:
        metric: the one that the rows without script show; None = nothing can be shown.
        systems: columns.
        rows: those with the largest change (or most errors, without a baseline), largest first.
        data: all rows in the same order, as JSON that can stand in a script element.
    """

    metric: MetricRole | None
    systems: tuple[str, ...]
    rows: tuple[PromptRow, ...]
    data: Markup


def prompt_table(report: Report, anchors: Mapping[str, str]) -> PromptTable:
    """The rows of a report.

    Args:
        report: its prompts.
        anchors: prompt id -> anchor of its example in the page.
    """
    metric = main_metric(report.metrics) or next(iter(report.metrics), None)
    ranked = sorted(report.prompts, key=lambda row: -_weight(row, report, metric)) if metric else []
    data = embedded(_data(report, ranked, anchors))
    return PromptTable(metric=metric, systems=report.systems, rows=tuple(ranked[:NUM_STATIC]), data=data)


def embedded(value: Any) -> Markup:
    """JSON that no text within can end early, whatever it holds."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Markup("".join(_ESCAPES.get(char, char) for char in text))


def _weight(row: PromptRow, report: Report, metric: MetricRole) -> float:
    """How much there is to see in a row: its largest change, or its distance from faultless."""
    values = {system: row.values.get(system, {}).get(metric.name) for system in report.systems}
    found = {system: value for system, value in values.items() if value is not None}
    if report.baseline is not None:
        old = found.get(report.baseline)
        return 0.0 if old is None else max((abs(value - old) for value in found.values()), default=0.0)
    return max((-value if metric.higher_is_better else value for value in found.values()), default=0.0)


def _data(report: Report, ranked: Sequence[PromptRow], anchors: Mapping[str, str]) -> dict[str, Any]:
    tags = list(dict.fromkeys(name for row in report.prompts for name in row.tags))
    metrics = [
        {
            "label": full_name(metric),
            "unit": metric.unit,
            "digits": metric.digits,
            "better": (1 if metric.higher_is_better else -1) if metric.graded else 0,
        }
        for metric in report.metrics
    ]
    main = main_metric(report.metrics)
    return {
        "systems": list(report.systems),
        "baseline": report.systems.index(report.baseline) if report.baseline in report.systems else -1,
        "metrics": metrics,
        "main": report.metrics.index(main) if main is not None else 0,
        "tags": tags,
        "rows": [
            [
                row.prompt_id,
                row.text,
                row.num_words,
                [row.tags.get(name) for name in tags],
                [[_rounded(row.values.get(system, {}).get(m.name)) for m in report.metrics] for system in report.systems],
                [row.missing.get(system, 0) + row.unreadable.get(system, 0) for system in report.systems],
                anchors.get(row.prompt_id),
            ]
            for row in ranked
        ],
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{DIGITS}g}")
