"""Numbers from answers, mode by mode: preferences of two systems, ratings, ABX, a ranking, and votes on candidates."""

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from demo.listening.modes import REFERENCE, Side
from demo.listening.rows import Answered
from lpo_tts.statistics import CONFIDENCE, Interval, holm, permutation_test, sign_test
from lpo_tts.statistics.anytime import MARGIN, Advice, advise
from lpo_tts.statistics.bradley_terry import connected, log_strengths
from lpo_tts.statistics.crossed import Crossed
from lpo_tts.statistics.listeners import Spread, binomial_tail, listeners_needed, spread_of

NUM_RESAMPLES = 4000  # ours: enough for whole per cents, and a page that is asked for again and again stays quick
TARGETS = (0.55, 0.60, 0.65)  # preferences whose price in listeners is told
SPANS = {"mos": (1.0, 5.0), "cmos": (-3.0, 3.0), "mushra": (0.0, 100.0)}
BASE = "base"  # is named first, so that a share is that of what was made of it


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is wanted of all numbers.

    Attributes:
        trials: a listener was to answer so many real trials; None = not known, and all answers of a listener count.
        confidence: of intervals and of the advice.
        margin: around one half, within which a preference is too small to matter.
        num_resamples, seed: of the bootstrap.
    """

    trials: int | None = None
    confidence: float = CONFIDENCE
    margin: float = MARGIN
    num_resamples: int = NUM_RESAMPLES
    seed: int = 0

    def crossed(self, answers: Sequence[Answered]) -> Crossed:
        """The draws for answers; all seeds of a prompt are one item."""
        listeners, items = [one.listener for one in answers], [one.content.prompt_id for one in answers]
        return Crossed(listeners, items, num_resamples=self.num_resamples, seed=self.seed)


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
    needed: dict[str, int]

    @property
    def votes(self) -> int:
        """All of them."""
        return self.wins + self.ties + self.losses


@dataclass(frozen=True, kw_only=True)
class Rating:
    """Mean rating of one system (MOS 1 to 5, MUSHRA 0 to 100); hidden reference and anchors are named as such."""

    system: str
    ratings: int
    mean: Interval


@dataclass(frozen=True, kw_only=True)
class RatingDifference:
    """How much higher `b` is rated than `a`, over the same draws of listeners and items."""

    a: str
    b: str
    difference: Interval


@dataclass(frozen=True, kw_only=True)
class Rank:
    """A system's place by Bradley-Terry.

    Attributes:
        strength: log odds against the average system.
        preferred: chance to be preferred to the average system; both with intervals of the two-way bootstrap as it is drawn,
            which errs on the wide side.
        best: share of resamples in which it is the strongest.
    """

    system: str
    strength: Interval
    preferred: Interval
    best: float


@dataclass(frozen=True, kw_only=True)
class CandidateFinding:
    """Votes on candidates of training prompts.

    Attributes:
        votes, ties: on two candidates each.
        compared: how many two candidates have votes.
        repeated: how many have votes of two listeners or more.
        agreement: of two listeners' votes on the same candidates, the share that are alike; None without any.
    """

    votes: int
    ties: int
    compared: int
    repeated: int
    agreement: float | None


def ordered(names: Sequence[str], order: Sequence[str] = ()) -> list[str]:
    """Systems as they are named: in a given order, then "base" first and the others by name."""
    return sorted(set(names), key=lambda name: (order.index(name) if name in order else len(order), name != BASE, name))


def preferences(answers: Sequence[Answered], asked: Asked, order: Sequence[str] = ()) -> list[PairFinding]:
    """Every two systems that were compared (A/B, CMOS, ABX); `answers` without catch trials, in the order they were given."""
    by_pair: dict[tuple[str, str], list[Answered]] = {}
    for one in answers:
        a, b = ordered([side.name for side in one.content.sides], order)
        by_pair.setdefault((a, b), []).append(one)
    whole = _whole(answers, asked.trials)
    level = (1 - asked.confidence) / max(1, len(by_pair))
    return [_pair(a, b, by_pair[a, b], asked, whole, level) for a, b in sorted(by_pair)]


def value_of(one: Answered, b: str) -> float:
    """1 for a vote for `b` (ABX: a right answer), 0 for one against it, one half for a tie."""
    if one.content.mode == "abx":
        return float(one.answer == one.content.reference)
    score = score_of(one, b)
    return 0.5 if score == 0 else float(score > 0)


def score_of(one: Answered, b: str) -> float:
    """The answer as a number for `b`: -3 to 3 in CMOS, -1 to 1 in A/B."""
    answer = one.answer if one.content.mode == "cmos" else {"A": -1, "B": 1, "tie": 0}[one.answer]
    return float(answer if one.content.sides[1].name == b else -answer)


def _whole(answers: Sequence[Answered], trials: int | None) -> set[str]:
    """Trials that the advice rests on: the first ones of listeners who have done as many as were fixed before."""
    own: dict[str, list[str]] = {}
    for one in answers:
        own.setdefault(one.listener, []).append(one.trial)
    if trials is None:
        return {trial for found in own.values() for trial in found}
    return {trial for found in own.values() if len(found) >= trials for trial in found[:trials]}


def _pair(a: str, b: str, answers: Sequence[Answered], asked: Asked, whole: set[str], level: float) -> PairFinding:
    values = [value_of(one, b) for one in answers]
    names = [one.listener for one in answers]
    count = Counter(values)
    crossed = asked.crossed(answers)
    spread = spread_of(values, names)
    listeners = _shares(names, values, spread)
    if mode_of(answers) == "abx":
        corrected = holm([binomial_tail(one.wins, one.wins + one.losses) for one in listeners])
        listeners = [_with_p(one, p) for one, p in zip(listeners, corrected, strict=True)]
    ahead, behind = (sum(sign * (one.wins - one.losses) > 0 for one in listeners) for sign in (1, -1))
    variance = crossed.variance(values)
    counted = _shares(*_those(answers, whole, b), None)
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
        votes_worth=min(float(len(values)), float(np.var(values)) / variance) if variance > 0 else float(len(listeners)),
        between=None if spread is None else spread.between,
        listeners=listeners,
        advice=advise([one.share for one in counted], margin=asked.margin, alpha=level),
        needed=_needed(spread, asked.trials or round(len(values) / len(listeners)), level),
    )


def mode_of(answers: Sequence[Answered]) -> str:
    """The mode of answers of one test."""
    return answers[0].content.mode


def _those(answers: Sequence[Answered], whole: set[str], b: str) -> tuple[list[str], list[float]]:
    kept = [one for one in answers if one.trial in whole]
    return [one.listener for one in kept], [value_of(one, b) for one in kept]


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


def _with_p(one: ListenerShare, p: float) -> ListenerShare:
    return ListenerShare(**{**vars(one), "p": p})


def _score(answers: Sequence[Answered], b: str, crossed: Crossed, asked: Asked) -> Interval | None:
    if mode_of(answers) != "cmos":
        return None
    scores = [score_of(one, b) for one in answers]
    return crossed.mean(scores, span=SPANS["cmos"], confidence=asked.confidence)


def _needed(spread: Spread | None, trials: int, alpha: float) -> dict[str, int]:
    if spread is None:
        return {}
    found = {f"{target:.0%}": listeners_needed(spread, trials, target - 0.5, alpha=alpha) for target in TARGETS}
    return {name: count for name, count in found.items() if count is not None}


def name_of(side: Side) -> str:
    """How a rated clip is named in tables."""
    if side.name == REFERENCE:
        return "hidden reference" if not side.damage else f"anchor {side.damage.removeprefix('lowpass-')} Hz"
    return side.name


def ratings(
    answers: Sequence[Answered], asked: Asked, order: Sequence[str] = ()
) -> tuple[list[Rating], list[RatingDifference]]:
    """Mean ratings of every system, and differences of every two; `answers` of MOS or MUSHRA without catch trials."""
    rows = [(one, name_of(side), one.answer[side.label]) for one in answers for side in one.content.sides]
    if not rows:
        return [], []
    kinds = {name_of(side): side.name for one in answers for side in one.content.sides}
    systems = ordered([name for name, kind in kinds.items() if kind != REFERENCE], order)
    names, span = [*systems, *sorted(set(kinds) - set(systems), reverse=True)], SPANS[mode_of(answers)]
    crossed = asked.crossed([one for one, _, _ in rows])
    values = np.array([value for _, _, value in rows], dtype=np.float64)
    among = {name: np.array([found == name for _, found, _ in rows]) for name in names}
    means = [
        Rating(
            system=name,
            ratings=int(among[name].sum()),
            mean=crossed.mean(values, among=among[name], span=span, confidence=asked.confidence),
        )
        for name in names
    ]
    differences = [
        RatingDifference(
            a=a, b=b, difference=crossed.difference(values, among[a], among[b], span=span, confidence=asked.confidence)
        )
        for a, b in itertools.combinations(systems, 2)
    ]
    return means, differences


def ranking(answers: Sequence[Answered], asked: Asked, order: Sequence[str] = ()) -> list[Rank]:
    """Bradley-Terry strengths, the strongest first; [] for fewer than three systems, or groups never compared."""
    systems = ordered([side.name for one in answers for side in one.content.sides], order)
    if len(systems) < 3:
        return []
    size, place = len(systems), {name: k for k, name in enumerate(systems)}
    columns = np.zeros((len(answers), size, size))
    for row, one in enumerate(answers):
        a, b = (place[side.name] for side in one.content.sides)
        share = value_of(one, systems[b])
        columns[row, b, a], columns[row, a, b] = share, 1 - share
    wins = columns.sum(axis=0)
    if not connected((wins + wins.T) > 0):
        return []
    crossed = asked.crossed(answers)
    drawn = log_strengths(crossed.sums(columns.reshape(len(answers), -1)).reshape(-1, size, size))
    strengths, best = log_strengths(wins), drawn.argmax(axis=1)
    clusters = min(crossed.num_listeners, crossed.num_items)

    def interval(convert: Callable[[np.ndarray], np.ndarray], k: int) -> Interval:
        from lpo_tts.statistics import percentile_interval

        estimate = float(convert(strengths[k : k + 1])[0])
        return percentile_interval(estimate, convert(drawn[:, k]), asked.confidence, num_clusters=clusters)

    found = [
        Rank(
            system=name,
            strength=interval(lambda value: value, k),
            preferred=interval(lambda value: 1 / (1 + np.exp(-value)), k),
            best=float((best == k).mean()),
        )
        for k, name in enumerate(systems)
    ]
    return sorted(found, key=lambda one: -one.strength.estimate)


def candidates(answers: Sequence[Answered]) -> CandidateFinding:
    """What votes on candidates (A/B, CMOS) are worth; `answers` without catch trials."""
    own: dict[tuple[str, str], dict[str, float]] = {}
    for one in answers:
        first, second = sorted(side.candidate_id for side in one.content.sides)
        own.setdefault((first, second), {})[one.listener] = value_of(one, max(side.name for side in one.content.sides))
    votes = [list(found.values()) for found in own.values()]
    both = [one == other for found in votes for one, other in itertools.combinations(found, 2)]
    return CandidateFinding(
        votes=sum(map(len, votes)),
        ties=sum(found.count(0.5) for found in votes),
        compared=len(votes),
        repeated=sum(len(found) > 1 for found in votes),
        agreement=sum(both) / len(both) if both else None,
    )


Kind = Literal["preferences", "ratings", "abx", "candidates"]
Names = Mapping[str, Sequence[str]]
