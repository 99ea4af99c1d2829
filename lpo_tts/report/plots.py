"""Plots as inline SVG, coloured by the page's style sheet so that they follow light and dark."""

import math
from collections.abc import Sequence

from markupsafe import Markup, escape

# Label, estimate, low, high, text to print beside it; without low and high a point alone.
Row = tuple[str, float, float | None, float | None, str]
Points = Sequence[tuple[float, float]]

WIDTH = 640  # user units; the page scales the drawing to its column
COLOURS = 6  # classes c0 ... c5 of the style sheet, each with a dash of its own


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers that cover [low, high], about `count` of them."""
    if not high > low:
        high = low + (abs(low) or 1.0)
    step = 10 ** math.floor(math.log10((high - low) / count))
    for factor in (1, 2, 2.5, 5, 10):
        if (high - low) / (step * factor) <= count:
            step *= factor
            break
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def number(value: float) -> str:
    """A tick label: short, with a true minus."""
    return f"{value:.6g}".replace("-", "−")


def label(x: float, y: float, text: str, anchor: str = "start", cls: str = "") -> str:
    """Escaped text at a place."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{cls}">{escape(text)}</text>'


def drawing(height: float, parts: Sequence[str], title: str) -> Markup:
    """Parts as one picture that a screen reader calls by its title."""
    name = escape(title)
    body = "".join(parts)
    return Markup(f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{name}"><title>{name}</title>{body}</svg>')


def interval_plot(groups: Sequence[tuple[str, Sequence[Row]]], title: str, unit: str = "") -> Markup:
    """Points with intervals, one block of rows per group.

    Args:
        groups: (name, rows); the colour of a row is its place.
        title: For readers who cannot see it.
        unit: Of the axis.
    """
    values = [value for _, rows in groups for row in rows for value in row[1:4] if value is not None]
    scale = ticks(min(0.0, *values), max(values)) if values else [0.0, 1.0]
    left, right, row_height = 120, 165, 26
    y = 8.0
    parts: list[str] = []

    def at(value: float) -> float:
        return left + (WIDTH - left - right) * (value - scale[0]) / (scale[-1] - scale[0])

    for name, rows in groups:
        y += 20
        parts.append(label(0, y, _short(name, 75), cls="group"))
        for k, (system, estimate, low, high, beside) in enumerate(rows):
            y += row_height
            colour = f"c{k % COLOURS}"
            parts.append(label(left - 12, y + 4, _short(system, 15), "end"))
            if low is not None and high is not None:
                ends = f'x1="{at(low):.1f}" x2="{at(high):.1f}"'
                parts.append(f'<line class="whisker {colour}" {ends} y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<circle class="dot {colour}" cx="{at(estimate):.1f}" cy="{y:.1f}" r="5"/>')
            parts.append(label(WIDTH, y + 4, beside, "end", "value"))
        y += 10
    bottom = y + 8
    grid = [f'<line class="grid" x1="{at(tick):.1f}" x2="{at(tick):.1f}" y1="8" y2="{bottom:.1f}"/>' for tick in scale]
    labels = [label(at(tick), bottom + 16, number(tick) + unit, "middle", "tick") for tick in scale]
    return drawing(bottom + 24, [*grid, *parts, *labels], title)


def line_plot(
    series: Sequence[tuple[str, Points]],
    title: str,
    x_label: str,
    zero: bool = False,
    *,
    y_label: str = "",
    dots: Sequence[Points] = (),
) -> Markup:
    """Lines over a shared x axis, each named at its end.

    Args:
        series: (name, points) of each line; the colour is its place.
        title: for readers who cannot see it.
        x_label: below the axis.
        zero: draws the line y = 0 and keeps it in view.
        y_label: above the axis.
        dots: per line, single points in its colour.
    """
    points = [point for _, line in series for point in line if math.isfinite(point[1])]
    if not points:
        return Markup()
    points += [point for cloud in dots for point in cloud]
    xs, ys = [x for x, _ in points], [y for _, y in points] + ([0.0] if zero else [])
    x_low, x_high = min(xs), max(max(xs), min(xs) + 1e-9)
    x_scale, y_scale = ticks(x_low, x_high), ticks(min(ys), max(ys))
    left, right, top, height = 64, 128, 26 if y_label else 12, 230

    def at_x(x: float) -> float:
        return left + (WIDTH - left - right) * (x - x_low) / (x_high - x_low)

    def at_y(y: float) -> float:
        return top + height * (1 - (y - y_scale[0]) / (y_scale[-1] - y_scale[0]))

    parts = [label(0, 14, y_label, cls="tick")] if y_label else []
    for tick in y_scale:
        cls = "axis" if zero and tick == 0 else "grid"
        parts.append(f'<line class="{cls}" x1="{left}" x2="{WIDTH - right}" y1="{at_y(tick):.1f}" y2="{at_y(tick):.1f}"/>')
        parts.append(label(left - 8, at_y(tick) + 4, number(tick), "end", "tick"))
    for tick in x_scale:
        if x_low <= tick <= x_high:
            parts.append(label(at_x(tick), top + height + 18, number(tick), "middle", "tick"))
    parts.append(label(left + (WIDTH - left - right) / 2, top + height + 36, x_label, "middle", "tick"))
    for k, cloud in enumerate(dots):
        marks = "".join(f'<circle cx="{at_x(x):.1f}" cy="{at_y(y):.1f}" r="2.5"/>' for x, y in cloud)
        parts.append(f'<g class="cloud t{k % COLOURS}">{marks}</g>')
    ends: list[tuple[float, int, str]] = []
    for k, (name, line) in enumerate(series):
        kept = [(x, y) for x, y in line if math.isfinite(y)]
        if not kept:
            continue
        path = " ".join(f"{at_x(x):.1f},{at_y(y):.1f}" for x, y in kept)
        parts.append(f'<polyline class="curve c{k % COLOURS}" points="{path}"/>')
        if len(kept) == 1:  # a line through one point cannot be seen
            parts.append(f'<circle class="dot c{k % COLOURS}" cx="{at_x(kept[0][0]):.1f}" cy="{at_y(kept[0][1]):.1f}" r="5"/>')
        ends.append((at_y(kept[-1][1]), k, name))
    last = -math.inf
    for y, k, name in sorted(ends):  # names of lines that end close together are pushed apart
        last = max(y, last + 16)
        parts.append(label(WIDTH - right + 8, last + 4, _short(name, 13), cls=f"name t{k % COLOURS}"))
    return drawing(max(top + height + 44, last + 10), parts, title)


def _short(name: str, length: int) -> str:
    return name if len(name) <= length else name[: length - 1] + "…"


def histogram(values: Sequence[float], title: str, x_label: str, num_bins: int = 20, *, centred: bool = False) -> Markup:
    """Counts of values in equal bins with round borders; `centred`: on both sides of a bin that has 0 in its middle."""
    if not values:
        return Markup()
    scale = ticks(min(values), max(values))
    if centred:
        most = max(map(abs, values))
        scale, num_bins = ticks(-most, most), num_bins + 1 - num_bins % 2
    low, high = scale[0], scale[-1]
    counts = [0] * num_bins
    for value in values:
        counts[min(num_bins - 1, int((value - low) / (high - low) * num_bins))] += 1
    return bars(
        [(low + (high - low) * k / num_bins, count) for k, count in enumerate(counts)], (low, high), scale, title, x_label
    )


def bars(
    counts: Sequence[tuple[float, int]], span: tuple[float, float], scale: Sequence[float], title: str, x_label: str
) -> Markup:
    """Bars (left border, height), all of one width, over `span`."""
    left, right, top, height = 64, 16, 12, 150
    y_scale = ticks(0, max(1, max(count for _, count in counts)), 4)
    width = (WIDTH - left - right) / len(counts)

    def at_x(x: float) -> float:
        return left + (WIDTH - left - right) * (x - span[0]) / (span[1] - span[0])

    def at_y(y: float) -> float:
        return top + height * (1 - y / y_scale[-1])

    parts = []
    for tick in y_scale:
        parts.append(f'<line class="grid" x1="{left}" x2="{WIDTH - right}" y1="{at_y(tick):.1f}" y2="{at_y(tick):.1f}"/>')
        parts.append(label(left - 8, at_y(tick) + 4, number(tick), "end", "tick"))
    for border, count in counts:
        if count:
            y = at_y(count)
            box = f'x="{at_x(border) + 1:.1f}" y="{y:.1f}" width="{max(1.0, width - 2):.1f}" height="{top + height - y:.1f}"'
            parts.append(f'<rect class="bar" {box}><title>{escape(number(border))}: {count}</title></rect>')
    parts += [label(at_x(tick), top + height + 18, number(tick), "middle", "tick") for tick in scale]
    parts.append(label(left + (WIDTH - left - right) / 2, top + height + 36, x_label, "middle", "tick"))
    return drawing(top + height + 44, parts, title)
