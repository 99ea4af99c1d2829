"""The results of the listening tests: numbers of each test with all listeners and without the flagged ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from demo.listening.asked import Asked
from demo.listening.checks import Check, check_listeners
from demo.listening.paired import PairFinding, preferences
from demo.listening.ranked import CandidateFinding, Rank, candidates, ranking
from demo.listening.rated import Rating, RatingDifference, ratings
from demo.listening.rows import Answered, finished


@dataclass(frozen=True, kw_only=True)
class Findings:
    """The numbers of some listeners' answers, catch trials left out.

    Attributes:
        listeners, answers, items: how many.
        pairs: A/B, CMOS and ABX: two systems each.
        ratings, differences: MOS and MUSHRA.
        ranks: three or more systems that were compared two by two; else [].
        candidates: votes on candidates of training prompts.
    """

    listeners: int
    answers: int
    items: int
    pairs: list[PairFinding] = field(default_factory=list)
    ratings: list[Rating] = field(default_factory=list)
    differences: list[RatingDifference] = field(default_factory=list)
    ranks: list[Rank] = field(default_factory=list)
    candidates: CandidateFinding | None = None


@dataclass(frozen=True, kw_only=True)
class Result:
    """One test, in one mode.

    Attributes:
        test, mode, question, source: as its answers say.
        trials: so many real trials were due of a listener, or fewer where clips could not be played; 0 = not known, from an
            older file; None = no number was fixed.
        finished: listeners who answered all that were due.
        checks: every listener.
        everybody: numbers of all answers.
        attentive: numbers without flagged listeners; None where that leaves nobody.
        confidence, margin: of the numbers.
    """

    test: str
    mode: str
    question: str
    source: str
    trials: int | None
    finished: int
    checks: list[Check]
    everybody: Findings
    attentive: Findings | None
    confidence: float
    margin: float

    @property
    def flagged(self) -> list[str]:
        """Listeners whose answers look careless."""
        return [one.listener for one in self.checks if one.flags]

    @property
    def main(self) -> Findings:
        """What is told first: without flagged listeners, where there are others."""
        return self.attentive or self.everybody


def results_of(
    answers: Sequence[Answered],
    dues: Mapping[str, Mapping[str, int]] | None = None,
    *,
    order: Sequence[str] = (),
    asked: Asked | None = None,
) -> list[Result]:
    """The results of all tests with answers, in the order of their first answer.

    Args:
        answers: of any tests, in the order they were given (`Store.answers`).
        dues: test -> listener -> real trials due (`Store.dues`); in a test without any, all answers of a listener count.
        order: systems in the order they are to be named; a share is that of the later one.
        asked: confidence, margin and draws.
    """
    groups: dict[tuple[str, str, str, str], list[Answered]] = {}
    for one in answers:
        content = one.content
        groups.setdefault((one.test, content.mode, content.question, content.source), []).append(one)
    found = []
    for (test, mode, question, source), own in groups.items():
        counts = _counts(own)
        due = (dues or {}).get(test)
        wanted = replace(asked or Asked(), due=due)
        checks = check_listeners(own)
        flagged = {one.listener for one in checks if one.flags}
        kept = [one for one in own if one.listener not in flagged]
        everybody = _findings(own, wanted, order)
        found.append(
            Result(
                test=test,
                mode=mode,
                question=question,
                source=source,
                trials=None if due is None else max(due.values(), default=0),
                finished=sum(due is None or finished(count, due.get(name, 0)) for name, count in counts.items()),
                checks=checks,
                everybody=everybody,
                attentive=None if not _real(kept) else everybody if not flagged else _findings(kept, wanted, order),
                confidence=wanted.confidence,
                margin=wanted.margin,
            )
        )
    return found


def _real(answers: Sequence[Answered]) -> list[Answered]:
    return [one for one in answers if not one.content.catch]


def _counts(answers: Sequence[Answered]) -> dict[str, int]:
    """Listener -> real answers."""
    counts: dict[str, int] = {}
    for one in answers:
        counts[one.listener] = counts.get(one.listener, 0) + (not one.content.catch)
    return counts


def _findings(answers: Sequence[Answered], asked: Asked, order: Sequence[str]) -> Findings:
    real = _real(answers)
    found = Findings(
        listeners=len({one.listener for one in real}),
        answers=len(real),
        items=len({one.content.prompt_id for one in real}),
    )
    if not real:
        return found
    content = real[0].content
    if content.mode in ("mos", "mushra"):
        if content.source == "candidates":
            return found
        means, differences = ratings(real, asked, order)
        return replace(found, ratings=means, differences=differences)
    if content.source == "candidates":
        return found if content.mode == "abx" else replace(found, candidates=candidates(real))
    ranks = ranking(real, asked, order) if content.mode != "abx" else []
    return replace(found, pairs=preferences(real, asked, order), ranks=ranks)
