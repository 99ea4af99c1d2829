"""Duration and speaking rate: a guard against speech that drags, rushes or never ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from lpo_tts.metrics.base import Judgement, Speech
from lpo_tts.text import check_normaliser, normalise


@dataclass(frozen=True)
class Duration:
    """How long the speech is; it tells of a change and is nothing to optimise.

    Attributes:
        normaliser: how words are counted (`lpo_tts.text.NORMALISERS`).
    """

    normaliser: str = "basic"

    higher_is_better: ClassVar[bool] = False
    unit: ClassVar[str] = "s"
    graded: ClassVar[bool] = False
    title: ClassVar[str] = "duration"

    def __post_init__(self) -> None:
        """Raises ConfigError for an unknown normaliser."""
        check_normaliser(self.normaliser)

    def load(self, device: str = "cpu") -> "LoadedDuration":
        """Nothing to load."""
        return LoadedDuration(self.normaliser)


class LoadedDuration:
    """Measures length."""

    def __init__(self, normaliser: str) -> None:
        self.normaliser = normaliser

    def judge(self, speech: Sequence[Speech]) -> list[Judgement]:
        """Seconds per piece of speech; `detail` holds num_words and words_per_second (None without audio)."""
        judgements = []
        for item in speech:
            seconds = item.audio.numel() / item.sample_rate
            num_words = len(normalise(item.text, self.normaliser, item.language).split())
            rate = num_words / seconds if seconds > 0 else None
            judgements.append(Judgement(value=seconds, detail={"num_words": num_words, "words_per_second": rate}))
        return judgements
