"""Ways to degrade a recording (num_samples,) at 16 kHz: each the same at every run, and as loud as what it was made of."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from lpo_tts.errors import ComponentError

SAMPLE_RATE = 16000  # Hz


def noise(wave: Tensor, decibels: float) -> Tensor:
    """White noise so many dB below the speech."""
    added = torch.randn(wave.shape, generator=torch.Generator().manual_seed(len(wave)))
    return wave + added * _rms(wave) / _rms(added) * 10 ** (-decibels / 20)


def low_pass(wave: Tensor, hertz: float) -> Tensor:
    """Nothing above a frequency, as in a narrow-band call."""
    spectrum = torch.fft.rfft(wave)
    bins = torch.linspace(0, SAMPLE_RATE / 2, len(spectrum))
    return torch.fft.irfft(spectrum * (bins < hertz), n=len(wave))


def clipped(wave: Tensor, share: float) -> Tensor:
    """Clipped at a share of its peak."""
    limit = share * float(wave.abs().max())
    return wave.clamp(-limit, limit)


def mu_law(wave: Tensor, levels: int = 256) -> Tensor:
    """Rounded to so many levels by mu-law, as 8-bit telephony does (ITU-T G.711's curve)."""
    mu = levels - 1.0
    scaled = (wave / wave.abs().max()).clamp(-1, 1)
    folded = scaled.sign() * torch.log1p(mu * scaled.abs()) / math.log1p(mu)
    stepped = ((folded + 1) / 2 * mu).round() / mu * 2 - 1
    return stepped.sign() * (torch.exp(stepped.abs() * math.log1p(mu)) - 1) / mu


def griffin_lim(wave: Tensor, rounds: int = 8) -> Tensor:
    """Resynthesised from magnitudes alone (32 ms every 16 ms), with phases that few rounds of Griffin-Lim found."""
    size, hop = 512, 256
    window = torch.hann_window(size)

    def analysed(heard: Tensor) -> Tensor:
        return torch.stft(heard, size, hop, window=window, return_complex=True)

    magnitude = analysed(wave).abs()
    phase = torch.rand(magnitude.shape, generator=torch.Generator().manual_seed(0)) * 2 * math.pi
    spectrum = torch.polar(magnitude, phase)
    for _ in range(rounds):
        spectrum = torch.polar(magnitude, analysed(torch.istft(spectrum, size, hop, window=window, length=len(wave))).angle())
    return torch.istft(spectrum, size, hop, window=window, length=len(wave))


def reverberant(wave: Tensor, seconds: float = 0.6) -> Tensor:
    """In a room whose echo falls by 60 dB in so many seconds; its first sound and all later ones are equally strong."""
    time = torch.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    echo = torch.randn(time.shape, generator=torch.Generator().manual_seed(0)) * 10 ** (-3 * time / seconds)
    echo = echo / echo.square().sum().sqrt()
    echo[0] = 1.0
    size = len(wave) + len(echo)
    return torch.fft.irfft(torch.fft.rfft(wave, size) * torch.fft.rfft(echo, size), n=size)[: len(wave)]


def half_cut(wave: Tensor) -> Tensor:
    """The first half alone: words are missing, the rest is as it was."""
    return wave[: len(wave) // 2].clone()


def slower(wave: Tensor, rate: float) -> Tensor:
    """At another rate of speech and the same pitch, by librosa's phase vocoder."""
    return torch.from_numpy(_librosa().effects.time_stretch(wave.numpy(), rate=rate).astype(np.float32))


def higher(wave: Tensor, semitones: float) -> Tensor:
    """Voice and pitch shifted by so many semitones, by librosa: another voice, with the artefacts of the shift."""
    return torch.from_numpy(_librosa().effects.pitch_shift(wave.numpy(), sr=SAMPLE_RATE, n_steps=semitones).astype(np.float32))


DEGRADATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "noise, 20 dB": lambda wave: noise(wave, 20),
    "noise, 10 dB": lambda wave: noise(wave, 10),
    "noise, 5 dB": lambda wave: noise(wave, 5),
    "low-pass 4 kHz": lambda wave: low_pass(wave, 4000),
    "clipped at 1/8 of the peak": lambda wave: clipped(wave, 0.125),
    "mu-law, 8 bits": mu_law,
    "Griffin-Lim phases": griffin_lim,
    "reverberation, 0.6 s": reverberant,
    "second half cut off": half_cut,
    "1.3 times slower": lambda wave: slower(wave, 1 / 1.3),
    "4 semitones higher": lambda wave: higher(wave, 4),
}


def degrade(wave: Tensor, name: str) -> Tensor:
    """A degraded copy within [-1, 1], as loud as the clip unless that would clip it."""
    found = DEGRADATIONS[name](wave)
    found = found * (_rms(wave) / _rms(found))
    return found / max(1.0, float(found.abs().max()))


def _rms(wave: Tensor) -> Tensor:
    return wave.square().mean().sqrt()


def _librosa():
    try:
        import librosa
    except ImportError as error:
        raise ComponentError(f"stretched clips need librosa ({error}); install it: pip install librosa") from error
    return librosa
