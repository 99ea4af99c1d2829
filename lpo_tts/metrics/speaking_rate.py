"""How fast the words come, without the pauses between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from lpo_tts.metrics.base import Judgement, Speech
from lpo_tts.metrics.listening import Heard, Listener
from lpo_tts.metrics.pauses import BetweenPauses


@dataclass(frozen=True)
class SpeakingRate(BetweenPauses):
    """Words heard per second of speech: from the first word to the end of the last one, less the pauses between them.

    It counts what is heard and not what the text asks for, so a skipped or repeated phrase does not change it. It tells of
    a change and is nothing to optimise: `duration` has the rate of the text over the whole audio.
    """

    higher_is_better: ClassVar[bool] = True
    graded: ClassVar[bool] = False  # faster is not better, only different
    unit: ClassVar[str] = "words/s"
    title: ClassVar[str] = "speaking rate"

    def load(self, device: str = "cpu") -> "LoadedSpeakingRate":
        """Loads the recogniser, or takes the one that another metric has loaded with the same settings."""
        return LoadedSpeakingRate(self, self.listener(device))


class LoadedSpeakingRate:
    """A recogniser in memory, and what counts as a pause."""

    def __init__(self, settings: SpeakingRate, hearing: Listener) -> None:
        self._settings, self._hearing = settings, hearing

    def judge(self, speech: Sequence[Speech]) -> list[Judgement]:
        """Words per second; `detail` holds `num_words` and `seconds` of speech without its pauses.

        Audio in which no word is heard, or that cannot be listened to, has no value.
        """
        found = self._hearing.hear(speech, self._settings.normaliser)
        return [self._one(item, heard) for item, heard in zip(speech, found, strict=True)]

    def _one(self, item: Speech, heard: Heard | str) -> Judgement:
        if isinstance(heard, str) or not heard:
            return Judgement(value=None, detail={"reason": heard or "no word is heard"})
        pauses = self._settings.pauses(item, heard)
        seconds = heard[-1].end - heard[0].start - sum(end - start for start, end in pauses)
        num_words = sum(len(word.text.split()) for word in heard)
        if seconds <= 0:
            return Judgement(value=None, detail={"reason": "the recogniser gives the words no duration"})
        return Judgement(value=num_words / seconds, detail={"num_words": num_words, "seconds": round(seconds, 3)})
