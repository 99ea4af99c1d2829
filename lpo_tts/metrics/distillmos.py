"""DistillMOS: a small network's guess at how listeners would rate the quality (advisory; no judge of words or voice)."""

import importlib
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from lpo_tts import hf
from lpo_tts.batches import consecutive
from lpo_tts.bounds import above, at_least, check_settings
from lpo_tts.errors import ComponentError
from lpo_tts.metrics.base import Judgement, Speech
from lpo_tts.metrics.waveforms import in_order, measurable

SAMPLE_RATE = 16000  # Hz
SEGMENT = 122880  # samples that the network hears at once: 7.68 s
HOP = 16000  # samples from one segment to the next, at most


@dataclass(frozen=True)
class DistillMOS:
    """DistillMOS (arXiv 2502.05356), from 1 (bad) to 5 (excellent).

    It was distilled from predictors that learned listeners' ratings of calls and noisy recordings. The weights come inside
    the package `distillmos`, and the values are those of its model, whatever the batches.

    Attributes:
        min_duration: seconds; shorter audio gets no value (the network hears 7.68 s, and silence after what is shorter).
        batch_size: segments of 7.68 s, of whatever clips, taken at once.
    """

    min_duration: float = 0.3
    batch_size: int = 8

    higher_is_better: ClassVar[bool] = True
    advisory: ClassVar[bool] = True
    worst: ClassVar[float] = 1.0
    title: ClassVar[str] = "DistillMOS quality"
    short: ClassVar[str] = "DistillMOS"
    about = {"licence": "MIT by the package distillmos", "sample_rate": 16000}
    bounds = {"min_duration": above(0), "batch_size": at_least(1)}

    def __post_init__(self) -> None:
        check_settings(self, "")

    def load(self, device: str = "cpu") -> "LoadedDistillMOS":
        """Loads the network that comes with the package; raises ComponentError when it is not installed."""
        try:
            sqa = importlib.import_module("distillmos.sqa")
        except OSError as error:
            raise ComponentError(f"distillmos needs torchaudio, which cannot be loaded: {hf.TORCHAUDIO}") from error
        except ImportError as error:
            raise ComponentError(
                f"distillmos needs the package of this name ({error}); install it: pip install 'lpo-tts[quality]'"
            ) from error
        try:
            net = sqa.ConvTransformerSQAModel(load_weights=False, segmenting_in_forward=False)  # it would print a line
            net.load_state_dict(torch.load(sqa.DEFAULT_WEIGHTS_CHKPT, map_location="cpu", weights_only=True)["model"])
        except (
            *(RuntimeError, OSError, EOFError, LookupError, TypeError, AttributeError, ValueError),
            pickle.UnpicklingError,
        ) as error:
            raise ComponentError(
                f"distillmos: expected the network and weights of version 0.9, cannot load them: {hf.one_line(error)}; "
                "install it again: pip install 'lpo-tts[quality]'"
            ) from error
        return LoadedDistillMOS(net.eval().to(device), device, self)


class LoadedDistillMOS:
    """The network in memory."""

    def __init__(self, net: Any, device: str, settings: DistillMOS) -> None:
        self._net, self._device, self._settings = net, device, settings

    @torch.inference_mode()
    def judge(self, speech: Sequence[Speech]) -> list[Judgement]:
        """Mean opinion score (1 to 5) per piece of speech.

        Audio that is silent, too short or holds NaN has no value.
        """
        found, waves = measurable(speech, self._settings.min_duration, SAMPLE_RATE)
        segments = {index: _segments(wave) for index, wave in waves.items()}
        parts = [part for own in segments.values() for part in own]
        values: list[float] = []
        for batch in consecutive(range(len(parts)), self._settings.batch_size):
            heard = torch.stack([parts[one] for one in batch]).to(self._device)
            values += self._net(heard).reshape(-1).tolist()
        at = 0
        for index, own in segments.items():
            found[index] = Judgement(value=float(np.mean(values[at : at + len(own)])))
            at += len(own)
        return in_order(found)


def _segments(wave: Tensor) -> list[Tensor]:
    """Stretches of 7.68 s that cover a waveform evenly, as the package takes them; the only one is filled with silence."""
    over = max(0, len(wave) - SEGMENT)
    wave = torch.nn.functional.pad(wave, (0, max(0, SEGMENT - len(wave))))
    starts = np.linspace(0, 1, -(-over // HOP) + 1)  # shares, as in the package, so that rounding is the same
    return [wave[int(start * over) : int(start * over) + SEGMENT] for start in starts]
