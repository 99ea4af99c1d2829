"""What every number of a listening test is made with: draws, confidence, margin; and how an answer is read as a number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from demo.listening.rows import Answered
from lpo_tts.statistics import CONFIDENCE, MARGIN, Crossed

SPANS = {"mos": (1.0, 5.0), "cmos": (-3.0, 3.0), "mushra": (0.0, 100.0)}
NUM_RESAMPLES = 4000  # ours: enough for whole per cents, and a page that is asked for again and again stays quick
BASE = "base"  # is named first, so that a share is that of what was made of it


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is wanted of all numbers.

    Attributes:
        due: listener -> real trials after which one has finished, 0 where that is not known; None = no number was fixed, and
            all answers of a listener count.
        confidence: of intervals and of the advice.
        margin: around one half, within which a preference is too small to matter.
        num_resamples, seed: of the bootstrap.
    """

    due: Mapping[str, int] | None = None
    confidence: float = CONFIDENCE
    margin: float = MARGIN
    num_resamples: int = NUM_RESAMPLES
    seed: int = 0

    def crossed(self, answers: Sequence[Answered]) -> Crossed:
        """The draws for answers; all seeds of a prompt are one item."""
        listeners, items = [one.listener for one in answers], [one.content.prompt_id for one in answers]
        return Crossed(listeners, items, num_resamples=self.num_resamples, seed=self.seed)


def ordered(names: Sequence[str], order: Sequence[str] = ()) -> list[str]:
    """Systems as they are named: in a given order, then "base" first and the others by name."""
    return sorted(set(names), key=lambda name: (order.index(name) if name in order else len(order), name != BASE, name))


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


def mode_of(answers: Sequence[Answered]) -> str:
    """The mode of answers of one test."""
    return answers[0].content.mode
