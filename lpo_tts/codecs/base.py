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


def check_codes(codes: Sequence[Codes], codebook_sizes: Sequence[int]) -> None:
    """What every codec with one code per level and frame asks of the codes it decodes.

    Raises:
        ContractError: no frames, another number of levels than codebooks, levels of unequal length, or a code outside
            its codebook.
    """
    for index, item in enumerate(codes):
        lengths = [level.numel() for level in item.levels]
        if len(lengths) != len(codebook_sizes) or len(set(lengths)) != 1 or not lengths[0]:
            kind = f"{len(codebook_sizes)} levels of equal length" if len(codebook_sizes) > 1 else "one level with frames"
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
