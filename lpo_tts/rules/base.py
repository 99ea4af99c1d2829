"""What every pair rule offers: from the scored candidates of one prompt to preferences, best first."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from lpo_tts.records import Candidate


@dataclass(frozen=True)
class Scored:
    """A candidate and what the metrics of a rule say of it.

    Attributes:
        candidate: its row.
        error: by the first of the rule's metrics, turned so that lower is better; always a finite number.
        others: by the further metrics in their order, turned so that higher is better; -inf = could not be scored.
        label: the first metric in [0, 1], higher is better: an error e becomes 1 - min(e, 1).
        recorded: it is no sampled candidate but the recording of the text: its error is 0, and inf its other values.
        details: metric -> the detail of its score (`Judgement.detail`), for the metrics of the rule's `detail_metrics`.
        rising: those of the rule's metrics of which more is better, for rules that need the values as they were scored.
    """

    candidate: Candidate
    error: float
    others: tuple[float, ...] = ()
    label: float = 0.0
    recorded: bool = False
    details: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)
    rising: frozenset[str] = frozenset()

    @property
    def second(self) -> float:
        """By the second metric; 0 where the rule has none."""
        return self.others[0] if self.others else 0.0

    def value(self, metrics: Sequence[str], name: str) -> float:
        """The value of one of the rule's `metrics` as it was scored, not turned; not finite where there is none."""
        at = metrics.index(name)
        turned = -self.error if at == 0 else self.others[at - 1]
        return turned if name in self.rising else -turned

    @property
    def choosable(self) -> bool:
        """Whether a model may learn to speak like it: it ended by itself and can be decoded."""
        return self.candidate.finished and self.candidate.status == "ok"


@dataclass(frozen=True)
class Pair:
    """One candidate is preferred to another.

    Attributes:
        aspect: in what alone the two differ, "content" or "style"; "" = not said.
        objection: why the rule itself advises against this pair, counted as the reason of its drop; "" = nothing.
        gap: by how much the chosen one is better by the rule's own measure, which `min_gap` is compared with; None = the
            difference in the rule's first metric; inf = `min_gap` does not apply.
    """

    chosen: Scored
    rejected: Scored
    aspect: str = ""
    objection: str = ""
    gap: float | None = None

    @property
    def width(self) -> float:
        """The gap that counts: the rule's own, or that of the first metric."""
        return self.rejected.error - self.chosen.error if self.gap is None else self.gap


@dataclass(frozen=True)
class Label:
    """A candidate that is desirable or not, whatever the others are."""

    candidate: Scored
    desirable: bool


@dataclass(frozen=True)
class Ranking:
    """Candidates from best to worst, at least two."""

    candidates: tuple[Scored, ...]


Found = Pair | Label | Ranking


@dataclass(frozen=True)
class Dropped:
    """Why a rule found less than it looked for; counted."""

    reason: str


class Rule(Protocol):
    """Settings of a pair rule (a frozen dataclass).

    A rule that looks at more than values names those metrics in `detail_metrics: tuple[str, ...]`, read by
    `detail_metrics_of`. A rule whose settings depend on the direction of metrics has `check(directions)`, which raises
    ConfigError; `directions` says of every scored metric whether more is better.
    """

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the scores it reads; the first one ranks and is what gaps are measured in. () = it reads none."""
        ...

    @property
    def needs_targets(self) -> bool:
        """Whether the recording of a prompt's text, where there is one, is to stand among its candidates (`recorded`)."""
        ...

    def match(self, candidates: Sequence[Scored]) -> Iterable[Found | Dropped]:
        """Preferences among the candidates of one prompt, best first.

        The result must not depend on the order of the candidates. A rule need not look at gaps, lengths, or whether a
        candidate is used twice: `selection.select` does.

        Args:
            candidates: those that the first metric could score, unfinished ones among them; may be empty.
        """
        ...


def detail_metrics_of(rule: Rule) -> tuple[str, ...]:
    """Metrics whose details a rule reads (`Scored.details`); none where it says nothing."""
    return tuple(getattr(rule, "detail_metrics", ()))


@dataclass(frozen=True)
class TwoMetrics:
    """Settings of rules that rank by one score and break ties by another.

    Attributes:
        metric: name of the score that ranks first.
        second_metric: name of the score that breaks ties, or None.
    """

    metric: str = "wer"
    second_metric: str | None = "similarity"

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names that are given."""
        return (self.metric,) if self.second_metric is None else (self.metric, self.second_metric)

    @property
    def needs_targets(self) -> bool:
        """No recordings."""
        return False


def members(found: Found) -> tuple[Scored, ...]:
    """The candidates of a find, best first."""
    if isinstance(found, Pair):
        return found.chosen, found.rejected
    return found.candidates if isinstance(found, Ranking) else (found.candidate,)


def best_first(candidates: Iterable[Scored]) -> list[Scored]:
    """By error, then finished before unfinished, then by the other metrics; the id makes the order total."""
    return sorted(candidates, key=_badness)


def _badness(one: Scored) -> tuple[float, bool, tuple[float, ...], str]:
    return one.error, not one.candidate.finished, tuple(-value for value in one.others), one.candidate.id


NONE_GOOD = Dropped("no candidate good enough to be chosen")
