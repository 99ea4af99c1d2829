"""UTMOS: a network's guess at how listeners would rate synthetic speech (advisory; no judge of words or voice)."""

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch

from lpo_tts import hf
from lpo_tts.bounds import above, check_settings
from lpo_tts.errors import ComponentError
from lpo_tts.metrics.base import Judgement, Speech
from lpo_tts.metrics.waveforms import in_order, measurable, not_finite

SAMPLE_RATE = 16000  # Hz
WEIGHTS = "utmos_state_dict.pt"
EXPECTED = f"a folder or hub repository with {WEIGHTS} of the package utmos-pytorch"


@dataclass(frozen=True)
class UTMOS:
    """UTMOS strong learner (arXiv 2204.02152), from about 1 (bad) to 5 (excellent).

    It learned ratings of synthetic English speech of up to 2022, and papers print its mean. The package `utmos-pytorch` holds
    the network, a hub repository the weights. Files are heard one by one, as its authors advise: padding shifts values.

    Attributes:
        model: hub id, or folder, that holds `utmos_state_dict.pt`.
        min_duration: seconds; shorter audio gets no value.
        revision: commit, tag or branch of a hub id; None = what the hub has now.
    """

    model: str = "Blinorot/UTMOS-PyTorch"
    min_duration: float = 0.3
    revision: str | None = None

    higher_is_better: ClassVar[bool] = True
    advisory: ClassVar[bool] = True
    worst: ClassVar[float] = 1.0
    title: ClassVar[str] = "UTMOS naturalness"
    short: ClassVar[str] = "UTMOS"
    about = {"licence": "MIT by the package; of the weights not verified", "sample_rate": 16000}
    bounds = {"min_duration": above(0.05)}

    def __post_init__(self) -> None:
        check_settings(self, "")
        hf.check_revision(self.revision)

    def load(self, device: str = "cpu") -> "LoadedUTMOS":
        """Loads package and weights; raises ComponentError when either is missing or they do not fit."""
        hf.location(self.model, self.revision)  # refuses what can be no source before the package is imported
        try:
            from utmos_pytorch import utmos_torch
        except ImportError as error:
            raise ComponentError(f"utmos needs utmos-pytorch ({error}); install it: pip install 'lpo-tts[utmos]'") from error
        path = Path(self.model) / WEIGHTS if hf.is_local(self.model) else self._download()
        _check(path, utmos_torch)
        return LoadedUTMOS(utmos_torch.UTMOSScoreTorch(str(path), device), device, self.min_duration)

    def _download(self) -> Path:
        with hf.loading(self.model, EXPECTED, self.revision) as place:
            from huggingface_hub import hf_hub_download

            return Path(hf_hub_download(self.model, WEIGHTS, **place))


class LoadedUTMOS:
    """The network in memory."""

    def __init__(self, net: Any, device: str, min_duration: float) -> None:
        self._net, self._device, self._min_duration = net, device, min_duration

    def judge(self, speech: Sequence[Speech]) -> list[Judgement]:
        """Mean opinion score (about 1 to 5) per piece of speech.

        Audio that is silent, too short or holds NaN has no value.
        """
        found, waves = measurable(speech, self._min_duration, SAMPLE_RATE)
        for index, wave in waves.items():
            value = float(self._net.score(wave.to(self._device)))
            reason = {"reason": "the network gave NaN or infinity"} if not_finite(value) else {}
            found[index] = Judgement(value=None if reason else value, detail=reason)
        return in_order(found)


def _check(path: Path, package: Any) -> None:
    """Raises ComponentError unless the file holds every tensor of the network: the package would go on without some."""
    if not path.is_file():
        raise ComponentError(f"{path}: expected {EXPECTED}, found no such file")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        with torch.device("meta"):
            wanted = package.UTMOSModel().state_dict()
        wrong = [name for name in wanted if name not in state or state[name].shape != wanted[name].shape]
    except (RuntimeError, OSError, EOFError, LookupError, TypeError, AttributeError, ValueError, pickle.UnpicklingError) as error:
        raise ComponentError(f"{path}: expected {EXPECTED}, cannot read it: {hf.one_line(error)}") from error
    wrong += [name for name in state if name not in wanted]
    if wrong:
        raise ComponentError(
            f"{path}: expected {EXPECTED}, {len(wrong)} tensors do not fit, {wrong[0]} the first; fetch it again"
        )
