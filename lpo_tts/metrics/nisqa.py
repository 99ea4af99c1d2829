"""NISQA: a network's guess at quality and four of its dimensions (advisory; no judge of words or voice)."""

import math
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from lpo_tts import hf
from lpo_tts.batches import of_equal_length
from lpo_tts.bounds import at_least, check_settings
from lpo_tts.errors import ComponentError
from lpo_tts.metrics.base import Judgement, Speech
from lpo_tts.metrics.waveforms import in_order, measurable, rounded

DIMENSIONS = ("noisiness", "discontinuity", "coloration", "loudness")  # in the order of the network, after the overall value
WEIGHTS = "~/.torchmetrics/NISQA/nisqa.tar"
SOURCE = "https://github.com/gabrielmittag/NISQA/raw/refs/heads/master/weights/nisqa.tar"
FRAMES_PER_SECOND = 100  # of its mel spectrogram; a window needs 15 of them
FRAMES = 15
MAX_DURATION = 52.0  # seconds: 1300 windows, one every 40 ms
MIN_RATE, MAX_RATE = 8000, 48000  # Hz


@dataclass(frozen=True)
class NISQA:
    """NISQA 2.0 (arXiv 2104.09494), from about 0.6 (bad) to 5 (excellent), on the CPU.

    It learned ratings of telephone speech and hears each file at its own sample rate. The package torchmetrics holds the
    network and fetches the weights (1 MB) at first use to `~/.torchmetrics/NISQA/nisqa.tar`; they may not be used commercially.

    Attributes:
        min_duration: seconds; shorter audio gets no value.
        batch_size: clips of equal length and sample rate taken at once; the network gives no other clips a batch.
    """

    min_duration: float = 0.3
    batch_size: int = 8

    higher_is_better: ClassVar[bool] = True
    advisory: ClassVar[bool] = True
    worst: ClassVar[float] = 1.0
    title: ClassVar[str] = "NISQA overall quality"
    short: ClassVar[str] = "NISQA"
    about = {"licence": "CC BY-NC-SA 4.0 (weights), Apache-2.0 (torchmetrics)", "sample_rate": 48000}
    bounds = {"min_duration": at_least(0.16), "batch_size": at_least(1)}

    def __post_init__(self) -> None:
        check_settings(self, "")

    def load(self, device: str = "cpu") -> "LoadedNISQA":
        """Loads package and weights, which are fetched at first use; raises ComponentError when either cannot be had."""
        try:
            from requests import RequestException
            from torchmetrics.functional.audio.nisqa import non_intrusive_speech_quality_assessment
        except ImportError as error:
            raise ComponentError(f"nisqa needs torchmetrics ({error}); install it: pip install 'lpo-tts[nisqa]'") from error
        noise = 0.1 * torch.randn(16000, generator=torch.Generator().manual_seed(0))
        try:
            non_intrusive_speech_quality_assessment(noise, 16000)  # loads the weights, so that no judgement has to
        except ModuleNotFoundError as error:
            raise ComponentError("nisqa needs librosa and requests; install them: pip install 'lpo-tts[nisqa]'") from error
        except RequestException as error:
            raise ComponentError(f"nisqa cannot fetch {SOURCE} ({type(error).__name__}); put the file to {WEIGHTS}") from error
        except (RuntimeError, OSError, EOFError, LookupError, TypeError, ValueError, pickle.UnpicklingError) as error:
            raise ComponentError(
                f"{WEIGHTS}: expected the weights of NISQA 2.0, cannot load them: {hf.one_line(error)}; delete the file, and "
                f"put there what {SOURCE} has"
            ) from error
        return LoadedNISQA(non_intrusive_speech_quality_assessment, self)


class LoadedNISQA:
    """The network, which torchmetrics keeps in memory."""

    def __init__(self, assess: Any, settings: NISQA) -> None:
        self._assess, self._settings = assess, settings

    def judge(self, speech: Sequence[Speech]) -> list[Judgement]:
        """Overall quality (about 0.6 to 5) per piece of speech; `detail` holds four dimensions, for which high is good too.

        They are noisiness, discontinuity, coloration and loudness. Audio that is silent, shorter than `min_duration`, longer
        than 52 s, holds NaN, or has a sample rate outside of 8 to 48 kHz has no value.
        """
        found, waves = measurable(speech, self._settings.min_duration, None)
        for index in list(waves):
            reason = _unheard(waves[index].numel(), speech[index].sample_rate)
            if reason is not None:
                found[index] = Judgement(value=None, detail={"reason": reason})
                del waves[index]
        indices = list(waves)
        kinds = [(len(waves[index]), speech[index].sample_rate) for index in indices]
        for batch in of_equal_length(kinds, self._settings.batch_size):
            chosen = [indices[one] for one in batch]
            heard = torch.stack([waves[index] for index in chosen])
            for index, row in zip(chosen, self._assess(heard, speech[chosen[0]].sample_rate).tolist(), strict=True):
                found[index] = _judgement(row)
        return in_order(found)


def _judgement(row: Sequence[float]) -> Judgement:
    if not all(math.isfinite(value) for value in row):
        return Judgement(value=None, detail={"reason": "the network gave NaN or infinity"})
    return Judgement(value=row[0], detail=rounded(dict(zip(DIMENSIONS, row[1:], strict=True))))


def _unheard(num_samples: int, sample_rate: int) -> str | None:
    """Why the network cannot hear a clip; None = it can."""
    if not MIN_RATE <= sample_rate <= MAX_RATE:
        return f"the audio has {sample_rate} Hz; NISQA hears {MIN_RATE} to {MAX_RATE} Hz"
    seconds = num_samples / sample_rate
    if seconds > MAX_DURATION:
        return f"the audio is too long: {seconds:.1f} s, NISQA hears {MAX_DURATION:.0f} s at most"
    return None
