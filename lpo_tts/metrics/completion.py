"""Where in what was heard a text is complete: an alignment by characters that forgives misheard words."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SAME, OTHER = 1.0, -1.0  # for a character heard as itself, and as another one
SLACK, STRETCH = 2, 0.5  # a misheard end may have so many characters more than the text's, and such a share of them
OPEN, EXTEND = -2.0, -0.1  # for a run of characters left out or put in: once, and for each of its characters


@dataclass(frozen=True)
class Completion:
    """How far a text was spoken.

    Attributes:
        num_heard: how many of the heard words belong to the text; those that follow are too many.
        num_missing: how many words at the end of the text were not heard, neither rightly nor wrongly.
        missing_share: the same in characters, as a share of the text's.
    """

    num_heard: int
    num_missing: int
    missing_share: float


def completion(text: Sequence[str], heard: Sequence[str]) -> Completion:
    """Aligns the words of a text with the heard words, from the beginning up to where they agree no longer.

    The alignment is that of sequences with affine gaps (Gotoh 1982, 10.1016/0022-2836(82)90398-9), anchored at the start
    and open at the end: both sides may have a remainder. What remains of the text is set against what remains of the
    heard characters, because a misheard word has about as many characters as it should. Only what is left
    after that is missing from the text, or too much. So no single wrong word makes an end, and a phrase that is skipped or
    said twice in the middle of a text does not move its end.

    Args:
        text: normalised words of the text.
        heard: normalised words of the hypothesis; one may be empty, or hold several.
    """
    said, spoken = " ".join(text), " ".join(heard)
    if not said or not spoken:
        return Completion(0 if not spoken else len(heard), len(text) if not spoken else 0, float(bool(said) and not spoken))
    row, column = _end(said, spoken)
    rest_said, rest_spoken = len(said) - row, len(spoken) - column
    allowed = rest_said + SLACK if rest_said else 0
    num_heard = _words_before(heard, column + min(allowed, rest_spoken))
    # A longer misheard end is believed as long as it is not made of words that were heard before.
    longest = _words_before(heard, column + min(allowed + STRETCH * rest_said, rest_spoken))
    while num_heard < longest and heard[num_heard] not in heard[:num_heard]:
        num_heard += 1
    missing = max(0, rest_said - rest_spoken)
    num_missing = len(text) - _words_before(text, len(said) - missing)
    return Completion(num_heard, num_missing, missing / len(said))


def _end(said: str, spoken: str) -> tuple[int, int]:
    """Characters of the text and of the heard words at which the best alignment of their beginnings ends."""
    columns = np.arange(len(spoken) + 1)
    letters = np.array(list(spoken))
    best = OPEN + EXTEND * columns
    best[0] = 0.0
    skipping = np.full(len(columns), -np.inf)  # the text's characters are being left out
    top, place = best.max(), (0, int(best.argmax()))
    for row, letter in enumerate(said, 1):
        skipping = np.maximum(best + OPEN, skipping) + EXTEND
        now = skipping.copy()
        now[1:] = np.maximum(now[1:], best[:-1] + np.where(letters == letter, SAME, OTHER))
        # A run of heard characters that the text does not have begins anywhere to the left.
        left = np.maximum.accumulate(now - EXTEND * columns)
        now[1:] = np.maximum(now[1:], left[:-1] + OPEN + EXTEND * columns[1:])
        best = now
        if best.max() > top + 1e-9:
            top, place = best.max(), (row, int(best.argmax()))
    return place


def _words_before(words: Sequence[str], end: float) -> int:
    """How many words have their middle before a place in the joined text."""
    start, count = 0, 0
    for number, word in enumerate(words, 1):
        if start + len(word) / 2 <= end - 1e-9 or not word:
            count = number
        start += len(word) + 1
    return count


def repeated(text: Sequence[str], heard: Sequence[str], order: int) -> int:
    """How often runs of `order` words are heard again that the text does not have so often; the first time is free."""

    def runs(words: Sequence[str]) -> dict[tuple[str, ...], int]:
        found: dict[tuple[str, ...], int] = {}
        for start in range(len(words) - order + 1):
            run = tuple(words[start : start + order])
            found[run] = found.get(run, 0) + 1
        return found

    wanted = runs(text)
    return sum(max(0, count - max(1, wanted.get(run, 0))) for run, count in runs(heard).items())
