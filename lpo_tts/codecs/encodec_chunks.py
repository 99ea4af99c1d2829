"""EnCodec checkpoints that cut a recording into overlapping chunks, each with a loudness of its own: those at 48 kHz."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from lpo_tts.batches import map_batches, of_equal_length
from lpo_tts.codecs.base import check_audio, check_codes
from lpo_tts.codes import Codes
from lpo_tts.errors import ComponentError

QUIETEST = 1e-8  # added to every loudness, as the model's authors do, so that silence stays silence


class LoadedChunkedEncodec:
    """The codec in memory: mono in and out, whatever number of channels the checkpoint has."""

    def __init__(
        self, model: Any, name: str, bandwidth: float, batch_size: int, scale: Literal["chunk", "recording"], loudness: float
    ) -> None:
        config = model.config
        self._model, self._bandwidth, self._batch_size, self._scale = model, bandwidth, batch_size, scale
        self._gain = 10 ** (loudness / 20) if config.normalize else 1.0
        self._hop = math.prod(config.upsampling_ratios)
        self._chunk, self._stride = config.chunk_length, config.chunk_stride
        if self._stride is None or self._chunk % self._hop or not self._hop <= self._stride <= self._chunk:
            raise ComponentError(
                f"{name}: expected chunks of whole frames of {self._hop} samples and an overlap, found chunks of {self._chunk} "
                f"samples and a stride of {self._stride}; use facebook/encodec_48khz"
            )
        self._frames = self._chunk // self._hop  # of a full chunk
        self.input_sample_rate = self.sample_rate = int(config.sampling_rate)
        self.frame_rate = self.sample_rate / self._hop
        num_codebooks = model.quantizer.get_num_quantizers_for_bandwidth(bandwidth)
        self.codebook_sizes = (int(config.codebook_size),) * num_codebooks

    def num_frames(self, num_samples: int) -> int:
        """Frames of a recording: those of all its chunks, of which only the last may be shorter."""
        before = self._num_chunks(num_samples) - 1
        return before * self._frames + math.ceil((num_samples - before * self._stride) / self._hop)

    def num_samples(self, num_frames: int) -> int:
        """Samples that so many frames decode to."""
        before = math.ceil(num_frames / self._frames) - 1
        last = before * self._stride + (num_frames - before * self._frames) * self._hop
        return max(last, (before - 1) * self._stride + self._chunk if before else 0)

    def _num_chunks(self, num_samples: int) -> int:
        """As few as cover the recording: one more would be heard already by the one before."""
        return 1 + max(0, math.ceil((num_samples - self._chunk) / self._stride))

    @torch.inference_mode()
    def encode(self, audio: Sequence[Tensor]) -> list[Codes]:
        """Mono waveforms (num_samples,) float32 to codes, `num_frames(num_samples)` of each level.

        Raises:
            ContractError: as `check_audio`.
        """
        check_audio(audio)
        waves = [wave.cpu().float() for wave in audio]
        pieces = [(index, n * self._stride) for index, wave in enumerate(waves) for n in range(self._num_chunks(wave.numel()))]
        chunks = [waves[index][start : start + self._chunk] for index, start in pieces]
        if self._model.config.normalize:
            loudness = [
                _loudness(waves[index] if self._scale == "recording" else chunk)
                for (index, _), chunk in zip(pieces, chunks, strict=True)
            ]
            chunks = [chunk / level for chunk, level in zip(chunks, loudness, strict=True)]

        def encoded(batch: list[int]) -> list[Tensor]:
            mono = torch.stack([chunks[number] for number in batch])[:, None].to(self._model.device)
            latents = self._model.encoder(mono.expand(-1, self._model.config.audio_channels, -1))
            codes = self._model.quantizer.encode(latents, self._bandwidth)  # (codebook, batch, frame)
            return list(codes.transpose(0, 1).to("cpu", torch.int64))

        found = map_batches(of_equal_length([chunk.numel() for chunk in chunks], self._batch_size), encoded)
        parts: list[list[Tensor]] = [[] for _ in audio]
        for number, (index, _) in enumerate(pieces):
            parts[index].append(found[number])
        return [Codes(tuple(level.clone() for level in torch.cat(part, 1))) for part in parts]

    @torch.inference_mode()
    def decode(self, codes: Sequence[Codes]) -> list[Tensor]:
        """Codes to mono waveforms (num_samples(num_frames),) float32, on the CPU.

        Raises:
            ContractError: as `check_codes`.
        """
        check_codes(codes, self.codebook_sizes)
        parts = [torch.stack(item.levels).cpu().long().split(self._frames, 1) for item in codes]
        chunks = [part for recording in parts for part in recording]

        def decoded(batch: list[int]) -> list[Tensor]:
            stacked = torch.stack([chunks[number] for number in batch], 1).to(self._model.device)  # (codebook, batch, frame)
            waves = self._model.decoder(self._model.quantizer.decode(stacked)).mean(1)  # over the channels
            return list(waves[:, : stacked.shape[-1] * self._hop].float().cpu() * self._gain)

        found = map_batches(of_equal_length([chunk.shape[-1] for chunk in chunks], self._batch_size), decoded)
        waves, first = [], 0
        for recording in parts:
            waves.append(self._faded([found[first + n] for n in range(len(recording))]))
            first += len(recording)
        return waves

    def _faded(self, chunks: list[Tensor]) -> Tensor:
        """Chunks laid one stride after another, (num_samples,); where two overlap, one fades into the other."""
        if len(chunks) == 1:
            return chunks[0].clone()
        length = self.num_samples(sum(chunk.numel() for chunk in chunks) // self._hop)
        place = torch.arange(1, self._chunk + 1) / (self._chunk + 1)
        weight = 0.5 - (place - 0.5).abs()
        total, shares = torch.zeros(length), torch.zeros(length)
        for number, chunk in enumerate(chunks):
            where = slice(number * self._stride, number * self._stride + chunk.numel())
            total[where] += weight[: chunk.numel()] * chunk
            shares[where] += weight[: chunk.numel()]
        return total / shares


def _loudness(wave: Tensor) -> Tensor:
    return wave.square().mean().sqrt() + QUIETEST
