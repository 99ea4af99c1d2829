"""What the store keeps of a listening test: who listens, what was shown, and what was answered."""

from dataclasses import dataclass, field
from typing import Any

from demo.listening.design import Source
from demo.listening.modes import Catch, ModeName, Question, Side


@dataclass(frozen=True, kw_only=True)
class Listener:
    """Somebody who listens; `token` is known where the listener has just given it or got it."""

    id: int
    name: str
    token: str = ""


@dataclass(frozen=True, kw_only=True)
class Seat:
    """A listener's place in a test.

    Attributes:
        number: from 0; unlike all others' of the test.
        due: real trials after which the listener has finished. Fixed when the listener begins; lowered where clips turn out to
            be broken and there are no others, and never because of an answer. 0 = not known (a file of version 1).
    """

    number: int
    due: int


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a trial was, complete in itself: results need neither the design nor the run.

    Attributes:
        mode, question, source: of the design.
        item, prompt_id: what was said.
        sides: clips in the order of their labels.
        reference: ABX: the label that X is the same as; MUSHRA: "reference"; else "".
        catch: "worse", "same" or "".
        seconds: label -> how long the clip lasts; in ABX "X" too.
        tie: a tie was allowed.
        reveal: names are told after the answer.
    """

    mode: ModeName
    question: Question
    source: Source
    item: str
    prompt_id: str
    sides: tuple[Side, ...]
    reference: str = ""
    catch: Catch = ""
    seconds: dict[str, float] = field(default_factory=dict)
    tie: bool = True
    reveal: bool = True

    @property
    def labels(self) -> tuple[str, ...]:
        """Of the clips, in order."""
        return tuple(side.label for side in self.sides)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A trial that a listener was shown; times are Unix times.

    Attributes:
        id: random, for addresses.
        listener: id.
        test: name.
        key: what a listener answers once; the same for all listeners.
        content: what is played.
        shown, opened: when first, and when last.
        answered: whether an answer is stored.
        fetched: labels of the clips that were sent whole since it was first shown, one letter each.
    """

    id: str
    listener: int
    test: str
    key: str
    content: Content
    shown: float
    opened: float
    answered: bool
    fetched: str = ""


@dataclass(frozen=True, kw_only=True)
class Answered:
    """One stored answer; what results are made of.

    Attributes:
        test, listener: by name.
        trial: id.
        key: what a listener answers once; the same for all listeners.
        content: what was played.
        answer: as `modes.check` returns it.
        played: label -> seconds that were played, as the page says.
        shown, opened, time: when the trial was first and last shown, and when it was answered. Unix times; of votes from an
            old table all three are the time of the vote.
    """

    test: str
    listener: str
    trial: str
    key: str
    content: Content
    answer: Any
    played: dict[str, float]
    shown: float
    opened: float
    time: float


def finished(real: int, due: int) -> bool:
    """Whether a listener with so many real answers has finished; `due` as of a seat, 0 where it is not known."""
    return 0 < due <= real
