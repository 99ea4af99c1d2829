"""EnCodec (arXiv 2210.13438): 24 kHz mono, 75 frames a second, 2 to 32 codebooks of 1024, by transformers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lpo_tts import hf
from lpo_tts.batches import map_batches, of_equal_length
from lpo_tts.bounds import above, at_least, check_settings
from lpo_tts.codecs.base import check_audio, check_codes
from lpo_tts.codes import Codes
from lpo_tts.errors import ComponentError

EXPECTED = "an EnCodec checkpoint of transformers (config.json, model.safetensors)"


@dataclass(frozen=True)
class EncodecCodec:
    """EnCodec (arXiv 2210.13438) at 24 kHz, 2 to 32 codebooks of 1024, 75 frames a second.

    Attributes:
        model: hub id or folder of an `EncodecModel` checkpoint; mono and without chunks (not `encodec_48khz`).
        bandwidth: bit rate in kbit/s, one of the checkpoint's; at 24 kHz 1.5, 3, 6, 12, 24 are 2, 4, 8, 16, 32 codebooks.
        batch_size: recordings taken at once.
        revision: commit, tag or branch of a hub id; None = what the hub has now.
    """

    model: str = "facebook/encodec_24khz"
    bandwidth: float = 6.0
    batch_size: int = 16
    revision: str | None = None

    about = {
        "licence": "not verified (the package encodec 0.1.1 is under CC BY-NC 4.0)",
        "sample_rate": 24000,
        "tokens_per_second": 600,
    }
    bounds = {"bandwidth": above(0), "batch_size": at_least(1)}

    def __post_init__(self) -> None:
        check_settings(self, "")
        hf.check_revision(self.revision)

    def load(self, device: str = "cpu") -> "LoadedEncodecCodec":
        """Loads the model; raises ComponentError when it is missing, of another kind, or lacks the bandwidth."""
        with hf.loading(self.model, EXPECTED, self.revision) as place:
            from transformers import AutoConfig, EncodecModel

            config = AutoConfig.from_pretrained(self.model, trust_remote_code=False, **place)
        if config.model_type != "encodec":
            raise ComponentError(f"{self.model}: expected an EnCodec checkpoint, found a {config.model_type} one")
        if config.audio_channels != 1 or config.chunk_length_s is not None or config.normalize:
            raise ComponentError(
                f"{self.model}: expected mono EnCodec without chunks or loudness scales, "
                f"found {config.audio_channels} channel(s), chunks of {config.chunk_length_s} s, "
                f"normalize={config.normalize}; use facebook/encodec_24khz"
            )
        if self.bandwidth not in config.target_bandwidths:
            known = ", ".join(str(value) for value in config.target_bandwidths)
            raise ComponentError(f"{self.model}: expected a bandwidth of {known} kbit/s, found {self.bandwidth}")
        with hf.loading(self.model, EXPECTED, self.revision) as place:
            model = EncodecModel.from_pretrained(self.model, dtype=torch.float32, **place)
        return LoadedEncodecCodec(model.to(device).eval(), self.bandwidth, self.batch_size)


class LoadedEncodecCodec:
    """The codec in memory."""

    def __init__(self, model: Any, bandwidth: float, batch_size: int) -> None:
        self._model, self._bandwidth, self._batch_size = model, bandwidth, batch_size
        config = model.config
        self._hop = math.prod(config.upsampling_ratios)
        self.input_sample_rate = self.sample_rate = int(config.sampling_rate)
        self.frame_rate = self.sample_rate / self._hop
        num_codebooks = model.quantizer.get_num_quantizers_for_bandwidth(bandwidth)
        self.codebook_sizes = (int(config.codebook_size),) * num_codebooks

    @torch.inference_mode()
    def encode(self, audio: Sequence[Tensor]) -> list[Codes]:
        """Mono waveforms (num_samples,) float32 to codes, one frame per begun 320 samples.

        Only waveforms of equal length share a batch: the convolutions mirror the end of what they are given, so padding
        would change the last codes.

        Raises:
            ContractError: as `check_audio`.
        """
        check_audio(audio)

        def encoded(batch: list[int]) -> list[Codes]:
            waveforms = torch.stack([audio[index] for index in batch])[:, None].to(self._model.device, torch.float32)
            codes = self._model.encode(waveforms, bandwidth=self._bandwidth).audio_codes[0]  # (batch, codebook, frame)
            frames = math.ceil(waveforms.shape[-1] / self._hop)
            return [Codes(tuple(level.to(torch.int64).clone() for level in one)) for one in codes[..., :frames].cpu()]

        found = map_batches(of_equal_length([waveform.numel() for waveform in audio], self._batch_size), encoded)
        return [found[index] for index in range(len(audio))]

    @torch.inference_mode()
    def decode(self, codes: Sequence[Codes]) -> list[Tensor]:
        """Codes to mono waveforms (num_frames * 320,) float32, on the CPU.

        Raises:
            ContractError: as `check_codes`.
        """
        check_codes(codes, self.codebook_sizes)

        def decoded(batch: list[int]) -> list[Tensor]:
            stacked = torch.stack([torch.stack(codes[index].levels) for index in batch])[None].to(self._model.device)
            audio = self._model.decode(stacked, audio_scales=[None]).audio_values[:, 0].float().cpu()
            return [wave[: codes[index].num_frames * self._hop].clone() for index, wave in zip(batch, audio, strict=True)]

        found = map_batches(of_equal_length([item.num_frames for item in codes], self._batch_size), decoded)
        return [found[index] for index in range(len(codes))]
