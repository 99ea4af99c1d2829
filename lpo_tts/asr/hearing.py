"""Where in the audio which word of a text was said rightly, wrongly, not at all, or too often."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from lpo_tts.alignment import Operation, align
from lpo_tts.asr.base import HeardWord
from lpo_tts.text import normalise, normaliser_for

WORD_BY_WORD = ("basic", "characters")  # rules under which a text is the same as its words one by one
# The rules that take the place of others, which join or divide words and would lose their times.
INSTEAD = {"chinese": "characters"}
ELSE = "basic"


class Spot(NamedTuple):
    """One step of the alignment of a text with what was heard.

    Attributes:
        kind: "hit", "substitution", "deletion" or "insertion".
        said: the word of the text, "" for an insertion.
        heard: the word that was heard, "" for a deletion.
        start: seconds from the first sample; of a deletion, where the word before it ends.
        end: seconds; of a deletion, where the word after it begins, or the end of the audio.
    """

    kind: Operation
    said: str
    heard: str
    start: float
    end: float


def spots(text: str, words: Sequence[HeardWord], normaliser: str, language: str, duration: float) -> tuple[Spot, ...]:
    """The least-edit alignment of a text with timed words, in order of time.

    Args:
        text: what should be said.
        words: what was heard when.
        normaliser: how both are made comparable. Rules that join words (numbers, titles) are replaced by `basic`, and
            `chinese` by `characters`, since a word they make has no time of its own.
        language: ISO 639-1 code.
        duration: seconds of the audio.
    """
    chosen = normaliser_for(language) if normaliser == "auto" else normaliser
    rule = chosen if chosen in WORD_BY_WORD else INSTEAD.get(chosen, ELSE)
    heard = [piece for word in words for piece in _divided(word, rule, language)]
    steps = align(normalise(text, rule, language).split(), [piece.text for piece in heard])
    found: list[Spot] = []
    place = 0
    for kind, said, word in steps:
        if kind == "deletion":
            start = heard[place - 1].end if place else 0.0
            end = heard[place].start if place < len(heard) else duration
            found.append(Spot(kind, said, "", start, max(start, end)))
        else:
            found.append(Spot(kind, said, word, heard[place].start, heard[place].end))
            place += 1
    return tuple(found)


def _divided(word: HeardWord, rule: str, language: str) -> Iterator[HeardWord]:
    """The pieces of a word after normalisation, its time divided by their lengths."""
    pieces = normalise(word.text, rule, language).split()
    total, done = sum(map(len, pieces)), 0
    for piece in pieces:
        start, end = (word.start + share / total * (word.end - word.start) for share in (done, done + len(piece)))
        yield HeardWord(piece, start, end)
        done += len(piece)
