"""X-Codec2 (16 kHz, one codebook of 65,536, 50 frames/s) on transformers' Xcodec2Model: Llasa's codec."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lpo_tts import hf
from lpo_tts.batches import map_batches, of_equal_length
from lpo_tts.bounds import at_least, check_settings
from lpo_tts.codecs.base import check_audio, check_codes
from lpo_tts.codes import Codes

EXPECTED = (
    "an X-Codec2 checkpoint of transformers (config.json, model.safetensors, preprocessor_config.json), "
    "transformers 5.13 or newer, and torchaudio (extra `speaker`)"
)


@dataclass(frozen=True)
class Xcodec2Codec:
    """X-Codec2 at 16 kHz, one codebook of 65,536, 50 frames a second: the codec of Llasa.

    Attributes:
        model: hub id or folder of the checkpoint, in transformers' format.
        batch_size: recordings of equal length encoded at once.
        revision: commit, tag or branch of a hub id; None = what the hub has now.
    """

    model: str = "HKUSTAudio/xcodec2-hf"
    batch_size: int = 8
    revision: str | None = None

    about = {
        "licence": "CC BY-NC 4.0 (not verified)",
        "sample_rate": 16000,
        "tokens_per_second": 50,
        "extra": "speaker",  # transformers' feature extractor asks for torchaudio
    }
    bounds = {"batch_size": at_least(1)}

    def __post_init__(self) -> None:
        check_settings(self, "")
        hf.check_revision(self.revision)

    def load(self, device: str = "cpu") -> "LoadedXcodec2Codec":
        """Loads model and feature extractor; raises ComponentError when they cannot be read."""
        with hf.loading(self.model, EXPECTED, self.revision) as place:
            from transformers import AutoFeatureExtractor, Xcodec2Model

            extractor = AutoFeatureExtractor.from_pretrained(self.model, trust_remote_code=False, **place)
            model = Xcodec2Model.from_pretrained(self.model, **place)
        return LoadedXcodec2Codec(model.to(device).eval(), extractor, self.batch_size)


class LoadedXcodec2Codec:
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
        """Mono waveforms (num_samples,) float32 to codes of one level, one frame per begun `hop` samples.

        Only waveforms of equal length share a batch: the convolutions of the encoder hear the padding behind a shorter
        one, and its last codes would be others.

        Raises:
            ContractError: as `check_audio`.
        """
        check_audio(audio)

        def encoded(batch: list[int]) -> list[Codes]:
            waves = [audio[index].detach().cpu().float().numpy() for index in batch]
            inputs = self.extractor(audio=waves, sampling_rate=self.input_sample_rate, return_tensors="pt").to(self.model.device)
            codes = self.model.encode(**inputs).audio_codes[:, 0].to("cpu", torch.int64)
            frames = -(-len(waves[0]) // self.hop)  # the extractor adds a sample, and so a frame where none is begun
            return [Codes((row[:frames].clone(),)) for row in codes]

        found = map_batches(of_equal_length([wave.numel() for wave in audio], self.batch_size), encoded)
        return [found[index] for index in range(len(audio))]

    @torch.inference_mode()
    def decode(self, codes: Sequence[Codes]) -> list[Tensor]:
        """Codes to mono waveforms (num_frames * hop,) float32, on the CPU; one at a time, so that none hears another's padding.

        Raises:
            ContractError: as `check_codes`.
        """
        check_codes(codes, self.codebook_sizes)
        waves = []
        for one in codes:
            values = self.model.decode(one.levels[0].to(self.model.device)[None, None]).audio_values
            waves.append(values.reshape(-1).float().cpu())
        return waves
