"""What every metric offers: a number for each piece of speech, with the detail it rests on."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Speech:
    """One piece of speech to be judged, and what it was meant to be."""

    id: str
    audio: Tensor  # (num_samples,) float32, mono
    sample_rate: int  # Hz
    text: str  # what it should say
    language: str = "en"
    voice: Tensor | None = None  # recording of the voice it should have, (num_samples,)
    voice_sample_rate: int | None = None
    voice_id: str | None = None  # lets a metric embed each voice once


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """value None = could not be judged; `detail["reason"]` then says why."""

    value: float | None
    detail: dict[str, Any] = field(default_factory=dict)


class LoadedMetric(Protocol):
    """A metric in memory."""

    def judge(self, speech: Sequence[Speech]) -> list[Judgement]:
        """One judgement per piece of speech, in order."""
        ...


class Metric(Protocol):
    """Settings of a metric (a frozen dataclass) and its direction."""

    higher_is_better: bool

    def load(self, device: str = "cpu") -> LoadedMetric:
        """Loads what it listens with."""
        ...
