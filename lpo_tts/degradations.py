"""Ways to spoil a recording, (num_samples,) float32 of any sample rate: each gives the same samples at every run."""

import itertools
import math

import torch
from torch import Tensor

from lpo_tts.audio import resample

FADE = 0.005  # seconds; without it a cut would be heard as a click
FRAME = 0.02  # seconds; a cut falls on the quietest frame near its place
NEAR = 0.15  # seconds to either side in which that frame is looked for
RUNAWAY = 35.0  # seconds that a model adds which misses its end; longer than the 30 s that Whisper hears at once
PHRASE = 1.5  # seconds at the end that are said again and again


def noisy(wave: Tensor, decibels: float, generator: torch.Generator) -> Tensor:
    """With white noise so many dB below the root mean square of the whole recording."""
    noise = torch.randn(wave.shape, generator=generator)
    return _within(wave + noise * _rms(wave) / _rms(noise) * 10 ** (-decibels / 20))


def clipped(wave: Tensor, share: float) -> Tensor:
    """Clipped at a share of its peak, and as loud as it was, or as full scale allows."""
    limit = share * float(wave.abs().max())
    flat = wave.clamp(-limit, limit)
    return _within(flat * (_rms(wave) / _rms(flat).clamp_min(1e-12)))


def cut_off(wave: Tensor, rate: int, share: float) -> Tensor:
    """Without the last share of its time; it ends in the middle of whatever sounds there."""
    return wave[: _samples(wave, 1 - share)].clone()


def without(wave: Tensor, rate: int, start: float, share: float) -> Tensor:
    """Without a stretch, whose start and length are shares of the time; the ends are joined where it is quiet."""
    first, end = (quiet(wave, rate, place) for place in (start, start + share))
    return _joined([wave[:first], wave[end:]], rate)


def said_twice(wave: Tensor, rate: int, start: float, share: float) -> Tensor:
    """With a stretch said twice."""
    first, end = (quiet(wave, rate, place) for place in (start, start + share))
    return _joined([wave[:end], wave[first:end], wave[end:]], rate)


def run_on(wave: Tensor, rate: int, generator: torch.Generator) -> Tensor:
    """Followed by noise as loud as the speech, for as long as a model speaks that misses its end."""
    noise = torch.randn(int(RUNAWAY * rate), generator=generator)
    return _within(torch.cat([wave, noise * _rms(wave)]))


def looped(wave: Tensor, rate: int) -> Tensor:
    """Followed by its own end, again and again, for as long."""
    first = quiet(wave, rate, max(0.0, 1 - PHRASE * rate / len(wave)))
    phrase = wave[min(first, len(wave) - 1) :]
    return _joined([wave, *[phrase] * math.ceil(RUNAWAY * rate / len(phrase))], rate)


def played(wave: Tensor, rate: int, speed: float) -> Tensor:
    """Played at another speed: rate of speech, pitch and formants change together, so another voice says the same words."""
    return resample(wave, round(rate * speed), rate)


def quiet(wave: Tensor, rate: int, place: float) -> int:
    """The sample in the middle of the quietest frame near a place, which is a share of the time."""
    size, at = max(1, round(FRAME * rate)), _samples(wave, place)
    first = max(0, at - round(NEAR * rate))
    window = wave[first : min(len(wave), at + round(NEAR * rate))]
    if not 0 < place < 1 or len(window) < size:
        return at
    power = window.unfold(0, size, max(1, size // 2)).square().mean(dim=1)
    return first + int(power.argmin()) * max(1, size // 2) + size // 2


def _joined(parts: list[Tensor], rate: int) -> Tensor:
    """One after the other, each faded in and out where it touches another one."""
    size = round(FADE * rate)
    ramp = torch.linspace(0, 1, size)
    found = [part.clone() for part in parts if len(part) > 2 * size]
    for before, after in itertools.pairwise(found):
        before[-size:] *= ramp.flip(0)
        after[:size] *= ramp
    return torch.cat(found) if found else parts[0].clone()


def _samples(wave: Tensor, share: float) -> int:
    return min(len(wave), max(1, round(len(wave) * share)))


def _rms(wave: Tensor) -> Tensor:
    return wave.square().mean().sqrt()


def _within(wave: Tensor) -> Tensor:
    """Quieter where it would exceed full scale, so that writing it does not clip."""
    return wave / max(1.0, float(wave.abs().max()))
