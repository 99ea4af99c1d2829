"""A report as what trackers keep: per system its figures, texts, settings and audio."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lpo_tts.comparison.results import Difference, Example, Report, Side, SystemRow
from lpo_tts.comparison.wording import difference_parts
from lpo_tts.statistics import Interval
from lpo_tts.trackers.base import Clip, Tracked

ROOT = "evaluation"  # the first part of every name, so that none is that of a training's metric


def rows_of(report: Report, folder: Path) -> list[Tracked]:
    """Every system of a report; `folder` is that of the report, which audio paths are relative to."""
    return [
        Tracked(
            system=system,
            step=_steps(report, system),
            scalars=dict(_scalars(report, system)),
            texts=dict(_texts(report, system)),
            config=config_of(report, system),
            clips=tuple(_clips(report, system, folder)),
        )
        for system in report.systems
    ]


def _steps(report: Report, system: str) -> int:
    steps = [int(row["step"]) for row in report.training.get(system, ()) if isinstance(row.get("step"), int | float)]
    return max(steps, default=0)


def _scalars(report: Report, system: str) -> Iterator[tuple[str, float]]:
    row = report.results[system]
    yield from _counts(row)
    if system in report.real_time_factors:
        yield f"{ROOT}/real_time_factor", report.real_time_factors[system]
    for metric, figures in row.figures.items():
        for figure, interval in figures.items():
            yield from _ends(f"{ROOT}/{metric}/{figure}", interval)
    for one in _differences(report, system):
        for figure, interval in one.figures.items():
            yield from _ends(f"{ROOT}/{one.metric}/{figure}_difference", interval)
        if one.test is not None:
            named = {
                "permutation_p": one.test.permutation_p,
                "holm_p": one.test.holm_p,
                "equivalence_p": one.test.equivalence_p,
                "not_worse_p": one.test.not_worse_p,
            }
            yield from ((f"{ROOT}/{one.metric}/{name}", value) for name, value in named.items() if value is not None)


def _counts(row: SystemRow) -> Iterator[tuple[str, float]]:
    named = {
        "asked": row.asked,
        "missing": row.missing,
        "unfinished": row.unfinished,
        "unfinished_share": row.unfinished_share,
        "mean_duration": row.mean_duration,
    }
    yield from ((f"{ROOT}/{name}", float(value)) for name, value in named.items() if value is not None)
    yield from _ends(f"{ROOT}/length_ratio", row.length_ratio)


def _ends(name: str, interval: Interval | None) -> Iterator[tuple[str, float]]:
    if interval is None:
        return
    yield name, interval.estimate
    if interval.low is not None and interval.high is not None:
        yield f"{name}_low", interval.low
        yield f"{name}_high", interval.high


def _differences(report: Report, system: str) -> list[Difference]:
    return [one for one in report.differences if one.system == system]


def _texts(report: Report, system: str) -> Iterator[tuple[str, str]]:
    if report.verdict:
        yield f"{ROOT}/verdict", report.verdict
    if report.headline:
        yield f"{ROOT}/headline", "\n\n".join(report.headline)
    for one in _differences(report, system):
        if one.test is not None:
            change = " ".join(difference_parts(one.difference, report.metric(one.metric)))
            yield f"{ROOT}/{one.metric}/verdict", f"{one.test.verdict} ({change} against {one.baseline})"


def config_of(report: Report, system: str) -> dict[str, Any]:
    """The recipe with this system's own training in `train`, the judges and versions; of a base without training."""
    provenance = dict(report.provenance)
    recipe = dict(provenance.get("recipe") or {})
    variants = recipe.pop("variants", None) or {}
    own: Mapping[str, Any] = variants.get(system) or {}
    recipe |= own
    if system == report.baseline:
        recipe.pop("train", None)
    return {**recipe, **{name: value for name, value in provenance.items() if name != "recipe"}, "system": system}


def _clips(report: Report, system: str, folder: Path) -> Iterator[Clip]:
    for example in report.examples.rows:
        side = next((one for one in example.sides if one.system == system), None)
        if side is not None:
            yield Clip(
                name=f"{example.group}/{example.prompt_id}#{example.seed}",
                path=None if side.audio is None else folder / side.audio,
                text=example.text,
                heard=side.hypothesis,
                caption=_caption(report, example, side),
            )


def _caption(report: Report, example: Example, side: Side) -> str:
    if side.missing:
        return "no decodable audio"
    parts = []
    metric = None if report.examples.metric is None else report.metric(report.examples.metric)
    if metric is not None and side.values.get(metric.name) is not None:
        parts.append(f"{metric.short or metric.label} {metric.text(side.values[metric.name])}")
    if side.duration is not None:
        parts.append(f"{side.duration:.2f} s")
    parts += [] if side.finished else ["did not end"]
    parts += [f"{name}: {value}" for name, value in example.tags.items()]
    return ", ".join(parts)
