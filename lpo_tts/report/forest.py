"""A forest plot: one line per system with its interval; it stays legible at any width, since text is not part of the drawing."""

from collections.abc import Sequence

from markupsafe import Markup, escape

from lpo_tts.comparison.blocks import Block, Column
from lpo_tts.comparison.wording import interval_parts
from lpo_tts.report.plots import number, ticks


def forest(block: Block, column: Column) -> Markup:
    """Estimates with intervals of one column, a row per system; a base is grey. Empty where no system has the figure.

    Names and numbers are text beside drawings of one row each, so that a phone can set them above; all drawings share an axis.
    """
    rows = [(row, row.values[column.key]) for row in block.rows if row.values.get(column.key) is not None]
    shown = [(row, value) for row, value in rows if value is not None]
    if not shown:
        return Markup()
    ends = [end for _, value in shown for end in (value.estimate, value.low, value.high) if end is not None]
    scaled = [column.scale.scaled(end) for end in ends]
    axis = ticks(min(scaled), max(scaled))
    parts = []
    for row, value in shown:
        estimate, spread = interval_parts(value, column.scale)
        line = [column.scale.scaled(end) for end in (value.low, value.estimate, value.high)]
        name = f"<strong>{escape(row.label.text)}</strong><small>{escape(row.label.detail)}</small>"
        told = f"{escape(estimate)} <small>{escape(spread)}</small>"
        drawn = _drawing(line, axis, "c0" if row.is_baseline else "c1")
        cells = "".join(f'<div class="{cls}">{cell}</div>' for cls, cell in (("name", name), ("drawn", drawn), ("told", told)))
        parts.append(f'<div class="line">{cells}</div>')
    labels = "".join(
        f'<span style="left:{_at(tick, axis):.2f}%">{escape(number(tick))}{escape(column.scale.suffix)}</span>' for tick in axis
    )
    return Markup(
        f'<div class="forest">{"".join(parts)}<div class="line"><div class="axis" aria-hidden="true">{labels}</div></div></div>'
    )


def _at(value: float, axis: Sequence[float]) -> float:
    """Place on the axis in percent of its width."""
    return 100 * (value - axis[0]) / (axis[-1] - axis[0])


def _drawing(line: Sequence[float | None], axis: Sequence[float], colour: str) -> str:
    """One row: grid, interval, estimate. A point is a line without length and a round end, which no stretching distorts."""
    low, estimate, high = line
    marks = [_stroke(tick, tick, "grid", axis, upright=True) for tick in axis]
    if low is not None and high is not None:
        marks.append(_stroke(low, high, f"whisker {colour}", axis))
    if estimate is not None:
        marks.append(_stroke(estimate, estimate, f"point {colour}", axis))
    return f'<svg viewBox="0 0 100 20" preserveAspectRatio="none" aria-hidden="true">{"".join(marks)}</svg>'


def _stroke(start: float, stop: float, cls: str, axis: Sequence[float], *, upright: bool = False) -> str:
    y1, y2 = (0, 20) if upright else (10, 10)
    x1, x2 = _at(start, axis), _at(stop, axis)
    return f'<line class="{cls}" vector-effect="non-scaling-stroke" x1="{x1:.2f}" x2="{x2:.2f}" y1="{y1}" y2="{y2}"/>'
