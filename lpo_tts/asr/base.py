"""What every recogniser offers: waveform to hypothesis."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from torch import Tensor

from lpo_tts.errors import ConfigError


class LanguageError(ConfigError):
    """A recogniser was asked for a language that it does not hear; a metric makes it the reason of a missing value."""


def primary_language(language: str) -> str:
    """The first part of a language code: "en" of "en-US", "zh" of "zh_CN"."""
    return language.replace("_", "-").partition("-")[0].strip().lower()


@dataclass(frozen=True)
class HeardWord:
    """A word as the recogniser spells it, and when it was heard.

    Attributes:
        text: never empty.
        start: seconds from the first sample.
        end: seconds, at least `start`.
    """

    text: str
    start: float
    end: float


def known_language(language: str, languages: Collection[str], name: str) -> str:
    """The primary language, if it is one that a checkpoint hears.

    Args:
        language: language code, with or without region.
        languages: primary languages that the checkpoint hears.
        name: of the checkpoint, for the message.

    Raises:
        LanguageError: it does not hear this language.
    """
    code = primary_language(language)
    if code in languages:
        return code
    if set(languages) == {"en"}:
        expected = "English (en), which is all that this checkpoint hears"
    else:
        expected = f"a language of {', '.join(sorted(languages))}"
    raise LanguageError(f"{name}: expected {expected}; found {language!r}")


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


class TimingRecogniser(LoadedRecogniser, Protocol):
    """A recogniser in memory that knows when it heard each word."""

    def transcribe_timed(self, audio: Sequence[Tensor], language: str = "en") -> list[tuple[HeardWord, ...]]:
        """As `transcribe`, word by word in order of time; () where that gives the empty string.

        Times lie within the waveform. How exact they are depends on the recogniser; a few hundredths of a second are usual.
        """
        ...


def with_times(loaded: LoadedRecogniser) -> TimingRecogniser:
    """The same recogniser, known to give times; raises ConfigError when it gives none."""
    if not callable(getattr(cast("Any", loaded), "transcribe_timed", None)):
        raise ConfigError(
            f"{type(loaded).__name__.removeprefix('Loaded')}: expected a recogniser that says when it heard each word "
            "(`transcribe_timed`), found one that does not; choose ctc, or another one that docs/judges.md names"
        )
    return cast("TimingRecogniser", loaded)


class Recogniser(Protocol):
    """Settings of a recogniser (a frozen dataclass)."""

    def load(self, device: str = "cpu") -> LoadedRecogniser:
        """Loads weights; raises ComponentError when they are missing or do not fit."""
        ...
