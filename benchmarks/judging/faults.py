"""Endings made on purpose from a clip that ends well: cut, followed by sound, or followed by silence."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.judging.clips import SAMPLE_RATE, Clip
from lpo_tts.metrics.levels import HOP, frame_levels
from lpo_tts.metrics.listening import Word

TRIMMED = -35.0  # dB below the loudest frame: what is quieter at the end of a clip is cut away


@dataclass(frozen=True)
class Made:
    """A piece of audio, how it was made, and the kind of ending it has."""

    clip: Clip
    name: str
    kind: str
    audio: Tensor


def endings(clip: Clip, other: Clip, words: Sequence[Word]) -> Iterator[Made]:
    """Every ending of one clip.

    Args:
        clip: it ends well.
        other: a clip of other words, which serve as babble.
        words: the words of the text with their times in the clip; fewer than four: none is cut or repeated.
    """
    wave = clip.audio
    trimmed = trim(wave)

    def made(name: str, kind: str, audio: Tensor) -> Made:
        return Made(clip, name, kind, audio)

    yield made("as it is", "good", wave)
    yield made("trimmed to the last sound", "good", trimmed)
    yield made("0.6 s of room tone", "good", torch.cat([trimmed, room_tone(wave, 0.6)]))
    if len(words) >= 4:
        yield made("cut in the middle of the last word", "cut_off", wave[: _samples((words[-1].start + words[-1].end) / 2)])
        yield made("cut before the last word", "cut_off", wave[: _samples(words[-1].start)])
        yield made("cut before the last three words", "cut_off", wave[: _samples(words[-3].start)])
        cut = torch.cat([wave[: _samples(words[-2].start)], room_tone(wave, 2.0)])
        yield made("cut before the last two words, then 2 s of room tone", "cut_off", cut)
    for level in (-10, -20, -30):
        yield made(f"1.5 s of white noise, {level} dB", "trailing_sound", torch.cat([trimmed, noise(1.5) * _gain(wave, level)]))
    for level in (-15, -30):
        yield made(f"1.5 s of hum, {level} dB", "trailing_sound", torch.cat([trimmed, hum(1.5) * _gain(wave, level)]))
    babble = trim(other.audio)[: _samples(2.0)]
    yield made("babble of another clip", "trailing_sound", torch.cat([trimmed, room_tone(wave, 0.2), babble]))
    if len(words) >= 4:
        again = trim(wave[_samples(words[-2].start) :])
        yield made("last two words again, at once", "trailing_sound", torch.cat([trimmed, again]))
        yield made("last two words three times", "trailing_sound", torch.cat([trimmed, *[room_tone(wave, 0.15), again] * 2]))
        again = trim(wave[_samples(words[-1].start) :])
        yield made("last word again", "trailing_sound", torch.cat([trimmed, room_tone(wave, 0.15), again]))
    for seconds in (1.5, 3.0):
        silence = torch.zeros(_samples(seconds))
        yield made(f"{seconds} s of digital silence", "trailing_silence", torch.cat([trimmed, silence]))
        yield made(f"{seconds} s of room tone", "trailing_silence", torch.cat([trimmed, room_tone(wave, seconds)]))


def trim(wave: Tensor) -> Tensor:
    """Without what is quiet at the end, but for 20 ms of it."""
    levels = frame_levels(wave, SAMPLE_RATE)
    loud = (levels > levels.max() + TRIMMED).nonzero()[0]
    return wave[: _samples((int(loud[-1]) + 1) * HOP + 0.02)]


def room_tone(wave: Tensor, seconds: float) -> Tensor:
    """The background of a clip: its quietest 0.1 s, forwards and backwards in turn until it is long enough.

    A clip without any pause (its quietest place is less than 30 dB below its louder frames) has no background to take:
    its own is then faint white noise, 50 dB below them.
    """
    levels = torch.from_numpy(frame_levels(wave, SAMPLE_RATE))
    loudest = levels.unfold(0, 10, 1).amax(1)
    if float(loudest.min()) > float(levels.quantile(0.7)) - 30:
        return noise(seconds) * _gain(wave, -50)
    start = int(loudest.argmin()) * int(HOP * SAMPLE_RATE)
    piece = wave[start : start + SAMPLE_RATE // 10]
    both = torch.cat([piece, piece.flip(0)])
    return both.repeat(_samples(seconds) // len(both) + 1)[: _samples(seconds)]


def noise(seconds: float) -> Tensor:
    """White noise of level 1, the same every time."""
    return torch.randn(_samples(seconds), generator=torch.Generator().manual_seed(0))


def hum(seconds: float) -> Tensor:
    """The hum of a power line at 120 Hz with its harmonics, of level 1."""
    times = torch.arange(_samples(seconds)) / SAMPLE_RATE
    wave = sum(torch.sin(2 * torch.pi * 120 * number * times) / number for number in (1, 2, 3, 5))
    return wave / wave.square().mean().sqrt()


def _gain(wave: Tensor, decibels: float) -> float:
    """Of a sound of level 1, so that it lies so many dB from the level of the speech, that of its louder frames."""
    levels = frame_levels(wave, SAMPLE_RATE)
    return 10 ** ((float(torch.from_numpy(levels).quantile(0.7)) + decibels) / 20)


def _samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE)
