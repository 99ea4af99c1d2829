"""What every recogniser offers: waveform to hypothesis."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from lpo_tts.errors import ConfigError


class LanguageError(ConfigError):
    """A recogniser was asked for a language that it does not hear; a metric makes it the reason of a missing value."""


def primary_language(language: str) -> str:
    """The first part of a language code: "en" of "en-US", "zh" of "zh_CN"."""
    return language.replace("_", "-").partition("-")[0].strip().lower()


class LoadedRecogniser(Protocol):
    """A recogniser in memory."""

    sample_rate: int  # Hz, what `transcribe` expects

    def transcribe(self, audio: Sequence[Tensor], language: str = "en") -> list[str]:
        """Mono waveforms (num_samples,) float32 at `sample_rate` to hypotheses, raw (not normalised).

        Silence gives the empty string; a waveform shorter than one analysis window does too (`lpo_tts.audio.audible`).

        Args:
            audio: the waveforms.
            language: ISO 639-1 code of what they should say, a region may follow ("en-US").

        Raises:
            LanguageError: it does not hear this language. A recogniser that knows its languages never answers in another.
        """
        ...


class Recogniser(Protocol):
    """Settings of a recogniser (a frozen dataclass)."""

    def load(self, device: str = "cpu") -> LoadedRecogniser:
        """Loads weights; raises ComponentError when they are missing or do not fit."""
        ...
