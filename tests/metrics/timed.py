"""A recogniser that hears what it is told, and speech made of tones, for metrics of timing."""

from dataclasses import dataclass, field

import torch

from lpo_tts.asr.base import HeardWord, LanguageError
from lpo_tts.metrics.base import Speech

RATE = 16000


@dataclass(frozen=True)
class Told:
    """Hears the words given for a waveform of so many seconds, whatever it sounds like."""

    words: tuple[tuple[str, float, float], ...]
    sample_rate: int = RATE
    heard: list = field(default_factory=list, compare=False)  # seconds of each waveform that was listened to

    def load(self, device="cpu"):
        return self

    def transcribe_timed(self, audio, language="en"):
        if language != "en":
            raise LanguageError(f"told: expected language 'en', found {language!r}")
        self.heard.extend(round(wave.numel() / RATE, 3) for wave in audio)
        return [tuple(HeardWord(*word) for word in self.words) for _ in audio]


def tone(seconds, decibels=-20.0, hertz=400):
    times = torch.arange(round(seconds * RATE)) / RATE
    return 2**0.5 * 10 ** (decibels / 20) * torch.sin(2 * torch.pi * hertz * times)


def fade(seconds, decibels=-20.0):
    """A tone that dies away by 60 dB."""
    wave = tone(seconds, decibels)
    return wave * 10 ** (-3 * torch.arange(len(wave)) / len(wave))


def noise(seconds, decibels):
    return 10 ** (decibels / 20) * torch.randn(round(seconds * RATE), generator=torch.Generator().manual_seed(0))


def silence(seconds):
    return torch.zeros(round(seconds * RATE))


def speech(*parts, text="gate blue four", language="en"):
    return Speech(id="x", audio=torch.cat(parts), sample_rate=RATE, text=text, language=language)
