"""EnCodec (arXiv 2210.13438): 24 kHz mono, 75 frames a second, 2 to 32 codebooks of 1024, by transformers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lpo_tts.codes import Codes
from lpo_tts.errors import ComponentError, ConfigError, ContractError


@dataclass(frozen=True)
class EncodecCodec:
    """Settings of the codec.

    Args:
        model: hub id or folder of an `EncodecModel` checkpoint; mono and without chunks (not `encodec_48khz`).
        bandwidth: kbit/s, one of the checkpoint's; at 24 kHz 1.5, 3, 6, 12, 24 are 2, 4, 8, 16, 32 codebooks.
        batch_size: recordings taken at once.
    """

    model: str = "facebook/encodec_24khz"
    bandwidth: float = 6.0
    batch_size: int = 16

    def __post_init__(self) -> None:
        """Raises ConfigError when a setting is out of range."""
        if not self.bandwidth > 0:
            raise ConfigError(f"bandwidth must be above 0 kbit/s, found {self.bandwidth}")
        if self.batch_size < 1:
            raise ConfigError(f"batch_size must be at least 1, found {self.batch_size}")

    def load(self, device: str = "cpu") -> "LoadedEncodec":
        """Loads the model; raises ComponentError when it is missing, of another kind, or lacks the bandwidth."""
        from transformers import AutoConfig, EncodecModel

        try:
            config = AutoConfig.from_pretrained(self.model)
        except (OSError, ValueError) as error:
            raise ComponentError(f"{self.model}: expected an EnCodec checkpoint of transformers, found none ({error})") from error
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
        try:
            model = EncodecModel.from_pretrained(self.model, dtype=torch.float32)
        except (OSError, ValueError, RuntimeError) as error:
            raise ComponentError(f"{self.model}: cannot read the weights ({error})") from error
        return LoadedEncodec(model.to(device).eval(), self.bandwidth, self.batch_size)


class LoadedEncodec:
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
            ContractError: a waveform is not one-dimensional or empty.
        """
        for index, waveform in enumerate(audio):
            if waveform.dim() != 1 or waveform.numel() == 0:
                raise ContractError(f"audio {index}: expected shape (num_samples,) with samples, found {tuple(waveform.shape)}")
        found: dict[int, Codes] = {}
        for batch in self._batches([waveform.numel() for waveform in audio]):
            waveforms = torch.stack([audio[index] for index in batch])[:, None].to(self._model.device, torch.float32)
            codes = self._model.encode(waveforms, bandwidth=self._bandwidth).audio_codes[0]  # (batch, codebook, frame)
            frames = math.ceil(waveforms.shape[-1] / self._hop)
            for index, levels in zip(batch, codes[..., :frames].cpu(), strict=True):
                found[index] = Codes(tuple(level.to(torch.int64).clone() for level in levels))
        return [found[index] for index in range(len(audio))]

    @torch.inference_mode()
    def decode(self, codes: Sequence[Codes]) -> list[Tensor]:
        """Codes to mono waveforms (num_frames * 320,) float32, on the CPU.

        Raises:
            ContractError: no frames, another number of levels than codebooks, levels of unequal length, or a code outside
                its codebook.
        """
        for index, item in enumerate(codes):
            self._check(index, item)
        found: dict[int, Tensor] = {}
        for batch in self._batches([item.num_frames for item in codes]):
            stacked = torch.stack([torch.stack(codes[index].levels) for index in batch])[None].to(self._model.device)
            audio = self._model.decode(stacked, audio_scales=[None]).audio_values[:, 0].float().cpu()
            for index, waveform in zip(batch, audio, strict=True):
                found[index] = waveform[: codes[index].num_frames * self._hop].clone()
        return [found[index] for index in range(len(codes))]

    def _check(self, index: int, codes: Codes) -> None:
        expected = len(self.codebook_sizes)
        lengths = {level.numel() for level in codes.levels}
        if len(codes.levels) != expected or len(lengths) != 1 or lengths == {0}:
            sizes = [level.numel() for level in codes.levels]
            raise ContractError(f"codes {index}: expected {expected} levels of equal length, found levels of {sizes} frames")
        for number, (level, size) in enumerate(zip(codes.levels, self.codebook_sizes, strict=True)):
            wrong = level[(level < 0) | (level >= size)]
            if wrong.numel():
                raise ContractError(f"codes {index}: code {int(wrong[0])} lies outside codebook {number} (size {size})")

    def _batches(self, lengths: Sequence[int]) -> list[list[int]]:
        """Indices in batches of one length each."""
        groups: dict[int, list[int]] = {}
        for index, length in enumerate(lengths):
            groups.setdefault(length, []).append(index)
        size = self._batch_size
        return [group[start : start + size] for group in groups.values() for start in range(0, len(group), size)]
