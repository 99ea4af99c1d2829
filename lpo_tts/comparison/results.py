"""The numbers of a report as typed rows; written by `config.unstructure` they are report.json."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lpo_tts.alignment import Step
from lpo_tts.comparison.candidates import MetricRole
from lpo_tts.comparison.cells import Cell, MeanRow, RatioRow
from lpo_tts.config import Structurer
from lpo_tts.errors import ArtefactError, ConfigError, os_errors
from lpo_tts.statistics import Interval

SCHEMA = 2
Verdict = Literal["better", "worse", "different", "equivalent", "not worse", "no difference shown", "too few prompts"]


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """How every interval was made: prompts are drawn with all their seeds together."""

    confidence: float
    num_resamples: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class SystemRow:
    """One system: its candidates, and a row per metric.

    Attributes:
        figures: metric -> name of a figure (`lpo_tts.comparison.figures`) -> its value; None where it has none.
        length_ratio: mean duration of candidates over that of the real recordings of their texts; None without recordings.
    """

    asked: int
    missing: int
    unfinished: int
    unfinished_share: float
    mean_duration: float | None  # seconds
    metrics: Mapping[str, RatioRow | MeanRow]
    figures: Mapping[str, Mapping[str, Interval | None]] = field(default_factory=dict)
    length_ratio: Interval | None = None


@dataclass(frozen=True, kw_only=True)
class Change:
    """From one number to another on the same prompts: new - old, and (new - old) / old where that has a meaning."""

    old: float
    new: float
    difference: Interval
    relative: Interval | None


@dataclass(frozen=True, kw_only=True)
class Test:
    """What a difference shows, by tests that are paired by prompt.

    Attributes:
        verdict: in one word or two.
        tested: whether the figure belongs to the family that Holm's correction counts.
        permutation_p: two-sided p of the paired permutation test (signs of prompts flipped together with all their seeds).
        exact: whether all permutations were counted, or `num_permutations` drawn.
        num_permutations: how many.
        holm_p: p after Holm's correction over the tested figures of the report; None outside that family.
        margin: difference that the recipe calls too small to matter, in the unit of the metric; None: it names none.
        equivalence: the interval that both one-sided tests (TOST) look at, of confidence 1 - 2 alpha.
        equivalence_p: the larger p of the two one-sided tests; None without a margin.
        not_worse_p: p of the one test that matters for "not worse".
        target: difference that the next two speak of: 0.005 (half a point) for fractions, the margin for others.
        prompts_needed: prompts that would show a difference of `target` with 80 % power at this spread; None where unknown.
        detectable: smallest difference that these prompts would show with 80 % power.
    """

    verdict: Verdict
    tested: bool
    permutation_p: float | None
    exact: bool
    num_permutations: int
    holm_p: float | None = None
    margin: float | None = None
    equivalence: Interval | None = None
    equivalence_p: float | None = None
    not_worse_p: float | None = None
    target: float | None = None
    prompts_needed: int | None = None
    detectable: float | None = None


@dataclass(frozen=True, kw_only=True)
class Difference(Change):
    """One system less the baseline by the figure that stands for one metric. Of a ratio alone: in how many prompts it won.

    `figures` are the differences of all figures of the metric, `test` speaks of the one that stands for it.
    """

    system: str
    baseline: str
    metric: str
    num_prompts: int
    prompts_better: int | None = None
    prompts_worse: int | None = None
    prompts_equal: int | None = None
    sign_test_p: float | None = None
    figures: Mapping[str, Interval | None] = field(default_factory=dict)
    test: Test | None = None


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Gain by the judge that chose the pairs less the gain by one that did not, on the same draws of prompts."""

    system: str
    training_judge: str
    judge: str
    gain_by_training_judge: Interval
    gain_by_judge: Interval
    gap: Interval
    num_prompts: int


@dataclass(frozen=True, kw_only=True)
class DurationRatio:
    """Mean duration of a system's candidates over that of the baseline's, on prompts for which both have audio."""

    system: str
    baseline: str
    ratio: Interval
    num_prompts: int


@dataclass(frozen=True, kw_only=True)
class GroupRow:
    """The prompts with one value of one tag."""

    tag: str
    value: str
    num_prompts: int
    systems: Mapping[str, Mapping[str, Cell]]
    differences: tuple[Difference, ...]


@dataclass(frozen=True, kw_only=True)
class SeedRow:
    """The candidates of one seed."""

    seed: int
    systems: Mapping[str, Mapping[str, Cell]]


@dataclass(frozen=True, kw_only=True)
class Side:
    """One system's candidate in an example; `alignment` is None where nothing was heard."""

    system: str
    audio: str | None
    missing: bool
    finished: bool
    duration: float | None
    hypothesis: str | None
    alignment: tuple[Step, ...] | None
    values: Mapping[str, float | None]


@dataclass(frozen=True, kw_only=True)
class Example:
    """One prompt to listen to, all systems side by side."""

    group: str
    prompt_id: str
    seed: int
    text: str
    tags: Mapping[str, str]
    sides: tuple[Side, ...]


