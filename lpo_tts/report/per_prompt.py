"""Figures over prompts: differences sorted and in bins, how values are spread, and errors by the length of the text."""

import math
from collections.abc import Iterator, Sequence

from lpo_tts.comparison.candidates import MetricRole
from lpo_tts.comparison.results import PromptRow, Report
from lpo_tts.comparison.wording import main_metric
from lpo_tts.report.figures import Figure, capital
from lpo_tts.report.plots import histogram, line_plot
from lpo_tts.report.waterfall import waterfall
from lpo_tts.scale import PERCENT

MAX_DOTS = 400  # single prompts that are drawn per system; lines are made of all
MAX_STEPS = 200  # corners of a line of shares
NUM_LENGTHS = 6  # bins of the length of a text
MIN_IN_BIN = 3  # prompts below which the mean of a bin says little


def drawn_metrics(report: Report) -> list[MetricRole]:
    """The metrics that are drawn prompt by prompt, the one of the headline first: no advisory ones, no derived ones."""
    main = main_metric(report.metrics)
    found = [one for one in report.metrics if one.role != "advisory" and one.of is None and one.graded]
    return sorted(found, key=lambda one: (one is not main, one.role == "training judge"))


def differences(report: Report, metric: MetricRole) -> Iterator[Figure]:
    """Per system that is compared: the differences of all prompts sorted, and the same in bins."""
    for system in report.systems:
        if report.baseline is None or system == report.baseline:
            continue
        values = _differences(report.prompts, metric, system, report.baseline)
        if not values:
            continue
        shown = [metric.scaled(value) for value in values]
        what = f"{capital(metric.label)}: {system} less {report.baseline}"
        rises, falls = sum(value > 0 for value in values), sum(value < 0 for value in values)
        better, worse = (rises, falls) if metric.higher_is_better else (falls, rises)
        unit = _unit(metric, difference=True)
        yield Figure(
            waterfall(shown, f"{what}, prompt by prompt", unit, higher_is_better=metric.higher_is_better),
            f"{what}, prompt by prompt and sorted: better in {better}, worse in {worse}, equal in "
            f"{len(values) - better - worse} of {len(values)} prompts.",
        )
        yield Figure(
            histogram(shown, f"{what}, in bins", f"difference of a prompt ({unit})", centred=True),
            f"The same differences in bins: how many prompts changed by how much. "
            f"{'Right' if metric.higher_is_better else 'Left'} of the middle bar is better.",
        )


def spread(report: Report, metric: MetricRole) -> Iterator[Figure]:
    """Share of the prompts up to each value, a line per system: where the tails lie."""
    lines = []
    for system in report.systems:
        values = sorted(metric.scaled(value) for _, value in _values(report.prompts, metric, system))
        if values:
            lines.append((system, _shares(values)))
    if lines:
        title = f"{capital(metric.label)}: share of the prompts up to each value"
        better = "further right" if metric.higher_is_better else "higher and further left"
        svg = line_plot(lines, title, f"value of a prompt{_behind(metric)}", y_label="share of the prompts (%)", zero=True)
        yield Figure(svg, f"{title}. A line that lies {better} is better; how far it reaches right shows the tail.")


def by_length(report: Report, metric: MetricRole) -> Iterator[Figure]:
    """Value of a prompt over the length of its text: a dot per prompt, and lines through the means of bins."""
    lengths = [row.num_words for row in report.prompts]
    if len(set(lengths)) < 3:
        return
    borders = _borders(lengths)
    lines, clouds, left_out = [], [], 0
    for system in report.systems:
        points = [(row.num_words, metric.scaled(value)) for row, value in _values(report.prompts, metric, system)]
        if not points:
            continue
        lines.append((system, _means(points, borders)))
        step = math.ceil(len(points) / MAX_DOTS)
        clouds.append([(float(x), y) for x, y in points[::step]])
        left_out = max(left_out, len(points) - len(clouds[-1]))
    if any(line for _, line in lines):
        title = f"{capital(metric.label)} by the length of the text"
        svg = line_plot(lines, title, "words of the text", zero=True, y_label=f"value of a prompt{_behind(metric)}", dots=clouds)
        note = f" Of the dots {left_out} per system are not drawn; the lines hold all prompts." if left_out else ""
        yield Figure(svg, f"{title}: a dot per prompt, lines through the mean over the prompts of similar length.{note}")


def _values(rows: Sequence[PromptRow], metric: MetricRole, system: str) -> list[tuple[PromptRow, float]]:
    found = ((row, row.values.get(system, {}).get(metric.name)) for row in rows)
    return [(row, value) for row, value in found if value is not None]


def _differences(rows: Sequence[PromptRow], metric: MetricRole, system: str, baseline: str) -> list[float]:
    old = {row.prompt_id: value for row, value in _values(rows, metric, baseline)}
    return [value - old[row.prompt_id] for row, value in _values(rows, metric, system) if row.prompt_id in old]


def _shares(values: Sequence[float]) -> list[tuple[float, float]]:
    """Corners of the line of shares (%) of sorted values, thinned where there are many."""
    corners = [(values[0], 0.0)]
    step = max(1, len(values) // MAX_STEPS)
    for k in [*range(step - 1, len(values) - 1, step), len(values) - 1]:
        corners += [(values[k], corners[-1][1]), (values[k], 100 * (k + 1) / len(values))]
    return corners


def _borders(lengths: Sequence[int]) -> list[int]:
    """Upper ends of bins that hold about equally many texts each."""
    ranked = sorted(lengths)
    ends = {ranked[min(len(ranked) - 1, math.ceil(len(ranked) * (k + 1) / NUM_LENGTHS) - 1)] for k in range(NUM_LENGTHS)}
    return sorted(ends)


def _means(points: Sequence[tuple[int, float]], borders: Sequence[int]) -> list[tuple[float, float]]:
    line, low = [], -1
    for high in borders:
        inside = [(x, y) for x, y in points if low < x <= high]
        if len(inside) >= MIN_IN_BIN:
            line.append((sum(x for x, _ in inside) / len(inside), sum(y for _, y in inside) / len(inside)))
        low = high
    return line


def _unit(metric: MetricRole, *, difference: bool) -> str:
    if metric.unit == PERCENT:
        return "percentage points" if difference else PERCENT
    return metric.unit or metric.short or metric.label


def _behind(metric: MetricRole) -> str:
    return f" ({metric.unit})" if metric.unit else ""
