"""Speech whose words are its samples, and a recogniser and a speaker encoder that read them exactly."""

import logging
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from lpo_tts import audio
from lpo_tts.errors import ConfigError
from lpo_tts.metrics.base import Judgement, Speech

RATE = 16000
NUM_SAMPLES = 1600
log = logging.getLogger("echo")


def speak(path, text, voice=0.25):
    """Writes a wav: the text's bytes as samples, then a constant level that stands for the voice."""
    codes = [code / 256 for code in text.encode()]
    samples = torch.full((NUM_SAMPLES,), voice)
    samples[: len(codes) + 1] = torch.tensor([*codes, 0.0])
    path.parent.mkdir(parents=True, exist_ok=True)
    audio.write(path, samples, RATE)


@dataclass(frozen=True)
class EchoRecogniser:
    """Reads the bytes back; `deaf_to` is a word it never hears."""

    deaf_to: str = ""
    sample_rate: int = RATE

    def __post_init__(self) -> None:
        if self.sample_rate != RATE:
            raise ConfigError(f"sample_rate must be {RATE}, found {self.sample_rate}")

    def load(self, device: str = "cpu") -> "EchoRecogniser":
        """Itself."""
        return self

    def transcribe(self, waveforms: Sequence[Tensor], language: str = "en") -> list[str]:
        """Bytes up to the first zero, as text."""
        log.info("heard %d", len(waveforms))
        return [self._read(waveform) for waveform in waveforms]

    def _read(self, waveform: Tensor) -> str:
        codes = (waveform * 256).round().to(torch.int64).tolist()
        text = bytes(code % 256 for code in codes[: codes.index(0)]).decode(errors="replace") if 0 in codes else ""
        return " ".join(word for word in text.split() if word != self.deaf_to)


@dataclass(frozen=True)
class EchoSpeaker:
    """The last sample as an angle."""

    sample_rate: int = RATE
    min_duration: float = 0.05

    def load(self, device: str = "cpu") -> "EchoSpeaker":
        """Itself."""
        return self

    def embed(self, waveforms: Sequence[Tensor]) -> Tensor:
        """(batch, 2) unit vectors."""
        angles = torch.stack([waveform[-1] for waveform in waveforms])
        return torch.stack([angles.cos(), angles.sin()], dim=1)


@dataclass(frozen=True)
class Loudness:
    """A user's own metric: the mean level; `gives` makes it give something else."""

    scale: float = 1.0
    gives: str = ""

    higher_is_better: ClassVar[bool] = True

    def load(self, device: str = "cpu") -> "Loudness":
        """Itself."""
        return self

    def judge(self, speech: Sequence[Speech]) -> list[Judgement]:
        """One number each."""
        if self.gives == "short":
            return []
        if self.gives:
            return [Judgement(value=float("nan") if self.gives == "nan" else self.gives) for _ in speech]
        return [Judgement(value=self.scale * item.audio.abs().mean()) for item in speech]


@dataclass(frozen=True)
class Stopping:
    """Kills its process once, when it has judged `at` pieces; the file that $STOPPED names remembers that it did."""

    at: int = 0

    higher_is_better: ClassVar[bool] = True

    def load(self, device: str = "cpu") -> "LoadedStopping":
        """Counts from zero."""
        return LoadedStopping(self.at, Path(os.environ["STOPPED"]))


class LoadedStopping:
    """The metric in memory."""

    def __init__(self, at: int, flag: Path) -> None:
        self.at, self.flag, self.heard = at, flag, 0

    def judge(self, speech: Sequence[Speech]) -> list[Judgement]:
        """The mean level."""
        self.heard += len(speech)
        if self.heard > self.at and not self.flag.exists():
            self.flag.write_text("stopped")
            os.kill(os.getpid(), signal.SIGKILL)
        return [Judgement(value=float(item.audio.abs().mean())) for item in speech]
