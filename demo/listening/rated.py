"""Mean ratings of systems (MOS, MUSHRA) and their differences."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from demo.listening.asked import SPANS, Asked, mode_of, ordered
from demo.listening.modes import ANCHOR, HIDDEN, LOWPASS, REFERENCE, Side
from demo.listening.rows import Answered
from lpo_tts.statistics import Interval


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


def name_of(side: Side) -> str:
    """How a rated clip is named in tables."""
    if side.name == REFERENCE:
        return HIDDEN if not side.damage else f"{ANCHOR}{side.damage.removeprefix(LOWPASS)} Hz"
    return side.name


def ratings(answers: Sequence[Answered], asked: Asked, order: Sequence[str] = ()) -> tuple[list[Rating], list[RatingDifference]]:
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
