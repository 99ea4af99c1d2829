"""Greedy CTC: from the best symbol of every frame to words with their times."""

import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from lpo_tts.asr.base import HeardWord


class Run(NamedTuple):
    """One symbol, and the frames it is the best of: `first` to `end`, which is not one of them."""

    id: int
    first: int
    end: int


def runs(frames: Sequence[int], blank: int) -> list[Run]:
    """Repeats merged and blanks dropped, as CTC reads a path (Graves et al., 2006)."""
    found, place = [], 0
    for symbol, group in itertools.groupby(frames):
        size = sum(1 for _ in group)
        if symbol != blank:
            found.append(Run(symbol, place, place + size))
        place += size
    return found


def words(pieces: Iterable[tuple[str, Run]], space: str, frame: float, offset: float = 0.0) -> tuple[HeardWord, ...]:
    """Characters put together to words.

    CTC marks each character by a short peak, most often within its sound. So a word is heard from its first peak to its
    last, which may lie some hundredths of a second inside the word.

    Args:
        pieces: characters and their runs, in order.
        space: the character between words.
        frame: seconds of one frame.
        offset: seconds from the first sample to the first frame.
    """
    found: list[HeardWord] = []
    for is_space, group in itertools.groupby(pieces, key=lambda piece: piece[0] == space):
        if not is_space:
            own = list(group)
            start, end = own[0][1].first * frame + offset, own[-1][1].end * frame + offset
            found.append(HeardWord("".join(text for text, _ in own), start, end))
    return tuple(found)
