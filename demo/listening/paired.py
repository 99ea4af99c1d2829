"""What listeners prefer of two systems (A/B, CMOS), and whether they can tell two apart (ABX)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from demo.listening.asked import SPANS, Asked, mode_of, ordered, score_of, value_of
from demo.listening.rows import Answered, finished
from lpo_tts.statistics import (
    Advice,
    Crossed,
    Evidence,
    Interval,
    Spread,
    advise,
    binomial_tail,
    holm,
    listeners_needed,
    permutation_test,
    sign_test,
    spread_of,
)

LOOKS = 24  # ours: points of the curve of bounds
TARGETS = (0.55, 0.60, 0.65)  # preferences whose price in listeners is told


@dataclass(frozen=True, kw_only=True)
class ListenerShare:
    """One listener's votes on two systems, or right answers in ABX.

    Attributes:
        wins, ties, losses: votes; in ABX right and wrong answers.
        share: wins and half the ties, of all.
        shrunk: the same, drawn towards all listeners' as far as chance explains it; None where that cannot be told.
        p: ABX alone: exact one-sided chance of so many right answers by guessing, corrected for the number of listeners
            (Holm).
    """

    listener: str
    wins: int
    ties: int
    losses: int
    share: float
    shrunk: float | None
    p: float | None = None


@dataclass(frozen=True, kw_only=True)
class Look:
    """The bounds when so many listeners had finished."""

    listeners: int
    low: float
    mean: float
    high: float


@dataclass(frozen=True, kw_only=True)
class PairFinding:
    """What listeners prefer of two systems, or in ABX whether they can tell two apart.

    Attributes:
        a, b: the systems; all shares are those of `b`. In ABX those of right answers.
        wins, ties, losses: votes for b, for neither, for a.
        share: of b, ties as one half, with its interval over listeners and items.
        score: CMOS alone: mean of -3 to 3, above 0 where b is better.
        sign_p: exact sign test of the votes; in ABX the exact binomial test (one-sided). Right where no listener and no item
            differ from others; in ABX it needs no such thing, since X is drawn by lot.
        listeners_for, listeners_against: listeners with more votes for b, and for a.
        listeners_p: exact sign test of these.
        permutation_p: of the mean, where each listener's votes change sides together.
        votes_worth: so many votes of independent listeners and items would tell as much.
        between: standard deviation of the listeners' true shares; None where it cannot be told.
        listeners: one by one.
        advice: to stop or go on.
        looks: what the advice rested on when fewer listeners had finished.
        needed: preference -> listeners that would show it in a test of a fixed number of listeners, at a power of 80 %.
    """

    a: str
    b: str
    wins: int
    ties: int
    losses: int
    share: Interval
    score: Interval | None
    sign_p: float
    listeners_for: int
    listeners_against: int
    listeners_p: float
    permutation_p: float
    votes_worth: float
    between: float | None
    listeners: list[ListenerShare]
    advice: Advice
    looks: list[Look]
    needed: dict[str, int]

    @property
    def votes(self) -> int:
        """All of them."""
        return self.wins + self.ties + self.losses


def preferences(answers: Sequence[Answered], asked: Asked, order: Sequence[str] = ()) -> list[PairFinding]:
    """Every two systems that were compared (A/B, CMOS, ABX); `answers` without catch trials, in the order they were given."""
    by_pair: dict[tuple[str, str], list[Answered]] = {}
    for one in answers:
        a, b = ordered([side.name for side in one.content.sides], order)
        by_pair.setdefault((a, b), []).append(one)
    whole = _whole(answers, asked.due)
    level = (1 - asked.confidence) / max(1, len(by_pair))
    return [_pair(a, b, by_pair[a, b], asked, whole, level) for a, b in sorted(by_pair)]


def _whole(answers: Sequence[Answered], due: Mapping[str, int] | None) -> set[str]:
    """Trials that the advice rests on: the first ones of listeners who have done as many as were due."""
    own: dict[str, list[str]] = {}
    for one in answers:
        own.setdefault(one.listener, []).append(one.trial)
    if due is None:
        return {trial for found in own.values() for trial in found}
    return {trial for name, found in own.items() if finished(len(found), due.get(name, 0)) for trial in found[: due.get(name, 0)]}


def _pair(a: str, b: str, answers: Sequence[Answered], asked: Asked, whole: set[str], level: float) -> PairFinding:
    values = [value_of(one, b) for one in answers]
    names = [one.listener for one in answers]
    count = Counter(values)
    crossed = asked.crossed(answers)
    spread = spread_of(values, names)
    listeners = _shares(names, values, spread)
    if mode_of(answers) == "abx":
        corrected = holm([binomial_tail(one.wins, one.wins + one.losses) for one in listeners])
        listeners = [replace(one, p=p) for one, p in zip(listeners, corrected, strict=True)]
    ahead, behind = (sum(sign * (one.wins - one.losses) > 0 for one in listeners) for sign in (1, -1))
    variance = crossed.variance(values)
    counted = _finished([one for one in answers if one.trial in whole], b)
    tables = ([[one.losses, one.wins + one.ties + one.losses] for one in listeners],
              [[one.wins, one.wins + one.ties + one.losses] for one in listeners])  # fmt: skip
    return PairFinding(
        a=a,
        b=b,
        wins=count[1.0],
        ties=count[0.5],
        losses=count[0.0],
        share=crossed.mean(values, span=(0.0, 1.0), confidence=asked.confidence),
        score=_score(answers, b, crossed, asked),
        sign_p=sign_test(count[1.0], count[0.0])
        if mode_of(answers) != "abx"
        else binomial_tail(count[1.0], count[1.0] + count[0.0]),
        listeners_for=ahead,
        listeners_against=behind,
        listeners_p=sign_test(ahead, behind),
        permutation_p=permutation_test(*tables, seed=asked.seed).p,
        votes_worth=min(float(len(values)), float(np.var(values)) / variance)
        if variance > 0
        else float(min(crossed.num_listeners, crossed.num_items)),
        between=None if spread is None else spread.between,
        listeners=listeners,
        advice=advise(counted, margin=asked.margin, alpha=level),
        looks=_looks(counted, level),
        needed=_needed(spread, len(values) / len(listeners), level),
    )


def _finished(answers: Sequence[Answered], b: str) -> list[float]:
    """The share of each listener, in the order of their last answers."""
    own: dict[str, list[float]] = {}
    for one in answers:
        own[one.listener] = [*own.pop(one.listener, []), value_of(one, b)]  # who answered last stands last
    return [sum(found) / len(found) for found in own.values()]


def _looks(shares: Sequence[float], alpha: float) -> list[Look]:
    found = []
    for size in sorted({round(size) for size in np.linspace(1, len(shares), LOOKS)}) if shares else []:
        low, high = Evidence(shares[:size]).bounds(alpha)
        found.append(Look(listeners=size, low=low, mean=float(np.mean(shares[:size])), high=high))
    return found


def _shares(names: Sequence[str], values: Sequence[float], spread: Spread | None) -> list[ListenerShare]:
    own: dict[str, list[float]] = {}
    for name, value in zip(names, values, strict=True):
        own.setdefault(name, []).append(value)
    return [
        ListenerShare(
            listener=name,
            wins=found.count(1.0),
            ties=found.count(0.5),
            losses=found.count(0.0),
            share=sum(found) / len(found),
            shrunk=None if spread is None else spread.shrunk[name],
        )
        for name, found in sorted(own.items())
    ]


def _score(answers: Sequence[Answered], b: str, crossed: Crossed, asked: Asked) -> Interval | None:
    if mode_of(answers) != "cmos":
        return None
    scores = [score_of(one, b) for one in answers]
    return crossed.mean(scores, span=SPANS["cmos"], confidence=asked.confidence)


def _needed(spread: Spread | None, trials: float, alpha: float) -> dict[str, int]:
    if spread is None:
        return {}
    found = {f"{100 * target:.0f} %": listeners_needed(spread, trials, target - 0.5, alpha=alpha) for target in TARGETS}
    return {name: count for name, count in found.items() if count is not None}
