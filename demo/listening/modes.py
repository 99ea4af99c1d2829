"""The five modes of a listening test: what a trial plays, what is asked, and which answers there are."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from demo.listening.refusals import Refused
from lpo_tts.errors import ConfigError

ModeName = Literal["ab", "abx", "mos", "cmos", "mushra"]
Question = Literal["words", "voice", "overall"]
Catch = Literal["", "worse", "same"]
MODES: tuple[ModeName, ...] = get_args(ModeName)
QUESTIONS: tuple[Question, ...] = get_args(Question)
LABELS = "ABCDEFGHIJKLMNOP"  # more than anybody compares at once
REFERENCE = "reference"  # name of the recording in MUSHRA, open and hidden
LOWPASS = "lowpass-"  # before the Hz of an anchor
HIDDEN, ANCHOR = "hidden reference", "anchor "  # how tables name the recording among the clips, and its low-passed copies
X = "X"  # label of the clip that ABX asks about

TITLES: Mapping[ModeName, str] = {
    "ab": "A/B preference",
    "abx": "ABX discrimination",
    "mos": "Mean opinion score (MOS)",
    "cmos": "Comparative opinion score (CMOS)",
    "mushra": "MUSHRA",
}
ASKED: Mapping[ModeName, Mapping[Question, str]] = {
    "ab": {
        "words": "Which clip says the words of the text better?",
        "voice": "Which clip sounds more like the given voice?",
        "overall": "Which clip is better as a whole?",
    },
    "abx": dict.fromkeys(QUESTIONS, "Which clip is the same as X?"),
    "mos": {
        "words": "How well does the clip say the words of the text?",
        "voice": "How much does the clip sound like the given voice?",
        "overall": "How good is the clip as a whole?",
    },
    "cmos": {
        "words": "Does B say the words of the text better or worse than A?",
        "voice": "Does B sound more or less like the given voice than A?",
        "overall": "Is B better or worse than A?",
    },
    "mushra": {
        "words": "How well does each clip say the words, measured by the reference?",
        "voice": "How much does each clip sound like the voice of the reference?",
        "overall": "How good is each clip, measured by the reference?",
    },
}
OPINIONS = {5: "Excellent", 4: "Good", 3: "Fair", 2: "Poor", 1: "Bad"}  # ITU-T P.800, also the bands of BS.1534
COMPARED = {
    3: "B is much better",
    2: "B is better",
    1: "B is slightly better",
    0: "About the same",
    -1: "A is slightly better",
    -2: "A is better",
    -3: "A is much better",
}  # ITU-T P.800, annex E


@dataclass(frozen=True, kw_only=True)
class Side:
    """One clip of a trial as a listener hears it; only the label is told before the answer.

    Attributes:
        label: "A", "B", ...
        name: of the system, of the candidate, or "reference".
        candidate_id: in the tables of the run; "" for a recording.
        damage: what was done to the clip on purpose, such as "cut"; "" = nothing.
    """

    label: str
    name: str
    candidate_id: str = ""
    damage: str = ""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What a page shows for an answer.

    Attributes:
        kind: "choice" (one of the options), "rating" (one number), "each" (one number for each label).
        options: value and words of each answer, in the order of the page; of a slider, the bands from top to bottom.
        low, high, step: of numbers.
    """

    kind: Literal["choice", "rating", "each"]
    options: tuple[tuple[str | int, str], ...]
    low: int | None = None
    high: int | None = None
    step: int | None = None


def check_system(where: str, name: str) -> None:
    """Raises ConfigError for a system that is called like something that the tests have of their own.

    Trials and tables know clips by name: two of one name would be taken for each other, or added up.
    """
    meaning = {REFERENCE: "the recording", HIDDEN: "the recording", "worse": "a catch trial", "same": "a catch trial"}.get(
        name, ""
    )
    if name.startswith((LOWPASS, ANCHOR)):
        meaning = "an anchor"
    if meaning:
        raise ConfigError(f"{where}: {name!r} is {meaning}; give the system another name")
    if "|" in name:  # stands between the names of a trial
        raise ConfigError(f"{where}: expected a system's name without |, found {name!r}; give the system another name")


