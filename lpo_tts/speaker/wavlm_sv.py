"""Speaker vectors of transformers' x-vector checkpoints, such as microsoft/wavlm-base-plus-sv."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lpo_tts import hf
from lpo_tts.batches import map_batches, of_equal_length
from lpo_tts.bounds import above, at_least, check_settings
from lpo_tts.errors import ComponentError, ConfigError
from lpo_tts.speaker.waveforms import check_waveforms, middle

EXPECTED = "a speaker checkpoint of transformers with an x-vector head (WavLMForXVector) and a feature extractor"
TRAINING_ONLY = ("classifier.", "objective.")  # what no vector needs


@dataclass(frozen=True)
class WavLMSpeakerEncoder:
    """WavLM with an x-vector head (arXiv 2110.13900), by transformers.

    Vectors of different speakers have high cosines too (the model card's threshold is 0.86), so values compare with those of
    the same checkpoint alone. A checkpoint without the head is refused: averaged frames of a plain WavLM are no speaker vector.

    Attributes:
        model: hub id or folder of a checkpoint with an x-vector head.
        min_duration: seconds; shorter audio is refused. The head needs about 0.33 s, which a smaller value does not change.
        max_duration: seconds; of longer audio only the middle is heard. Waveforms of that length share batches; None = all
            of it.
        batch_size: waveforms of equal length taken at once.
        revision: commit, tag or branch of a hub id; None = what the hub has now.
    """

    model: str = "microsoft/wavlm-base-plus-sv"
    min_duration: float = 0.5
    max_duration: float | None = None
    batch_size: int = 16
    revision: str | None = None

    about = {"licence": "of the checkpoint (not verified)", "sample_rate": 16000}
    bounds = {"min_duration": above(0), "max_duration": above(0), "batch_size": at_least(1)}

    def __post_init__(self) -> None:
        check_settings(self, "")
        if self.max_duration is not None and self.max_duration < self.min_duration:
            raise ConfigError(f"max_duration must be at least min_duration ({self.min_duration} s), found {self.max_duration}")
        hf.check_revision(self.revision)

    def load(self, device: str = "cpu") -> "LoadedWavLMSpeakerEncoder":
        """Loads the model in float32; raises ComponentError when it is missing or has no trained x-vector head."""
        with hf.loading(self.model, EXPECTED, self.revision) as place:
            from transformers import AutoFeatureExtractor, AutoModelForAudioXVector

            extractor = AutoFeatureExtractor.from_pretrained(self.model, trust_remote_code=False, **place)
            net, report = AutoModelForAudioXVector.from_pretrained(
                self.model, dtype=torch.float32, output_loading_info=True, trust_remote_code=False, **place
            )
        absent = sorted(key for key in report["missing_keys"] if not key.startswith(TRAINING_ONLY))
        if absent:
            shown = ", ".join(absent[:4]) + (f" and {len(absent) - 4} more" if len(absent) > 4 else "")
            raise ComponentError(
                f"{self.model}: expected {EXPECTED}, found no weights for {shown}; its frames tell of words more than of voices: "
                "choose a checkpoint trained for speaker verification, such as microsoft/wavlm-base-plus-sv"
            )
        return LoadedWavLMSpeakerEncoder(net.eval().to(device), extractor, self)


class LoadedWavLMSpeakerEncoder:
    """An x-vector model of transformers in memory."""

    def __init__(self, net, extractor, settings: WavLMSpeakerEncoder) -> None:
        self._net, self._extractor, self._settings = net, extractor, settings
        self.sample_rate = int(extractor.sampling_rate)
        self.min_duration = max(settings.min_duration, _fewest_samples(net.config) / self.sample_rate)

    @torch.inference_mode()
    def embed(self, audio: Sequence[Tensor]) -> Tensor:
        """Mono waveforms (num_samples,) float32 to (batch, dim) float32 of unit length, on the CPU.

        Only waveforms of equal length share a batch. An attention mask would not keep padding out: the group norm of the base
        models averages over it, and the head's count of frames leaves out its dilations.

        Raises:
            ComponentError: there is nothing to embed, or a waveform is shorter than `min_duration`.
        """
        check_waveforms(audio, self.min_duration, self.sample_rate)
        heard = [middle(waveform, self._settings.max_duration, self.sample_rate) for waveform in audio]
        batches = of_equal_length([waveform.numel() for waveform in heard], self._settings.batch_size)
        vectors = map_batches(batches, lambda batch: self._embed([heard[index] for index in batch]))
        return torch.stack([vectors[index] for index in range(len(audio))])

    def _embed(self, waveforms: list[Tensor]) -> Tensor:
        """(batch, dim) of waveforms of one length."""
        arrays = [waveform.detach().to("cpu", torch.float32).numpy() for waveform in waveforms]
        inputs = self._extractor(arrays, sampling_rate=self.sample_rate, return_tensors="pt")
        vectors = self._net(inputs["input_values"].to(self._net.device)).embeddings
        return torch.nn.functional.normalize(vectors.float(), dim=-1).cpu()


def _fewest_samples(config) -> int:
    """Samples of which two frames are left after the head's convolutions; a spread needs two."""
    frames = 2 + sum((kernel - 1) * dilation for kernel, dilation in zip(config.tdnn_kernel, config.tdnn_dilation, strict=True))
    for kernel, stride in zip(reversed(config.conv_kernel), reversed(config.conv_stride), strict=True):
        frames = (frames - 1) * stride + kernel
    return frames
