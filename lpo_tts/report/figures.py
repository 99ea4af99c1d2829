"""The figures of the page: intervals by judge, training curves, margins of the pairs."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from lpo_tts.comparison.figures import leaves_out
from lpo_tts.comparison.results import PairSummary, Report
from lpo_tts.comparison.wording import ROLE_NAMES, interval_text
from lpo_tts.report.plots import Row, histogram, interval_plot, line_plot, number

# Names under which trainers log the same curve (ours, then TRL's); the first that is found is drawn.
CURVES: dict[str, tuple[str, ...]] = {
    "chosen": ("log_ratios/chosen", "chosen_log_ratio", "rewards/chosen"),
    "rejected": ("log_ratios/rejected", "rejected_log_ratio", "rewards/rejected"),
    "margin": ("log_ratios/margins", "margin", "rewards/margins"),
    "loss": ("loss",),
}
DEV_PREFIXES = ("eval_", "dev_", "eval/", "dev/")
STEP_KEYS = ("step", "global_step")


class Figure(NamedTuple):
    """A drawing and what it shows."""

    svg: Markup
    caption: str


def intervals(report: Report) -> Iterator[Figure]:
    """One figure for everything that measures the same (word error rate): every system with its interval, a block per judge.

    Advisory and derived metrics stand in tables alone.
    """
    drawn = [one for one in report.metrics if one.is_ratio or (one.role != "advisory" and one.graded)]
    drawn = [one for one in drawn if one.of is None]
    for title in dict.fromkeys(metric.title for metric in drawn):
        metrics = [metric for metric in drawn if metric.title == title]
        blocks: list[tuple[str, list[Row]]] = []
        for metric in metrics:
            rows: list[Row] = []
            for system in report.systems:
                interval = report.results[system].metrics[metric.name].value(report.average)
                if interval is not None:
                    low, high = metric.scaled(interval.low), metric.scaled(interval.high)
                    rows.append((system, metric.scaled(interval.estimate), low, high, interval_text(interval, metric)))
            role = ROLE_NAMES[metric.role]
            blocks.append((f"{metric.label} ({role})" if role else metric.label, rows))
        if any(rows for _, rows in blocks):
            name = capital(title or metrics[0].label)
            side = "right" if metrics[0].higher_is_better else "left"
            svg = interval_plot(blocks, f"{name} of each system by each judge, with intervals", metrics[0].suffix)
            what = "left out" if leaves_out(metrics[0], report.average) else "counted"
            counted = f", missing audio {what}" if metrics[0].missing is not None else ""
            yield Figure(svg, f"{name} with its interval{counted}. Further {side} is better.")


def capital(text: str) -> str:
    """A text with its first letter large; the others stay ("DNSMOS")."""
    return text[:1].upper() + text[1:]


def curves(rows: Sequence[Mapping[str, Any]]) -> Iterator[Figure]:
    """The log-ratios, the margin and the loss over optimiser steps; rows are those of `metrics.jsonl`."""
    log_ratios = [line for name in ("chosen", "rejected") for line in curve(rows, name)]
    drawn = (
        (log_ratios, "Log-ratios over steps", True, "Log-ratios of chosen and rejected candidates, policy less reference."),
        (curve(rows, "margin"), "Margin over steps", True, "Margin: chosen less rejected."),
        (curve(rows, "loss"), "Loss over steps", False, "Loss."),
    )
    for lines, title, zero, caption in drawn:
        svg = line_plot(lines, title, "step", zero=zero)
        if svg:
            yield Figure(svg, caption)


def curve(rows: Sequence[Mapping[str, Any]], name: str) -> list[tuple[str, list[tuple[float, float]]]]:
    """The lines of one quantity: on the training pairs, and on the held-out ones ("... dev") where logged."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        step = next((row[key] for key in STEP_KEYS if isinstance(row.get(key), int | float)), None)
        if step is None:
            continue
        for prefix in ("", *DEV_PREFIXES):
            key = next((prefix + key for key in CURVES[name] if isinstance(row.get(prefix + key), int | float)), None)
            if key is not None:
                lines.setdefault(f"{name} dev" if prefix else name, []).append((float(step), float(row[key])))
    return [(label, sorted(line)) for label, line in lines.items()]


def margins(pairs: PairSummary) -> Iterator[Figure]:
    """By how much chosen beats rejected, metric by metric."""
    for metric, values in pairs.margins.items():
        if values:
            title = f"Margin of {metric}"
            middle = number(statistics.median(values))
            caption = f"{title} between chosen and rejected over {len(values)} pairs; median {middle}."
            yield Figure(histogram(list(values), title, f"margin in {metric}"), caption)
