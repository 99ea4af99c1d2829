"""What stands where in a report: judges in groups, the figures of a metric in parts, verdicts with their signs."""

from collections.abc import Sequence
from typing import NamedTuple

from lpo_tts.comparison.candidates import MetricRole
from lpo_tts.comparison.figures import leaves_out, main_figure
from lpo_tts.comparison.results import Difference, GroundTruth, Report
from lpo_tts.comparison.wording import main_metric, verdict
from lpo_tts.statistics import Interval

TILES = 4  # differences that are shown large
PERCENTILES = ("median", "p5", "p95")
GROUPS = {
    "judge": "Held-out judges",
    "outside": "Outside judges",
    "unstated": "Judges",
    "training judge": "Judges that ranked the pairs",
    "advisory": "Advisory: shown, not to be relied on",
}
# A verdict's sign beside its words, and its class in the style sheet; told apart without colour.
SIGNS = {
    "better": ("▲", "better"),
    "worse": ("▼", "worse"),
    "different": ("◆", "neutral"),
    "equivalent": ("≈", "same"),
    "not worse": ("✓", "same"),
    "no difference shown": ("○", "neutral"),
    "too few prompts": ("…", "neutral"),
}


class Opening(NamedTuple):
    """What stands above everything: what a person quotes, and what is said besides."""

    leads: list[str]
    others: list[str]


def opening(report: Report) -> Opening:
    """The verdict (sentence by sentence where it consists of those of the headline), and what it does not repeat."""
    headline = [sentence for sentence in report.headline if sentence]
    notes = [report.note] if report.note else []
    if not report.verdict or report.verdict == " ".join(headline):
        return Opening(headline, notes)
    return Opening([report.verdict], [*(sentence for sentence in headline if sentence not in report.verdict), *notes])


class Judges(NamedTuple):
    """The metrics of one role."""

    title: str
    metrics: list[MetricRole]


def judges(metrics: Sequence[MetricRole], *, derived: bool = False) -> list[Judges]:
    """Metrics by role, held-out judges first; the main ones, or those derived from the same judgements."""
    wanted = [one for one in metrics if (one.of is not None) == derived]
    found = [Judges(title, [one for one in wanted if one.role == role]) for role, title in GROUPS.items()]
    return [group for group in found if group.metrics]


def full_name(metric: MetricRole) -> str:
    """What a metric is called where others stand beside it: a derived one has the label of its judge, so its own follows."""
    return metric.label if metric.of is None else f"{metric.label}: {metric.short or metric.title or metric.name}"


def measured_name(metric: MetricRole) -> str:
    """The full name of a metric, with what is measured where the label does not say that."""
    name = full_name(metric)
    return name if metric.of is not None or metric.title.lower() in name.lower() else f"{name}: {metric.title}"


def brief_name(metric: MetricRole, metrics: Sequence[MetricRole]) -> str:
    """What is measured, in short ("SIM-o"), or who measures where several judges measure the same."""
    alone = sum(one.short == metric.short for one in metrics if one.of is None) == 1
    return metric.short if metric.short and alone else metric.label


def value_of(report: Report, system: str, metric: MetricRole) -> Interval | None:
    """The figure that stands for a metric."""
    return report.results[system].metrics[metric.name].value(report.average)


def figure_names(report: Report, metric: MetricRole, *, percentiles: bool | None = None) -> list[str]:
    """Figures of a metric that any system has a value of: all, the percentiles, or all but these."""
    names = dict.fromkeys(name for one in report.results.values() for name in one.figures.get(metric.name, {}))
    known = [name for name in names if any(row.figures.get(metric.name, {}).get(name) for row in report.results.values())]
    return [name for name in known if percentiles is None or (name in PERCENTILES) == percentiles]


def is_main(metric: MetricRole, name: str, average: str) -> bool:
    """Whether a figure is the one that stands for its metric."""
    return name == main_figure(metric, average)


def how_missing_counts(metrics: Sequence[MetricRole], average: str) -> str:
    """What becomes of missing audio in the figures that stand for some metrics."""
    return "left out of error rates" if any(leaves_out(one, average) for one in metrics) else "counted"


def first_metrics(report: Report) -> list[MetricRole]:
    """The metric of the headline; else the first that there is."""
    main = main_metric(report.metrics)
    return [main] if main is not None else list(report.metrics[:1])


def others(report: Report) -> list[str]:
    """Systems that are compared with the baseline."""
    return [] if report.baseline is None else [name for name in report.systems if name != report.baseline]


def difference_of(rows: Sequence[Difference], system: str, metric: str) -> Difference | None:
    """The row of one system and metric."""
    return next((row for row in rows if (row.system, row.metric) == (system, metric)), None)


def verdict_of(row: Difference, report: Report) -> str:
    """The verdict of the tests; without tests what the interval says ("" for nothing)."""
    if row.test is not None:
        return row.test.verdict
    return verdict(row.difference, report.metric(row.metric))


def sign(words: str) -> tuple[str, str]:
    """Sign and class of a verdict."""
    return SIGNS.get(words, ("", "neutral"))


def tiles(report: Report) -> list[Difference]:
    """Differences worth a large figure: by judges that were held out, system by system; none where they would be many."""
    names = others(report)
    if not 1 <= len(names) <= 2:
        return []
    wanted = [one for one in report.metrics if one.role in ("judge", "outside", "unstated") and one.of is None and one.graded]
    shown = wanted[: TILES // len(names)]
    rows = [difference_of(report.differences, system, metric.name) for system in names for metric in shown]
    return [row for row in rows if row is not None]


def conditions(floors: Sequence[GroundTruth]) -> list[str]:
    """Which recordings the judges were tried on."""
    return list(dict.fromkeys(row.condition for row in floors))


def floor_of(floors: Sequence[GroundTruth], metric: str, condition: str) -> GroundTruth | None:
    """What a judge said of real recordings."""
    return next((row for row in floors if (row.metric, row.condition) == (metric, condition)), None)