@dataclass(frozen=True, kw_only=True)
class Examples:
    """What to listen to, and the rule that chose it; `metric` is the one it went by."""

    rule: str = ""
    metric: str | None = None
    rows: tuple[Example, ...] = ()


@dataclass(frozen=True, kw_only=True)
class GroundTruth:
    """What one judge says of real recordings, clean or through the codec: its own error, the ground-truth error."""

    judge: str  # its label
    metric: str
    condition: str
    count: int
    value: float


@dataclass(frozen=True, kw_only=True)
class NotJudged:
    """Audio that no judge could listen to."""

    system: str
    id: str
    status: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class PromptRow:
    """One prompt: what every metric says of every system, seeds together (a ratio: errors over words; else the mean).

    Attributes:
        num_words: words of the text between spaces, or characters where it has no spaces; for plots over text length.
        values: system -> metric -> value; None where there is none. A missing candidate counts as the metric says.
        missing: system -> candidates without audio.
        sums: system -> metric -> sums over the candidates that count, from which differences between reports on the same
            prompts are made. Of a ratio: errors, weight, values, number of candidates, then the same of those with a value.
            Of a mean: values, number of candidates.
    """

    prompt_id: str
    text: str
    num_words: int
    tags: Mapping[str, str]
    values: Mapping[str, Mapping[str, float | None]]
    missing: Mapping[str, int]
    sums: Mapping[str, Mapping[str, tuple[float, ...]]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PairSummary:
    """Counts, drop reasons (by rule, where there are several) and margins of a system's preference pairs."""

    counts: Mapping[str, Any] = field(default_factory=dict)
    dropped: Mapping[str, Any] = field(default_factory=dict)
    margins: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything a page shows.

    Attributes:
        average: what stands for a ratio: the figure (`lpo_tts.comparison.figures.Average`) that verdict and tests speak of.
        headline: a sentence for each system but the baseline, in their order; without a baseline for each. None without a metric.
        real_time_factors: system -> seconds of synthesis per second of audio, as it ran; systems that nobody timed are absent.
            A measured time, so two runs of one recipe differ in it, while `results` are equal.
        floors: the judges on real recordings: their ground-truth errors.
        steps: rows {step, seconds, rows, pass} of what was done; those with the same `pass` were made together, and the
            seconds of each are those of the whole pass.
        training: rows of `metrics.jsonl` by system.
        provenance: settings, versions and hashes.
        note: shown below the headline.
        verdict: one line that a person can quote.
        prompts: a row per prompt, for plots and for filters in the page.
        trained_judges: metric -> how its model took part in the training ("ranked the pairs: score.metrics.wer").
    """

    schema: int = SCHEMA
    systems: tuple[str, ...]
    baseline: str | None
    average: str
    bootstrap: Bootstrap
    num_prompts: int
    seeds: tuple[int, ...]
    metrics: tuple[MetricRole, ...]
    results: Mapping[str, SystemRow]
    real_time_factors: Mapping[str, float] = field(default_factory=dict)
    groups: tuple[GroupRow, ...]
    per_seed: tuple[SeedRow, ...]
    differences: tuple[Difference, ...]
    gaps: tuple[Gap, ...]
    durations: tuple[DurationRatio, ...]
    examples: Examples
    headline: tuple[str, ...] = ()
    verdict: str = ""
    prompts: tuple[PromptRow, ...] = ()
    trained_judges: Mapping[str, str] = field(default_factory=dict)
    not_judged: tuple[NotJudged, ...] = ()
    floors: tuple[GroundTruth, ...] = ()
    split: str | None = None
    steps: tuple[Mapping[str, Any], ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""
    note: str = ""
    training: Mapping[str, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)
    pairs: Mapping[str, PairSummary] = field(default_factory=dict)

    def metric(self, name: str) -> MetricRole:
        """A metric by its name."""
        return next(role for role in self.metrics if role.name == name)


_structurer = Structurer()


def plain(report: Report) -> dict[str, Any]:
    """A report as report.json holds it."""
    return _structurer.unstructure(report)


def read(path: str | Path) -> Report:
    """A report as it was written; raises ArtefactError for what is no report of this schema."""
    path = Path(path)
    try:
        with os_errors("read the report", path):
            tree = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ArtefactError(f"{path}: expected a report in JSON, found what cannot be read as it: {error}") from error
    if not isinstance(tree, dict) or "schema" not in tree or "results" not in tree:
        raise ArtefactError(f"{path}: expected the report.json of an evaluation, found other JSON; name a run's report.json")
    if tree["schema"] != SCHEMA:
        raise ArtefactError(
            f"{path}: expected a report of schema {SCHEMA}, found schema {tree['schema']!r}, which another version of lpo-tts "
            "wrote; evaluate the run again with this version (finished judgements are reused)"
        )
    try:
        return _structurer.structure(tree, Report)
    except ConfigError as error:
        raise ArtefactError(f"{path}: not a report as this version writes it: {error}") from error
