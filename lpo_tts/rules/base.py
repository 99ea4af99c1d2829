"""What every pair rule offers: from the scored candidates of one prompt to preferences, best first."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

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
    """

    candidate: Candidate
    error: float
    others: tuple[float, ...] = ()
    label: float = 0.0
    recorded: bool = False

    @property
    def second(self) -> float:
        """By the second metric; 0 where the rule has none."""
        return self.others[0] if self.others else 0.0

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
    """Settings of a pair rule (a frozen dataclass)."""

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
