"""Where an answer says something else than its text: from the words that were heard to stretches of time, then to frames."""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lpo_tts.asr.hearing import Spot

ROUNDING = 1e-6  # of a frame; ours: 0.06 s at 50 frames/s is frame 3, whatever the floats make of it


@dataclass(frozen=True)
class Fault:
    """A stretch of an answer that does not say its text.

    Attributes:
        start: seconds from the start of the answer.
        end: seconds; what is heard wrongly ends there.
        word: which word of the text it is, from 0; of something between two words the later one, up to the number of words.
        between: it lies between two words of the text: an insertion.
        nothing: there is no sound of its own: a word that is not said.
        to_end: everything from `start` to the end of the answer is faulty.
    """

    start: float
    end: float
    word: int
    between: bool = False
    nothing: bool = False
    to_end: bool = False


def faults(spots: Sequence[Spot], *, onset_to_end: bool = True) -> tuple[Fault, ...]:
    """The faults of an answer, in order of time.

    A wrong, missing or additional word is a fault for as long as it lasts. With `onset_to_end` two kinds reach from their
    onset to the end of the answer, as in FPO (arXiv 2502.02950): a repetition, and an end that is not that of the text. A
    repetition is a run of words heard twice in succession, one of the two additional. A wrong end is words at the end that
    are all missing (truncation) or all additional (speech that runs on, which FPO does not name).

    Args:
        spots: what was said and heard, in order of time.
        onset_to_end: whether these two kinds reach to the end.
    """
    found = [(index, _fault(spots, index)) for index, spot in enumerate(spots) if spot.kind != "hit"]
    if onset_to_end:
        onset, known = min((at for at in (_repeated(spots), _wrong_end(spots)) if at is not None), default=(None, 0))
        if onset is not None:
            last = _fault(spots, onset)
            whole = Fault(last.start, max(spot.end for spot in spots[onset:]), last.word, last.between, last.nothing, to_end=True)
            return (*(fault for index, fault in found if index < known), whole)
    return tuple(fault for _, fault in found)


def counterpart(fault: Fault, spots: Sequence[Spot]) -> Fault | None:
    """The stretch of another answer to the same text that says the words of a fault; None where its text has other words.

    Args:
        fault: of the one answer.
        spots: of the other.
    """
    said = [spot for spot in spots if spot.kind != "insertion"]
    if not said or fault.word > len(said) - (not fault.between):
        return None
    if not fault.between:
        own = said[fault.word]
        return Fault(own.start, own.end, fault.word, nothing=own.kind == "deletion", to_end=fault.to_end)
    before = said[fault.word - 1].end if fault.word else 0.0
    after = said[fault.word].start if fault.word < len(said) else math.inf
    return Fault(before, max(before, after), fault.word, between=True, nothing=True, to_end=fault.to_end)


def in_frames(found: Iterable[Fault], margin: float, rate: float, frames: int) -> list[tuple[int, int | None]]:
    """(first frame, end frame) of each stretch, in order and apart; None = to the end of the answer, its end token included.

    A stretch has at least one frame. One that reaches the last frame reaches the end token too. What has no sound of its own
    (a word that is not said) takes at least one frame on either side.

    Args:
        found: the faults.
        margin: seconds added before and after.
        rate: frames per second.
        frames: of the answer, at least 1.
    """
    spans: list[tuple[int, int | None]] = []
    for first, end in sorted((_frames(fault, margin, rate, frames) for fault in found), key=lambda span: span[0]):
        if spans and (spans[-1][1] is None or first <= spans[-1][1]):
            first, before = spans.pop()
            end = None if end is None or before is None else max(before, end)
        spans.append((first, end))
    return spans


def _frames(fault: Fault, margin: float, rate: float, frames: int) -> tuple[int, int | None]:
    more = max(margin, 1 / rate) if fault.nothing else margin
    first = min(max(0, math.floor((fault.start - more) * rate + ROUNDING)), frames - 1)
    end = frames if fault.to_end or fault.end == math.inf else math.ceil((fault.end + more) * rate - ROUNDING)
    return first, None if end >= frames else max(end, first + 1)


def _fault(spots: Sequence[Spot], index: int) -> Fault:
    spot = spots[index]
    word = sum(one.kind != "insertion" for one in spots[:index])
    return Fault(spot.start, spot.end, word, between=spot.kind == "insertion", nothing=spot.kind == "deletion")


def _repeated(spots: Sequence[Spot]) -> tuple[int, int] | None:
    """Where the second copy of the first repetition begins, and up to where other faults count.

    One of the two copies is all insertions; where that is the first one, it is the right one all the same.
    """
    heard = [index for index, spot in enumerate(spots) if spot.heard]
    longest = _longest_insertion(spots)
    for at in range(1, len(heard)):
        for size in range(1, min(at, len(heard) - at, longest) + 1):
            first, second = ([spots[index] for index in heard[low : low + size]] for low in (at - size, at))
            if [spot.heard for spot in first] != [spot.heard for spot in second]:
                continue
            if all(spot.kind == "insertion" for spot in second):
                return heard[at], heard[at]
            if all(spot.kind == "insertion" for spot in first):
                return heard[at], heard[at - size]
    return None


def _longest_insertion(spots: Sequence[Spot]) -> int:
    """Words of the longest run of insertions."""
    return max(
        (len(list(run)) for added, run in itertools.groupby(spots, lambda spot: spot.kind == "insertion") if added), default=0
    )


def _wrong_end(spots: Sequence[Spot]) -> tuple[int, int] | None:
    """Where the run of deletions, or of insertions, begins with which the answer ends; twice, as `_repeated` tells it."""
    start = len(spots)
    kind = spots[-1].kind if spots else ""
    while kind in ("deletion", "insertion") and start and spots[start - 1].kind == kind:
        start -= 1
    return (start, start) if start < len(spots) else None
