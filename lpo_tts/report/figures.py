"""The figures of the page: WER by judge, training curves, pair statistics."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from lpo_tts.report.plots import histogram, line_plot, number
from lpo_tts.report.plots import interval_plot as draw_intervals
from lpo_tts.report.tables import ROLE_NAMES, table
from lpo_tts.report.wording import WER_KEYS, has_interval, interval_text

# Names under which trainers log the same curve (ours, then TRL's); the first that is found is drawn.
CURVES: dict[str, tuple[str, ...]] = {
    "chosen": ("log_ratios/chosen", "chosen_log_ratio", "rewards/chosen"),
    "rejected": ("log_ratios/rejected", "rejected_log_ratio", "rewards/rejected"),
    "margin": ("log_ratios/margins", "margin", "rewards/margins"),
    "loss": ("loss",),
}
DEV_PREFIXES = ("eval_", "dev_", "eval/", "dev/")
STEP_KEYS = ("step", "global_step")


def figure(svg: str, caption: str) -> str:
    """A drawing and what it shows; empty when there is no drawing."""
    return f'<figure><div class="scroll">{svg}</div><figcaption>{escape(caption)}</figcaption></figure>' if svg else ""


def wer_by_judge(report: Mapping[str, Any]) -> str:
    """WER of every system with its interval, one block per judge."""
    key = WER_KEYS[report["average"]] if "average" in report else "wer"
    blocks = []
    for metric in report.get("metrics", []):
        if metric["kind"] != "wer":
            continue
        rows = []
        for system in report["systems"]:
            interval = report["results"][system]["metrics"][metric["name"]][key]
            if interval is not None:
                ends = (None, None)
                if has_interval(interval):
                    ends = (100 * interval["low"], 100 * interval["high"])
                rows.append((system, 100 * interval["estimate"], *ends, interval_text(interval, True)))
        role = ROLE_NAMES[metric["role"]]
        blocks.append((f"{metric['label']} ({role})" if role else metric["label"], rows))
    if not any(rows for _, rows in blocks):
        return ""
    svg = draw_intervals(blocks, "Word error rate of each system by each judge, with intervals", " %")
    return figure(svg, "Word error rate with its interval, missing answers counted. Further left is better.")


def training(report: Mapping[str, Any]) -> str:
    """Curves of the log-ratios, the margin and the loss over optimiser steps, system by system."""
    return _per_system(report.get("training"), _curves)


def _per_system(found: Any, show: Callable[[Any], str]) -> str:
    """One block, or one per system under its name when `found` maps systems to what `show` takes."""
    if not isinstance(found, Mapping) or found.keys() & {"counts", "dropped", "margins"}:
        return show(found) if found else ""
    blocks = {system: show(inner) for system, inner in found.items() if inner}
    if len(blocks) == 1:
        return next(iter(blocks.values()))
    return "".join(
        f"<details><summary>{escape(str(system))}</summary>{block}</details>" for system, block in blocks.items() if block
    )


def _curves(rows: Sequence[Mapping[str, Any]]) -> str:
    found = {name: curve(rows, name) for name in CURVES}
    parts = []
    ratios = [(label, points) for name in ("chosen", "rejected") for label, points in found[name]]
    parts.append(
        figure(
            line_plot(ratios, "Log-ratios over steps", "step", zero=True),
            "Log-ratios of chosen and rejected answers, policy less reference.",
        )
    )
    parts.append(figure(line_plot(found["margin"], "Margin over steps", "step", zero=True), "Margin: chosen less rejected."))
    parts.append(figure(line_plot(found["loss"], "Loss over steps", "step"), "Loss."))
    return "".join(parts)


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


def pairs(report: Mapping[str, Any]) -> str:
    """How many pairs there are, why others were dropped, and by how much chosen beats rejected, system by system."""
    return _per_system(report.get("pairs"), _pairs)


def _pairs(found: Mapping[str, Any]) -> str:
    parts = []
    counts = [[escape(str(name)), str(count)] for name, count in (found.get("counts") or {}).items()]
    if counts:
        parts.append(table(["Pairs", "count"], counts))
    dropped = [[escape(reason), str(count)] for reason, count in _flat(found.get("dropped") or {})]
    if dropped:
        parts.append(table(["Dropped because", "count"], dropped))
    for metric, margins in (found.get("margins") or {}).items():
        title = f"Margin of {metric}"
        svg = histogram(list(margins), title, f"margin in {metric}")
        parts.append(
            figure(svg, f"{title} between chosen and rejected over {len(margins)} pairs; median {number(_median(margins))}.")
        )
    return "".join(parts)


def _flat(dropped: Mapping[str, Any]) -> list[tuple[str, int]]:
    rows: list[tuple[str, int]] = []
    for reason, count in dropped.items():
        rows += [(f"{reason}: {inner}", n) for inner, n in count.items()] if isinstance(count, Mapping) else [(reason, count)]
    return rows


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return 0.0 if not ordered else ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
