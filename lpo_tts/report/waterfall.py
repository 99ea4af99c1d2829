"""Differences prompt by prompt, sorted: how many got better, how many worse, and by how much."""

from collections.abc import Sequence

from markupsafe import Markup

from lpo_tts.report.plots import WIDTH, drawing, label, number, ticks

MAX_BARS = 280  # bars that can be told apart at this width; of more prompts every so-many-th is drawn


def waterfall(values: Sequence[float], title: str, y_label: str, *, higher_is_better: bool, graded: bool = True) -> Markup:
    """One bar per prompt from 0 to its difference, sorted; the halves are named, not told by colour alone.

    Args:
        values: differences, in the unit that is shown.
        title: for readers who cannot see it.
        y_label: above the axis.
        higher_is_better: whether a positive difference is a gain.
        graded: whether there are better and worse at all; else the halves are named "higher" and "lower".
    """
    if not values:
        return Markup()
    ranked = sorted(values, reverse=not higher_is_better)  # losses at the left
    shown = _thinned(ranked)
    scale = ticks(min(0.0, *values), max(0.0, *values))
    left, right, top, height = 64, 16, 30, 210
    width = (WIDTH - left - right) / len(shown)

    def at_y(y: float) -> float:
        return top + height * (1 - (y - scale[0]) / (scale[-1] - scale[0]))

    parts = [label(0, 14, y_label, cls="tick")]
    for tick in scale:
        cls = "axis" if tick == 0 else "grid"
        parts.append(f'<line class="{cls}" x1="{left}" x2="{WIDTH - right}" y1="{at_y(tick):.1f}" y2="{at_y(tick):.1f}"/>')
        parts.append(label(left - 8, at_y(tick) + 4, number(tick), "end", "tick"))
    for k, value in enumerate(shown):
        if value:
            gain = (value > 0) == higher_is_better
            high, low = sorted((at_y(value), at_y(0.0)))
            gap = min(1.0, 0.2 * width)
            box = f'x="{left + k * width:.2f}" y="{high:.1f}" width="{width - gap:.2f}" height="{max(0.5, low - high):.1f}"'
            parts.append(f'<rect class="{"gain" if gain else "loss"}" {box}/>')
    names = ("worse", "better") if graded else ("lower", "higher") if higher_is_better else ("higher", "lower")
    parts.append(label(left, top + height + 18, f"← {names[0]}", cls="tick"))
    parts.append(label(WIDTH - right, top + height + 18, f"{names[1]} →", "end", "tick"))
    middle = left + (WIDTH - left - right) / 2
    parts.append(label(middle, top + height + 18, "prompts, sorted", "middle", "tick"))
    return drawing(top + height + 26, parts, title)


def _thinned(ranked: Sequence[float]) -> list[float]:
    """At most MAX_BARS of sorted values, evenly spaced, first and last among them."""
    if len(ranked) <= MAX_BARS:
        return list(ranked)
    step = (len(ranked) - 1) / (MAX_BARS - 1)
    return [ranked[round(k * step)] for k in range(MAX_BARS)]
