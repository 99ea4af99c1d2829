"""What every speaker encoder offers: waveform to a unit vector whose cosine measures speaker similarity."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor


class LoadedSpeakerEncoder(Protocol):
    """A speaker encoder in memory."""

    sample_rate: int  # Hz, what `embed` expects
    min_duration: float  # seconds; shorter audio must not be embedded (the metric marks it unscorable)

    def embed(self, audio: Sequence[Tensor]) -> Tensor:
        """Mono waveforms (num_samples,) float32 to (batch, dim) float32 of unit length, on the CPU."""
        ...


class SpeakerEncoder(Protocol):
    """Settings of a speaker encoder (a frozen dataclass)."""

    def load(self, device: str = "cpu") -> LoadedSpeakerEncoder:
        """Loads weights; raises ComponentError when they are missing or do not fit."""
        ...
