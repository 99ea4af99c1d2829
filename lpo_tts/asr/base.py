"""What every recogniser offers: waveform to hypothesis."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor


class LoadedRecogniser(Protocol):
    """A recogniser in memory."""

    sample_rate: int  # Hz, what `transcribe` expects

    def transcribe(self, audio: Sequence[Tensor], language: str = "en") -> list[str]:
        """Mono waveforms (num_samples,) float32 at `sample_rate` to hypotheses, raw (not normalised).

        Silence gives the empty string; a waveform shorter than one analysis window does too.
        """
        ...


class Recogniser(Protocol):
    """Settings of a recogniser (a frozen dataclass)."""

    def load(self, device: str = "cpu") -> LoadedRecogniser:
        """Loads weights; raises ComponentError when they are missing or do not fit."""
        ...
