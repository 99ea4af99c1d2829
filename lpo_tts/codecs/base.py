"""What every audio codec offers: waveform to codes and back."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from lpo_tts.codes import Codes


class LoadedCodec(Protocol):
    """A codec in memory."""

    input_sample_rate: int  # Hz, what `encode` expects
    sample_rate: int  # Hz, what `decode` returns
    frame_rate: float  # frames per second of level 0
    codebook_sizes: tuple[int, ...]  # one per codebook level

    def encode(self, audio: Sequence[Tensor]) -> list[Codes]:
        """Mono waveforms (num_samples,) float32 at `input_sample_rate` to codes."""
        ...

    def decode(self, codes: Sequence[Codes]) -> list[Tensor]:
        """Codes to mono waveforms (num_samples,) float32 at `sample_rate`, on the CPU."""
        ...


class Codec(Protocol):
    """Settings of a codec (a frozen dataclass); nothing is downloaded or allocated before `load`."""

    def load(self, device: str = "cpu") -> LoadedCodec:
        """Loads weights; raises ComponentError when they are missing or do not fit."""
        ...