def scale_of(mode: ModeName, tie: bool) -> Scale:
    """The scale of a mode; `tie`: A/B may be answered with "no difference"."""
    match mode:
        case "ab":
            middle = (("tie", "No difference"),) if tie else ()
            return Scale(kind="choice", options=(("A", "A is better"), *middle, ("B", "B is better")))
        case "abx":
            return Scale(kind="choice", options=(("A", "X is A"), ("B", "X is B")))
        case "mos":
            return Scale(kind="each", options=tuple(OPINIONS.items()), low=1, high=5, step=1)
        case "cmos":
            return Scale(kind="rating", options=tuple(sorted(COMPARED.items())), low=-3, high=3, step=1)
        case "mushra":
            bands = tuple((20 * value, words) for value, words in OPINIONS.items())
            return Scale(kind="each", options=bands, low=0, high=100, step=1)


def draw(mode: ModeName, clips: Sequence[Side], source: random.Random | None = None) -> tuple[tuple[Side, ...], str]:
    """Gives clips their labels in random order, and says what the reference is.

    Args:
        mode: of the test.
        clips: whose labels do not count yet.
        source: of the order; None: the operating system's, so that no seed gives it away.

    Returns:
        The clips in the order of their labels; and for ABX the label that X is the same as, for MUSHRA "reference", else "".
    """
    source = source or random.SystemRandom()
    order = list(clips)
    source.shuffle(order)
    sides = tuple(
        Side(label=label, name=one.name, candidate_id=one.candidate_id, damage=one.damage)
        for label, one in zip(LABELS, order, strict=False)
    )
    if mode == "abx":
        return sides, source.choice("AB")
    return sides, REFERENCE if mode == "mushra" else ""


def to_hear(mode: ModeName, labels: Sequence[str]) -> tuple[str, ...]:
    """Labels of what has to be played to its end before the answer."""
    return (*labels, X) if mode == "abx" else tuple(labels)


def check(mode: ModeName, labels: Sequence[str], answer: Any, tie: bool) -> Any:
    """The answer as it is stored.

    Raises:
        Refused: it is none of the mode's answers.
    """
    if mode in ("ab", "abx"):
        choices = ("A", "B", "tie") if mode == "ab" and tie else ("A", "B")
        if not isinstance(answer, str) or answer not in choices:
            raise Refused("answer", f"expected one of {', '.join(choices)} as the answer, found {_shown(answer)}")
        return answer
    if mode == "cmos":
        return _number(answer, -3, 3, "the answer")
    low, high = (1, 5) if mode == "mos" else (0, 100)
    if not isinstance(answer, dict) or set(answer) != set(labels):
        raise Refused("answer", f"expected a number for each of {', '.join(labels)}, found {_shown(answer)}")
    return {label: _number(answer[label], low, high, f"clip {label}") for label in labels}


def _number(value: Any, low: int, high: int, where: str) -> int:
    whole = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value == int(value)
    if not whole or not low <= value <= high:
        raise Refused("answer", f"expected a whole number from {low} to {high} for {where}, found {_shown(value)}")
    return int(value)


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def passed(mode: ModeName, catch: Catch, sides: Sequence[Side], reference: str, answer: Any) -> bool | None:
    """Whether an answer is that of somebody who listens; None where a trial cannot tell.

    A trial with a spoilt copy ("worse") is passed by whoever prefers the clip as it was; ABX by naming the right clip; a
    single spoilt clip (MOS) by a rating of 3 or less. A trial with the same clip twice ("same") is passed by a tie, in CMOS
    by at most 1. Every trial of MUSHRA holds the reference once more, hidden: it is to be rated at least 90 (BS.1534-3).
    """
    if mode == "mushra":
        hidden = next((one.label for one in sides if one.name == REFERENCE and not one.damage), None)
        return None if hidden is None else answer[hidden] >= 90
    if not catch:
        return None
    if mode == "abx":
        return answer == reference
    if catch == "same":
        return answer == "tie" if mode == "ab" else abs(answer) <= 1
    whole = next((one.label for one in sides if not one.damage), None)
    if mode == "ab":
        return answer == whole
    if mode == "cmos":
        return answer > 0 if whole == "B" else answer < 0
    return answer[sides[0].label] <= 3
