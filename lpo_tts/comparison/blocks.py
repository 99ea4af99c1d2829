"""The table of several runs as typed rows; written by `plain` they are compare.json."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lpo_tts.comparison.candidates import MetricRole
from lpo_tts.comparison.labels import Label
from lpo_tts.comparison.results import Test
from lpo_tts.config import Structurer
from lpo_tts.scale import Scale
from lpo_tts.statistics import Interval


@dataclass(frozen=True, kw_only=True)
class Column:
    """One figure of one metric by one judge.

    Attributes:
        key: of its values in the rows.
        label: of the metric.
        figure_label: of the figure.
        main: whether it is the figure that stands for the metric, which tests speak of.
        judge: the judge's settings as the reports tell them; None where they do not.
    """

    key: str
    metric: MetricRole
    figure: str
    label: str
    figure_label: str
    scale: Scale
    main: bool
    judge: Any = None


@dataclass(frozen=True, kw_only=True)
class Gain:
    """A system less another by the figure of a column; `test` speaks of figures that stand for their metric."""

    difference: Interval
    test: Test | None = None


@dataclass(frozen=True, kw_only=True)
class Row:
    """One system of one run; `also` names further runs whose base this is, figure by figure.

    Attributes:
        values: column -> figure with its interval; None where the system has none, absent where its report lacks the column.
        own: column -> difference against the run's own base.
        paired: column -> difference against the block's reference system, on the same prompts.
    """

    label: Label
    path: Path
    is_baseline: bool
    also: tuple[str, ...] = ()
    values: Mapping[str, Interval | None] = field(default_factory=dict)
    own: Mapping[str, Gain] = field(default_factory=dict)
    paired: Mapping[str, Gain] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Block:
    """What can be compared: runs on the same prompts.

    Attributes:
        average: what ratios are averaged by.
        against: name of the system that differences between runs start from; None where there is but one.
        sorted_by: key of the column that rows are sorted by, best first; None: in the order given.
        notes: what is to be kept in mind, a sentence each.
    """

    num_prompts: int
    average: str
    split: str | None
    confidence: float
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    against: str | None = None
    sorted_by: str | None = None
    notes: tuple[str, ...] = ()

    def column(self, key: str) -> Column:
        """A column by its key."""
        return next(one for one in self.columns if one.key == key)


@dataclass(frozen=True, kw_only=True)
class Across:
    """The table of several runs; runs on other prompts stand in another block. `skipped` are lines on unreadable reports."""

    blocks: tuple[Block, ...]
    notes: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    title: str = ""


def plain(across: Across) -> dict[str, Any]:
    """As compare.json holds it."""
    return Structurer().unstructure(across)
