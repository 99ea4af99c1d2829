"""What every metric offers: a number for each piece of speech, with the detail it rests on."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from torch import Tensor

from lpo_tts.batches import of_like_length
from lpo_tts.errors import ConfigError
from lpo_tts.records import Judgement
from lpo_tts.scale import Scale

__all__ = [
    "Derived",
    "Judgement",
    "LoadedMetric",
    "Metric",
    "Scale",
    "Speech",
    "derived_of",
    "is_advisory",
    "needs_voice_copy",
    "number_in",
    "scale_of",
    "share_of",
    "weight_of",
]
SUFFIX = re.compile(r"[a-z][a-z0-9_]{0,40}")


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
    voice_copy: Tensor | None = None  # that recording through the codec, for a metric that asks for it; (num_samples,)
    voice_copy_sample_rate: int | None = None


def in_batches(speech: Sequence[Speech], indices: Sequence[int], size: int) -> Iterator[tuple[str, list[int]]]:
    """Batches of one language and of like length, so that little is spent on padding: the language, and places in `speech`."""
    seconds = [item.audio.numel() / item.sample_rate for item in speech]
    for language in sorted({speech[index].language for index in indices}):
        own = [index for index in indices if speech[index].language == language]
        for batch in of_like_length(seconds, size, own):
            yield language, batch


class LoadedMetric(Protocol):
    """A metric in memory."""

    def judge(self, speech: Sequence[Speech]) -> list[Judgement]:
        """One judgement per piece of speech, in order.

        Args:
            speech: Each piece at its own `sample_rate`, and its voice at `voice_sample_rate`: they may differ within one
                call, so a metric resamples to what it needs (`lpo_tts.audio.resample`). Nothing else is promised: audio may
                be silent, empty, very short, hold NaN, or exceed [-1, 1]. What cannot be measured gets the value None and a
                `detail["reason"]` (`lpo_tts.audio.unmeasurable` finds the usual reasons); one bad piece must not stop the others.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Derived:
    """A further figure that the judgements of a metric tell, so that nobody listens twice for it.

    Attributes:
        scale: what its values mean; it names `title` and `short`.
        tell: the detail of a judgement that has a value to a judgement, or None where this one does not tell it.
        weight: of a ratio: what a text weighs, from the metric's settings, the text and its language.
    """

    scale: Scale
    tell: Callable[[Mapping[str, Any]], Judgement | None]
    weight: Callable[[Any, str, str], float] | None = None


def number_in(key: str) -> Callable[[Mapping[str, Any]], Judgement | None]:
    """Tells the number that a detail holds under a key; some judgements may lack it."""
    return lambda detail: Judgement(value=float(detail[key])) if detail.get(key) is not None else None


def share_of(key: str, kind: str) -> Callable[[Mapping[str, Any]], Judgement | None]:
    """Tells 1 where a detail holds this kind under a key, which every judgement has, and 0 where it holds another one."""
    return lambda detail: Judgement(value=float(detail[key] == kind))


class Metric(Protocol):
    """Settings of a metric (a frozen dataclass), and what its values mean, as class attributes.

    The direction must be said. The other attributes of `lpo_tts.scale.Scale` may be: `unit`, `aggregate`, `missing`,
    `worst`, `perfect`, `graded`, `title`, `short`, `counts`; what is left out is a plain mean of numbers without a unit. A ratio
    has a method `weight(text, language) -> float` too: what a text weighs, though nobody could judge the speech. A mapping
    `derived` from names to `Derived` says which further figures its judgements tell. A metric whose `needs_voice_copy` is
    True is given the codec copy of the voice as well, in an evaluation. One whose `advisory` is True guesses at a quality, and
    reports call it so whatever its role.
    """

    higher_is_better: ClassVar[bool]

    def load(self, device: str = "cpu") -> LoadedMetric:
        """Loads the models it needs."""
        ...


SCALE = ("unit", "aggregate", "missing", "worst", "perfect", "graded", "title", "short", "counts")


def scale_of(metric: Any) -> Scale:
    """What a metric (or its class) says of its values; raises ConfigError where it says nothing or what cannot be."""
    cls = metric if isinstance(metric, type) else type(metric)
    direction = getattr(metric, "higher_is_better", None)
    if not isinstance(direction, bool):
        raise ConfigError(f"{cls.__name__}: expected a metric that says `higher_is_better: ClassVar[bool]`, found none")
    said = {name: getattr(metric, name) for name in SCALE if hasattr(metric, name)}
    said["title"] = said.get("title") or cls.__name__
    said["short"] = said.get("short") or said["title"]
    scale = Scale(higher_is_better=direction, **said)
    if scale.is_ratio and not callable(getattr(metric, "weight", None)):
        raise ConfigError(
            f"{cls.__name__}: a ratio says what a text weighs: expected a method `weight(text, language) -> float`, found none"
        )
    return scale


def weight_of(metric: Any, text: str, language: str = "en") -> float | None:
    """What a text weighs in the corpus value of a ratio; None for a plain mean."""
    return metric.weight(text, language) if scale_of(metric).is_ratio else None


def needs_voice_copy(metric: Any) -> bool:
    """Whether a metric compares with the voice as the codec gives it back."""
    return bool(getattr(metric, "needs_voice_copy", False))


def is_advisory(metric: Any) -> bool:
    """Whether a metric is a network's guess at a quality, which no result may rest on."""
    return bool(getattr(metric, "advisory", False))


def derived_of(metric: Any) -> dict[str, Derived]:
    """Further figures of a metric (or its class) by name; raises ConfigError for one that cannot be read."""
    cls = metric if isinstance(metric, type) else type(metric)
    derived = dict(getattr(metric, "derived", {}))
    for suffix, one in derived.items():
        if not SUFFIX.fullmatch(suffix) or not one.scale.title or not one.scale.short:
            raise ConfigError(
                f"{cls.__name__}.derived: expected a name of small letters, digits and _, and a scale with title and short, "
                f"found {suffix!r} with {one.scale}"
            )
        if one.scale.is_ratio and one.weight is None:
            raise ConfigError(f"{cls.__name__}.derived: the ratio {suffix!r} says what a text weighs: give it a `weight`")
    return derived
