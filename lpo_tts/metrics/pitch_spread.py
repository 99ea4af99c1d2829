"""How much the pitch moves: the spread of F0 in semitones."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lpo_tts import audio
from lpo_tts.bounds import above, at_least, check_settings
from lpo_tts.errors import ComponentError, ConfigError
from lpo_tts.metrics.base import Judgement, Speech

SAMPLE_RATE = 16000  # Hz; F0 needs no more
FRAME, HOP = 1024, 320  # samples: 64 ms hold two periods of the lowest voices, one frame every 20 ms
RESOLUTION = 0.2  # semitones between two F0 that are told apart; the search costs the square of their number
SEMITONES = 12.0  # of an octave


@dataclass(frozen=True)
class PitchSpread:
    """Standard deviation of log-F0 over the voiced frames, in semitones.

    F0 is that of pYIN (Mauch and Dixon 2014, 10.1109/ICASSP.2014.6853678).

    Read speech has about 2 to 4 semitones; near 0 is a monotone. More is not better: it tells of a change, and octave errors
    of noisy or creaky speech widen it.

    Attributes:
        lowest: Hz, the lowest F0 that is looked for.
        highest: Hz, the highest one.
        min_voiced: seconds of voiced speech that are needed.
    """

    lowest: float = 60.0
    highest: float = 500.0
    min_voiced: float = 0.2

    higher_is_better: ClassVar[bool] = True
    graded: ClassVar[bool] = False
    unit: ClassVar[str] = "semitones"
    title: ClassVar[str] = "spread of pitch"
    about = {"licence": "ISC by the package librosa", "sample_rate": 16000, "extra": "prosody"}
    bounds = {"lowest": at_least(40), "highest": above(0).at_most(2000), "min_voiced": above(0)}

    def __post_init__(self) -> None:
        """Raises ConfigError where no F0 lies between the two bounds."""
        check_settings(self, "")
        if self.highest <= self.lowest:
            raise ConfigError(f"highest must be above lowest = {self.lowest}, found {self.highest}")

    def load(self, device: str = "cpu") -> "LoadedPitchSpread":
        """Loads the package, which works on the CPU; raises ComponentError when it is not installed."""
        try:
            package = importlib.import_module("librosa")
        except ImportError as error:
            raise ComponentError(
                f"pitch_spread needs the package librosa ({error}); install it: pip install 'lpo-tts[prosody]'"
            ) from error
        return LoadedPitchSpread(self, package)


class LoadedPitchSpread:
    """The package, and where it looks for F0."""

    def __init__(self, settings: PitchSpread, package: Any) -> None:
        self._settings, self._package = settings, package

    def judge(self, speech: Sequence[Speech]) -> list[Judgement]:
        """Semitones per piece of speech; `detail` holds `median` in Hz and `voiced` in seconds.

        Audio that is silent, too short, holds NaN, or is hardly voiced has no value.
        """
        return [self._judge(item) for item in speech]

    def _judge(self, item: Speech) -> Judgement:
        reason = audio.unmeasurable(item.audio, item.sample_rate, self._settings.min_voiced)
        if reason is not None:
            return Judgement(value=None, detail={"reason": reason})
        samples = audio.resample(item.audio, item.sample_rate, SAMPLE_RATE).detach().cpu().double().numpy()
        pitch, is_voiced, _ = self._package.pyin(
            samples,
            fmin=self._settings.lowest,
            fmax=self._settings.highest,
            sr=SAMPLE_RATE,
            frame_length=FRAME,
            hop_length=HOP,
            resolution=RESOLUTION,
        )
        voiced = pitch[is_voiced]
        seconds = len(voiced) * HOP / SAMPLE_RATE
        if seconds < self._settings.min_voiced:
            needed = self._settings.min_voiced
            return Judgement(value=None, detail={"reason": f"{seconds:.2f} s are voiced, at least {needed} s are needed"})
        detail = {"median": round(float(np.median(voiced)), 1), "voiced": round(seconds, 3)}
        return Judgement(value=float(SEMITONES * np.log2(voiced).std()), detail=detail)
