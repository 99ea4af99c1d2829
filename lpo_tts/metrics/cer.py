"""Character error rate: the word error rate of languages that are written without spaces."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from lpo_tts.errors import ConfigError
from lpo_tts.metrics.base import Derived
from lpo_tts.metrics.wer import WordErrorRate

RULES = ("characters", "chinese")


@dataclass(frozen=True)
class CharacterErrorRate(WordErrorRate):
    """Share of characters that a recogniser hears wrongly: (substitutions + deletions + insertions) / characters.

    Spaces and punctuation do not count. It is the word error rate (`wer`) with a rule that makes each character a word, and
    its limits are the same.

    Attributes:
        normaliser: `characters`, each character by itself in any script; or `chinese`, simplified characters and numbers as
            they are read, where a word of another script (English within Chinese) counts as one character.
    """

    normaliser: str = "characters"

    title: ClassVar[str] = "character error rate"
    short: ClassVar[str] = "CER"
    counts: ClassVar[str] = "character"
    derived: ClassVar[Mapping[str, Derived]] = {}  # it is one itself

    def __post_init__(self) -> None:
        """Raises ConfigError for a normaliser that does not divide a text into characters."""
        super().__post_init__()
        if self.normaliser not in RULES:
            raise ConfigError(
                f"normaliser: expected one that divides a text into characters ({', '.join(RULES)}), found "
                f"{self.normaliser!r}; choose one of them, or take the metric wer"
            )
