"""Recordings through a codec's network: in batches of equal length, and long ones window by window, in bounded memory."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lpo_tts.batches import map_batches, of_equal_length
from lpo_tts.bounds import above, at_least
from lpo_tts.codecs.base import check_audio, check_codes
from lpo_tts.codes import Codes
from lpo_tts.errors import ContractError


@dataclass(frozen=True, kw_only=True)
class Chunked:
    """The settings of codecs that take long recordings window by window.

    Attributes:
        chunk: seconds of a recording taken at once; what is no longer than this passes whole. None = all of it.
        context: seconds on both sides of a chunk that the network hears and whose result is dropped.
    """

    chunk: float | None = 30.0
    context: float = 2.0

    bounds = {"chunk": above(0), "context": at_least(0)}


@dataclass(frozen=True)
class Window:
    """Frames that the network is given, and those of them whose result is kept.

    Attributes:
        start, stop: frames given, `stop` not among them.
        skip: frames of context in front.
        keep: frames kept behind them.
    """

    start: int
    stop: int
    skip: int
    keep: int


@dataclass(frozen=True)
class Framing:
    """How a codec cuts time into frames.

    Attributes:
        hop_in: samples of a frame that `encode` is given.
        hop_out: samples of a frame that `decode` returns.
        rates: codes of a frame by level.
        unit: frames; windows start and end at multiples of it, where the network has a rhythm longer than a frame.
    """

    hop_in: int
    hop_out: int
    rates: tuple[int, ...]
    unit: int = 1


def windows(num_frames: int, chunk: int | None, context: int, unit: int = 1) -> list[Window]:
    """Cuts frames into windows, each frame kept exactly once.

    Args:
        num_frames: of the recording.
        chunk: frames kept per window, rounded up to the unit; None = one window.
        context: frames on both sides, rounded up alike; there is none before the first frame and behind the last.
        unit: see `Framing`.
    """
    if chunk is None or num_frames <= chunk:
        return [Window(0, num_frames, 0, num_frames)]
    chunk, context = (math.ceil(value / unit) * unit for value in (chunk, context))
    found = []
    for first in range(0, num_frames, chunk):
        last = min(first + chunk, num_frames)
        start = max(0, first - context)
        found.append(Window(start, min(last + context, num_frames), first - start, last - first))
    return found


class FramedCodec(ABC):
    """A codec in memory whose network takes batches of one length; members say how it encodes and decodes one batch.

    Only what is equally long and starts at the same frame shares a batch: networks hear the padding behind a shorter one.
    """

    def __init__(
        self,
        settings: Chunked,
        framing: Framing,
        *,
        rate: int,
        sizes: Sequence[int],
        batch_size: int,
        rate_out: int | None = None,
    ) -> None:
        """Takes the sample rates in and out in Hz (None: the same), and the codebook sizes by level."""
        self.input_sample_rate, self.sample_rate = rate, rate_out or rate
        self.codebook_sizes = tuple(sizes)
        self.frame_rate = self.sample_rate / framing.hop_out
        self.rates = framing.rates
        self._framing, self._batch_size = framing, batch_size
        self._chunk = None if settings.chunk is None else max(1, round(settings.chunk * self.frame_rate))
        self._context = math.ceil(settings.context * self.frame_rate)

    @abstractmethod
    def _encode(self, waves: Tensor) -> Sequence[Tensor]:
        """Waveforms (batch, num_samples) float32 on the CPU to levels (batch, frames * rate), of every begun frame or more."""

    @abstractmethod
    def _decode(self, levels: Sequence[Tensor], first: int) -> Tensor:
        """Levels (batch, frames * rate) int64 on the CPU to waveforms (batch, num_samples); `first` numbers their first frame."""

    @torch.inference_mode()
    def encode(self, audio: Sequence[Tensor]) -> list[Codes]:
        """Mono waveforms (num_samples,) float32 to codes: one frame per begun `hop_in` samples.

        Raises:
            ContractError: as `check_audio`.
        """
        check_audio(audio)
        framing = self._framing
        plans = [self._windows(math.ceil(wave.numel() / framing.hop_in)) for wave in audio]

        def encoded(pieces: list[tuple[int, Window]]) -> list[tuple[Tensor, ...]]:
            hop = framing.hop_in
            waves = torch.stack([audio[index][one.start * hop : one.stop * hop].cpu().float() for index, one in pieces])
            levels = self._encode(waves)
            begun = math.ceil(waves.shape[-1] / hop)
            for level, rate in zip(levels, framing.rates, strict=True):
                if level.shape[-1] < begun * rate:
                    raise ContractError(
                        f"{type(self).__name__}: expected {begun * rate} codes of {waves.shape[-1]} samples, "
                        f"found {level.shape[-1]}; the checkpoint's hop or strides do not fit its network"
                    )
            return [
                tuple(
                    level[row, one.skip * rate : (one.skip + one.keep) * rate].to("cpu", torch.int64).clone()
                    for level, rate in zip(levels, framing.rates, strict=True)
                )
                for row, (_, one) in enumerate(pieces)
            ]

        parts = self._through(plans, encoded, [wave.numel() for wave in audio], framing.hop_in)
        return [Codes(tuple(torch.cat(level) for level in zip(*part, strict=True))) for part in parts]

    @torch.inference_mode()
    def decode(self, codes: Sequence[Codes]) -> list[Tensor]:
        """Codes to mono waveforms (num_frames * hop_out,) float32, on the CPU.

        Raises:
            ContractError: as `check_codes`.
        """
        check_codes(codes, self.codebook_sizes, self.rates)
        framing = self._framing
        plans = [self._windows(item.num_frames) for item in codes]

        def decoded(pieces: list[tuple[int, Window]]) -> list[Tensor]:
            levels = [
                torch.stack([codes[index].levels[k][one.start * rate : one.stop * rate].cpu().long() for index, one in pieces])
                for k, rate in enumerate(framing.rates)
            ]
            waves = self._decode(levels, pieces[0][1].start).float().cpu()
            hop, found = framing.hop_out, []
            for wave, (_, one) in zip(waves, pieces, strict=True):
                kept = wave[one.skip * hop : (one.skip + one.keep) * hop]
                found.append(torch.nn.functional.pad(kept, (0, one.keep * hop - kept.numel())).clone())
            return found

        return [torch.cat(part) for part in self._through(plans, decoded, [item.num_frames for item in codes], 1)]

    def _windows(self, num_frames: int) -> list[Window]:
        return windows(num_frames, self._chunk, self._context, self._framing.unit)

    def _through(self, plans: list[list[Window]], compute: Callable, lengths: list[int], hop: int) -> list[list]:
        """What `compute` makes of every window, by recording; windows of one start and length share batches.

        Lengths are those of the recordings, in units of which a frame has `hop`: the last frame may be a part of one.
        """
        pieces = [(index, one) for index, plan in enumerate(plans) for one in plan]
        kinds = [(one.start, min(one.stop * hop, lengths[index])) for index, one in pieces]
        batches = of_equal_length(kinds, self._batch_size)
        found = map_batches(batches, lambda batch: compute([pieces[number] for number in batch]))
        results: list[list] = [[] for _ in plans]
        for number, (index, _) in enumerate(pieces):
            results[index].append(found[number])
        return results
