"""The figures of a metric: their names, what each is called, and how its values are read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from lpo_tts.comparison.candidates import MetricRole
from lpo_tts.scale import PERCENT, Scale

BAD_CASE = 0.5  # seed-tts-eval and sglang-omni set apart utterances above 50 %
EDITS = ("substitutions", "deletions", "insertions")
QUANTILES: Mapping[str, float] = {"median": 0.5, "p5": 0.05, "p95": 0.95}

Kind = Literal["value", "share", "rate"]
# What may stand for a ratio: which average, and whether candidates without a value are left out of it.
Average: TypeAlias = Literal["corpus", "corpus_evaluated", "utterance", "utterance_evaluated"]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number that candidates of a system are summed up to.

    Attributes:
        label: what it is called; `{short}` and `{counts}` are the metric's.
        kind: "value" is read as the metric's values are, "share" is a share of candidates, "rate" is per unit of the text.
        ratio: whether a metric that is a ratio has it.
        mean: whether a metric that is averaged plainly has it.
        good: whether more of a share is better.
        evaluated: whether it leaves out candidates without a value; the others count as the metric's `missing` says.
    """

    label: str
    kind: Kind = "value"
    ratio: bool = False
    mean: bool = False
    good: bool = False
    evaluated: bool = False


FIGURES: Mapping[str, Figure] = {
    "corpus": Figure(label="{short}, corpus", ratio=True),
    "corpus_evaluated": Figure(label="{short}, corpus, missing left out", ratio=True, evaluated=True),
    "utterance": Figure(label="{short}, mean of utterances", ratio=True),
    "utterance_evaluated": Figure(label="{short}, mean of utterances, missing left out", ratio=True, evaluated=True),
    "mean": Figure(label="{short}, mean", mean=True),
    "mean_evaluated": Figure(label="{short}, mean, missing left out", mean=True, evaluated=True),
    "median": Figure(label="{short}, median", ratio=True, mean=True),
    "p5": Figure(label="{short}, 5th percentile", ratio=True, mean=True),
    "p95": Figure(label="{short}, 95th percentile", ratio=True, mean=True),
    "bad_cases": Figure(label="bad cases ({short} {side} 50 %)", kind="share", ratio=True),
    "perfect": Figure(label="perfect candidates ({short} {perfect})", kind="share", ratio=True, good=True),
    "substitutions": Figure(label="substitutions per {counts}", kind="rate", ratio=True, evaluated=True),
    "deletions": Figure(label="deletions per {counts}", kind="rate", ratio=True, evaluated=True),
    "insertions": Figure(label="insertions per {counts}", kind="rate", ratio=True, evaluated=True),
    "repeated": Figure(label="repeated {counts}s per {counts}", kind="rate", ratio=True, evaluated=True),
}


def figures_of(metric: Scale) -> tuple[str, ...]:
    """Names of the figures that a metric may have, in the order of a table; those that it does not tell are None."""
    return tuple(name for name, one in FIGURES.items() if (one.ratio if metric.is_ratio else one.mean))


def main_figure(metric: Scale, average: str) -> str:
    """Name of the figure that stands for the metric: "mean", or what a ratio is averaged by (an `Average`)."""
    return average if metric.is_ratio else "mean"


def leaves_out(metric: Scale, average: str) -> bool:
    """Whether the figure that stands for the metric leaves out candidates without a value, so that failing costs nothing."""
    return FIGURES[main_figure(metric, average)].evaluated


def figure_scale(metric: Scale, name: str) -> Scale:
    """How the values of a figure are read: the metric's own way, or as percent for shares and rates."""
    figure = FIGURES[name]
    if figure.kind == "value":
        return Scale(
            higher_is_better=metric.higher_is_better,
            unit=metric.unit,
            missing=metric.missing,
            perfect=metric.perfect,
            graded=metric.graded,
            title=metric.title,
            short=metric.short,
            counts=metric.counts,
        )
    return Scale(higher_is_better=figure.good, unit=PERCENT, graded=metric.graded)


def figure_label(metric: MetricRole, name: str) -> str:
    """What a figure is called: "WER, corpus", "bad cases (WER above 50 %)", "deletions per word"."""
    return FIGURES[name].label.format(
        short=metric.short or metric.title or metric.label,
        counts=metric.counts,
        side="below" if metric.higher_is_better else "above",
        perfect=metric.text(metric.perfect, 0),
    )
