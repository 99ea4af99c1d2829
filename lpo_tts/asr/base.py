"""What every recogniser offers: waveform to hypothesis."""

import math
from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from lpo_tts.audio import SILENCE_DB, rms_db
from lpo_tts.errors import ConfigError


class LanguageError(ConfigError):
    """A recogniser was asked for a language that it does not hear; a metric makes it the reason of a missing value."""


def audible(waveform: Tensor, min_samples: int) -> bool:
    """Whether there is anything to hear: enough samples, all finite, louder than SILENCE_DB.

    Recognisers invent words on what is not.
    """
    return waveform.numel() >= min_samples and SILENCE_DB <= rms_db(waveform) < math.inf


def primary_language(language: str) -> str:
    """The first part of a language code: "en" of "en-US", "zh" of "zh_CN"."""
    return language.replace("_", "-").partition("-")[0].strip().lower()


class LoadedRecogniser(Protocol):
    """A recogniser in memory."""

    sample_rate: int  # Hz, what `transcribe` expects

    def transcribe(self, audio: Sequence[Tensor], language: str = "en") -> list[str]:
        """Mono waveforms (num_samples,) float32 at `sample_rate` to hypotheses, raw (not normalised).

        Silence gives the empty string; a waveform shorter than one analysis window does too (`audible`).

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
