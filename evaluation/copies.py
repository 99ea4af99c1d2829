"""The table of degraded copies: what each is, and what a right evaluation says of it against the clean one."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from lpo_tts import degradations as ways

Measure = Literal["words", "voice", "ending", "repetition", "quality"]
Promise = Literal["worse", "same"]
Make = Callable[[Tensor, int, torch.Generator], Tensor]

CLEAN = "clean"
FORMAT = 1  # to be raised when a kind of copy changes, so that old and new files are not mixed
EVERY = 4  # of `missing` and `torn`: each such file is spoilt


@dataclass(frozen=True)
class Copy:
    """One kind of copy.

    Attributes:
        what: in words.
        make: waveform, sample rate in Hz and a generator of the id's own to the spoilt waveform; None: the waveform stays, and
            the program treats the file in another way.
        expected: what is promised of a measure. "worse": the evaluation must say so. "same": it must not show a
            difference. A measure that is not named may come out either way.
    """

    what: str
    make: Make | None = None
    expected: dict[Measure, Promise] = field(default_factory=dict)


def _same(*measures: Measure) -> dict[Measure, Promise]:
    return dict.fromkeys(measures, "same")


def _worse(*measures: Measure) -> dict[Measure, Promise]:
    return dict.fromkeys(measures, "worse")


ALL = _same("words", "voice", "ending", "repetition", "quality")

COPIES: dict[str, Copy] = {
    CLEAN: Copy("the recording itself, decoded and written as every other copy is", expected=ALL),
    "noise20": Copy("white noise 20 dB below the speech", lambda w, r, g: ways.noisy(w, 20, g), _worse("voice", "quality")),
    "noise10": Copy("white noise 10 dB below the speech", lambda w, r, g: ways.noisy(w, 10, g), _worse("voice", "quality")),
    "noise5": Copy("white noise 5 dB below the speech", lambda w, r, g: ways.noisy(w, 5, g), _worse("words", "voice", "quality")),
    "cut": Copy("the last third of the time is missing", lambda w, r, g: ways.cut_off(w, r, 1 / 3), _worse("words", "ending")),
    "dropped": Copy(
        "three tenths are missing in the middle",
        lambda w, r, g: ways.without(w, r, 0.35, 0.3),
        _worse("words") | _same("ending"),
    ),
    "repeated": Copy(
        "three tenths in the middle are said twice",
        lambda w, r, g: ways.said_twice(w, r, 0.35, 0.3),
        _worse("words", "repetition") | _same("voice", "ending"),
    ),
    "swapped": Copy("the recording of another id, of another speaker where there is one", expected=_worse("words")),
    "missing": Copy("every n-th file is absent", expected=_worse("words", "ending") | _same("voice", "quality")),
    "torn": Copy("every n-th file breaks off in its header", expected=_worse("words", "ending") | _same("voice", "quality")),
    "silent": Copy("digital silence of the same length", lambda w, r, g: torch.zeros_like(w), _worse("words", "ending")),
    "clipped": Copy(
        "clipped at a twelfth of the peak, and as loud as before",
        lambda w, r, g: ways.clipped(w, 1 / 12),
        _worse("voice", "quality"),
    ),
    "tail": Copy("35 s of noise as loud as the speech follow", lambda w, r, g: ways.run_on(w, r, g), _worse("ending")),
    "loop": Copy(
        "the last words are said again and again for 35 s",
        lambda w, r, g: ways.looped(w, r),
        _worse("words", "ending", "repetition"),
    ),
    "stereo48k": Copy("two equal channels at 48 kHz", expected=ALL),
    "slow": Copy("played at 5/6 of the speed: a lower voice", lambda w, r, g: ways.played(w, r, 5 / 6), _worse("voice")),
    "fast": Copy("played at 6/5 of the speed: a higher voice", lambda w, r, g: ways.played(w, r, 6 / 5), _worse("voice")),
}


def generator(seed: int, kind: str, name: str) -> torch.Generator:
    """Draws that depend on the id alone, so that a resumed run gives the same files in any order."""
    digest = hashlib.sha256(f"{seed} {kind} {name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
