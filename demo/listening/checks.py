"""Careless answers: which listeners answer as if they had not listened. They are flagged; nobody is left out in silence."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from demo.listening import modes
from demo.listening.rows import Answered
from demo.listening.sittings import SLACK
from lpo_tts.statistics import sign_test

SIDE_LEVEL = 0.005  # ours: sides are drawn by lot, so of 200 careful listeners one is flagged
SAME_RATINGS = 8  # ours: so many ratings, all alike, are no ratings
SLIP = 0.05  # ours: chance that a careful listener fails a spoilt copy, by a wrong key or a cough
FAILED_LEVEL = 0.02  # ours: of 50 careful listeners one is flagged; it takes 2 of up to 4 spoilt copies, 3 of up to 12
HIDDEN_SHARE = 0.15  # BS.1534-3, 4.1.2: hidden reference below 90 in more than 15 % of the trials

ONE_SIDE = "always one side"
ONE_RATING = "always the same rating"
TOO_FAST = "faster than the audio"
FAILED = "failed catch trials"
HIDDEN = "hidden reference below 90"


@dataclass(frozen=True, kw_only=True)
class Check:
    """How one listener answered one test.

    Attributes:
        listener: name.
        answers: to real trials.
        first, second: real answers for the clip A, and for B; of ratings both are 0.
        side_p: two-sided chance of so one-sided answers with sides drawn by lot.
        failed, worse: catch trials with a spoilt copy (MUSHRA: hidden references) that were failed, and all of them.
        differed, same: catch trials with the same clip twice that were answered with a preference, and all of them. They are
            told and flag nobody: a careful listener who takes one of two alike clips has answered as was asked.
        fast: answers, catch trials too, that came sooner than the clips can be heard; None where no time is known.
        median_seconds: from a trial's first showing to its answer; None where no time is known.
        flags: what speaks against the listener; () for nothing.
    """

    listener: str
    answers: int
    first: int
    second: int
    side_p: float
    failed: int
    worse: int
    differed: int
    same: int
    fast: int | None
    median_seconds: float | None
    flags: tuple[str, ...]


def check_listeners(answers: Iterable[Answered]) -> list[Check]:
    """A check of each listener, by name; `answers`: of one test and one mode."""
    own: dict[str, list[Answered]] = {}
    for one in answers:
        own.setdefault(one.listener, []).append(one)
    return [_check(name, own[name]) for name in sorted(own)]


def _check(name: str, answers: Sequence[Answered]) -> Check:
    real = [one for one in answers if not one.content.catch]
    sides = [side for one in real if (side := _side(one))]
    first, second = sides.count("A"), sides.count("B")
    passed = {kind: [_passed(one) for one in answers if _kind(one) == kind] for kind in ("worse", "same")}
    failed, differed = (passed[kind].count(False) for kind in ("worse", "same"))
    timed = [one for one in answers if one.time > one.shown]
    fast = sum(map(_fast, timed)) if timed else None
    side_p = sign_test(first, second)
    mushra = any(one.content.mode == "mushra" for one in answers)
    found = {
        ONE_SIDE: side_p < SIDE_LEVEL,
        ONE_RATING: _one_rating(real),
        TOO_FAST: bool(fast),
        FAILED: not mushra and _by_slips(failed, len(passed["worse"])) < FAILED_LEVEL,
        HIDDEN: mushra and failed > HIDDEN_SHARE * len(passed["worse"]),
    }
    return Check(
        listener=name,
        answers=len(real),
        first=first,
        second=second,
        side_p=side_p,
        failed=failed,
        worse=len(passed["worse"]),
        differed=differed,
        same=len(passed["same"]),
        fast=fast,
        median_seconds=statistics.median(one.time - one.shown for one in timed) if timed else None,
        flags=tuple(flag for flag, holds in found.items() if holds),
    )


def _by_slips(failed: int, trials: int) -> float:
    """Chance that a careful listener fails so many trials or more."""
    return sum(math.comb(trials, k) * SLIP**k * (1 - SLIP) ** (trials - k) for k in range(failed, trials + 1))


def _side(one: Answered) -> str:
    """The label that an answer speaks for; "" for neither, and for ratings."""
    if one.content.mode in ("ab", "abx"):
        return one.answer if one.answer in ("A", "B") else ""
    if one.content.mode == "cmos" and one.answer:
        return "B" if one.answer > 0 else "A"
    return ""


def _kind(one: Answered) -> str:
    """Every trial of MUSHRA is a catch trial too, by its hidden reference."""
    return "worse" if one.content.mode == "mushra" else one.content.catch


def _passed(one: Answered) -> bool | None:
    content = one.content
    return modes.passed(content.mode, content.catch, content.sides, content.reference, one.answer)


def _one_rating(real: Sequence[Answered]) -> bool:
    ratings = [value for one in real if isinstance(one.answer, dict) for value in one.answer.values()]
    return len(ratings) >= SAME_RATINGS and len(set(ratings)) == 1


def _fast(one: Answered) -> bool:
    needed = {label: max(seconds - SLACK, seconds / 2) for label, seconds in one.content.seconds.items()}
    unheard = any(one.played.get(label, 0.0) < least for label, least in needed.items())
    return unheard or one.time - one.shown < sum(needed.values())
