"""X-Codec2 (16 kHz, one codebook of 65,536, 50 frames/s) on transformers' Xcodec2Model: Llasa's codec."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lpo_tts.codes import Codes
from lpo_tts.config import check_range
from lpo_tts.errors import ComponentError


@dataclass(frozen=True)
class Xcodec2Codec:
    """Settings: hub id or folder of the checkpoint (Transformers format), and how many recordings to encode at once."""

    model: str = "HKUSTAudio/xcodec2-hf"
    batch_size: int = 8

    def __post_init__(self) -> None:
        check_range("batch_size", self.batch_size, 1)

    def load(self, device: str = "cpu") -> "LoadedXcodec2":
        """Loads model and feature extractor; raises ComponentError when they cannot be read."""
        try:
            from transformers import AutoFeatureExtractor, Xcodec2Model

            extractor = AutoFeatureExtractor.from_pretrained(self.model)
            model = Xcodec2Model.from_pretrained(self.model)
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise ComponentError(
                f"cannot load the codec {self.model!r}: {str(error).splitlines()[0]}; "
                "name a folder or hub id in transformers' Xcodec2 "
                "format (transformers 5.13 or newer, extra `speaker` for torchaudio)"
            ) from error
        return LoadedXcodec2(model.to(device).eval(), extractor, self.batch_size)


class LoadedXcodec2:
    """X-Codec2 in memory."""

    def __init__(self, model: Any, extractor: Any, batch_size: int) -> None:
        self.model, self.extractor, self.batch_size = model, extractor, batch_size
        self.input_sample_rate = self.sample_rate = int(extractor.sampling_rate)
        self.hop = int(extractor.hop_length)
        self.frame_rate = self.sample_rate / self.hop
        levels = model.config.quantization_levels
        size = 1
        for level in levels:
            size *= int(level)
        self.codebook_sizes = (size,)

    @torch.inference_mode()
    def encode(self, audio: Sequence[Tensor]) -> list[Codes]:
        """Mono waveforms (num_samples,) to codes of one level; frames that only padding fills are cut."""
        found = []
        for start in range(0, len(audio), self.batch_size):
            waves = [wave.detach().cpu().float().numpy() for wave in audio[start : start + self.batch_size]]
            inputs = self.extractor(audio=waves, sampling_rate=self.input_sample_rate, return_tensors="pt").to(self.model.device)
            codes = self.model.encode(**inputs).audio_codes[:, 0].to("cpu", torch.int64)
            found += [Codes((row[: -(-len(wave) // self.hop)].clone(),)) for row, wave in zip(codes, waves, strict=True)]
        return found

    @torch.inference_mode()
    def decode(self, codes: Sequence[Codes]) -> list[Tensor]:
        """Codes to mono waveforms of `hop` samples per frame; one at a time, so that none hears another's padding."""
        waves = []
        for one in codes:
            values = self.model.decode(one.levels[0].to(self.model.device)[None, None]).audio_values
            waves.append(values.reshape(-1).float().cpu())
        return waves
