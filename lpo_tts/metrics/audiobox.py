"""Audiobox Aesthetics: a network's guess at four sides of a recording (advisory; no judge of words or voice)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from lpo_tts import hf
from lpo_tts.batches import consecutive
from lpo_tts.bounds import above, at_least, check_settings
from lpo_tts.errors import ComponentError
from lpo_tts.metrics.base import Judgement, Speech
from lpo_tts.metrics.waveforms import in_order, measurable, rounded

SAMPLE_RATE = 16000  # Hz
WINDOW = 160000  # samples that the network hears at once: 10 s
# What the four axes of the package are called in `detail`; production quality is the value.
AXES = {"CE": "content_enjoyment", "CU": "content_usefulness", "PC": "production_complexity", "PQ": "production_quality"}
EXPECTED = "a checkpoint of Audiobox Aesthetics (config.json and model.safetensors)"


@dataclass(frozen=True)
class AudioboxAesthetics:
    """Audiobox Aesthetics (arXiv 2502.05139): production quality, from 1 to 10.

    It learned ratings of speech, sounds and music. The package `audiobox-aesthetics` holds the network, a hub repository the
    weights. Values are computed in float32, so that they are the same on every device; the package itself uses bfloat16 where
    the checkpoint says so.

    Attributes:
        model: hub id, or folder with `config.json` and `model.safetensors`.
        min_duration: seconds; shorter audio gets no value.
        batch_size: windows of 10 s, of whatever clips, taken at once; what is shorter is filled with silence and masked.
        revision: commit, tag or branch of a hub id; None = what the hub has now.
    """

    model: str = "facebook/audiobox-aesthetics"
    min_duration: float = 0.3
    batch_size: int = 8
    revision: str | None = None

    higher_is_better: ClassVar[bool] = True
    advisory: ClassVar[bool] = True
    worst: ClassVar[float] = 1.0
    title: ClassVar[str] = "Audiobox production quality"
    short: ClassVar[str] = "Audiobox PQ"
    about = {"licence": "CC BY 4.0", "sample_rate": 16000}
    bounds = {"min_duration": above(0.05), "batch_size": at_least(1)}

    def __post_init__(self) -> None:
        check_settings(self, "")
        hf.check_revision(self.revision)

    def load(self, device: str = "cpu") -> "LoadedAudioboxAesthetics":
        """Loads package and weights; raises ComponentError when either is missing or they do not fit."""
        hf.location(self.model, self.revision)  # refuses what can be no source before the package is imported
        try:
            from audiobox_aesthetics.model.aes import AesMultiOutput
        except ImportError as error:
            raise ComponentError(
                f"audiobox needs audiobox-aesthetics ({error}); install it: pip install 'lpo-tts[audiobox]'"
            ) from error
        with hf.loading(self.model, EXPECTED, self.revision) as place:
            net = AesMultiOutput.from_pretrained(self.model, precision="32", strict=True, **place)
            scales = {axis: (float(one["mean"]), float(one["std"])) for axis, one in net.target_transform.items()}
            if set(scales) != set(AXES):
                raise ComponentError(f"{self.model}: expected the axes {', '.join(AXES)}, found {', '.join(scales)}")
        return LoadedAudioboxAesthetics(net.eval().to(device), scales, device, self)


class LoadedAudioboxAesthetics:
    """The network in memory, and mean and spread of the ratings of each axis."""

    def __init__(self, net: Any, scales: dict[str, tuple[float, float]], device: str, settings: AudioboxAesthetics) -> None:
        self._net, self._scales, self._device, self._settings = net, scales, device, settings

    @torch.inference_mode()
    def judge(self, speech: Sequence[Speech]) -> list[Judgement]:
        """Production quality (1 to 10) per piece of speech; `detail` holds the other three axes.

        They are content enjoyment, content usefulness and production complexity, of which high is not better. Windows of a
        clip are averaged by how much of them it fills. Audio that is silent, too short or holds NaN has no value.
        """
        found, waves = measurable(speech, self._settings.min_duration, SAMPLE_RATE)
        windows = [(index, part) for index, wave in waves.items() for part in wave.split(WINDOW)]
        rows: dict[int, list[tuple[int, dict[str, float]]]] = {index: [] for index in waves}
        for batch in consecutive(range(len(windows)), self._settings.batch_size):
            ratings = self._rate([windows[one][1] for one in batch])
            for one, rating in zip(batch, ratings, strict=True):
                rows[windows[one][0]].append((len(windows[one][1]), rating))
        for index, own in rows.items():
            found[index] = _judgement(own)
        return in_order(found)

    def _rate(self, parts: list[torch.Tensor]) -> list[dict[str, float]]:
        """Each axis of stretches of at most 10 s, on the scale of the listeners."""
        wav, mask = torch.zeros(len(parts), 1, WINDOW), torch.zeros(len(parts), 1, WINDOW, dtype=torch.bool)
        for row, part in enumerate(parts):
            wav[row, 0, : len(part)] = part
            mask[row, 0, : len(part)] = True
        found = self._net({"wav": wav.to(self._device), "mask": mask.to(self._device)})
        columns = {axis: found[axis].reshape(-1).tolist() for axis in AXES}
        return [
            {axis: column[row] * self._scales[axis][1] + self._scales[axis][0] for axis, column in columns.items()}
            for row in range(len(parts))
        ]


def _judgement(rows: list[tuple[int, dict[str, float]]]) -> Judgement:
    total = sum(length for length, _ in rows)
    means = {name: sum(length * rating[axis] for length, rating in rows) / total for axis, name in AXES.items()}
    if not all(math.isfinite(value) for value in means.values()):
        return Judgement(value=None, detail={"reason": "the network gave NaN or infinity"})
    return Judgement(value=means.pop("production_quality"), detail=rounded(means))
