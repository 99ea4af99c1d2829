"""What every audio codec offers: waveform to codes and back."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from lpo_tts.codes import Codes
from lpo_tts.errors import ContractError


class LoadedCodec(Protocol):
    """A codec in memory."""

    input_sample_rate: int  # Hz, what `encode` expects
    sample_rate: int  # Hz, what `decode` returns
    frame_rate: float  # frames per second of level 0
    codebook_sizes: tuple[int, ...]  # one per codebook level
    # A codec whose levels have several codes per frame says so in `rates: tuple[int, ...]`, read by `rates_of`.

    def encode(self, audio: Sequence[Tensor]) -> list[Codes]:
        """Mono waveforms (num_samples,) float32 at `input_sample_rate` to codes; raises what `check_audio` does."""
        ...

    def decode(self, codes: Sequence[Codes]) -> list[Tensor]:
        """Codes to mono waveforms (num_samples,) float32 at `sample_rate`, on the CPU; raises what `check_codes` does."""
        ...


class Codec(Protocol):
    """Settings of a codec (a frozen dataclass); nothing is downloaded or allocated before `load`."""

    def load(self, device: str = "cpu") -> LoadedCodec:
        """Loads weights; raises ComponentError when they are missing or do not fit."""
        ...


def rates_of(codec: LoadedCodec) -> tuple[int, ...]:
    """Codes of a frame by level: what a codec's `rates` says, and one of each where it has none."""
    return tuple(getattr(codec, "rates", (1,) * len(codec.codebook_sizes)))


def check_audio(audio: Sequence[Tensor]) -> None:
    """What every codec asks of the waveforms it encodes.

    Raises:
        ContractError: a waveform is not one-dimensional, not of floats, empty, or holds NaN or infinity.
    """
    for index, wave in enumerate(audio):
        if wave.dim() != 1 or wave.numel() == 0 or not wave.is_floating_point():
            raise ContractError(
                f"audio {index}: expected shape (num_samples,) with samples as floats, found {tuple(wave.shape)} of {wave.dtype}"
            )
        if not bool(torch.isfinite(wave).all()):
            raise ContractError(f"audio {index}: expected finite samples, found NaN or infinity; leave the recording out")


def check_codes(codes: Sequence[Codes], codebook_sizes: Sequence[int], rates: Sequence[int] | None = None) -> None:
    """What every codec asks of the codes it decodes.

    Args:
        codes: of the recordings.
        codebook_sizes: of the codec, by level.
        rates: codes of a frame by level; None = one of each.

    Raises:
        ContractError: no frames, another number of levels than codebooks, levels whose lengths do not fit each other, or a
            code outside its codebook.
    """
    rates = (1,) * len(codebook_sizes) if rates is None else tuple(rates)
    for index, item in enumerate(codes):
        lengths = [level.numel() for level in item.levels]
        frames = lengths[0] if lengths else 0
        if len(lengths) != len(rates) or not frames or any(n != frames * rate for n, rate in zip(lengths, rates, strict=True)):
            kind = f"{len(rates)} levels of equal length" if len(rates) > 1 else "one level with frames"
            if set(rates) != {1}:
                kind = f"{len(rates)} levels with {', '.join(map(str, rates))} codes per frame"
            raise ContractError(f"codes {index}: expected {kind}, found levels of {lengths} frames")
        for number, (level, size) in enumerate(zip(item.levels, codebook_sizes, strict=True)):
            if level.dim() != 1 or level.is_floating_point() or level.is_complex() or level.dtype == torch.bool:
                raise ContractError(
                    f"codes {index}, level {number}: expected shape (num_frames,) of integers, "
                    f"found {tuple(level.shape)} of {level.dtype}"
                )
            wrong = level[(level < 0) | (level >= size)]
            if wrong.numel():
                raise ContractError(f"codes {index}: code {int(wrong[0])} lies outside codebook {number} (size {size})")
