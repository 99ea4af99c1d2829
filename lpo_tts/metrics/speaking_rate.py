"""How fast the words come, without the pauses between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from lpo_tts.asr.base import Recogniser
from lpo_tts.bounds import above, at_least, check_settings
from lpo_tts.metrics.base import Judgement, Speech
from lpo_tts.metrics.listening import Heard, Listener, listener
from lpo_tts.metrics.pauses import pauses_between
from lpo_tts.text import check_normaliser


@dataclass(frozen=True)
class SpeakingRate:
    """Words heard per second of speech: from the first word to the end of the last one, less the pauses between them.

    It counts what is heard and not what the text asks for, so a skipped or repeated phrase does not change it. It tells of
    a change and is nothing to optimise: `duration` has the rate of the text over the whole audio.

    Attributes:
        recogniser: one that gives times (`lpo_tts.asr.base.with_times`).
        normaliser: what counts as a word (`lpo_tts.text.NORMALISERS`); with `characters` the rate is that of characters.
        shortest: seconds; what is shorter is a plosive and no pause.
        depth: dB below the speech down to which a frame is sound.
        margin: dB above the background from which a frame is sound, where that is more than `depth` allows.
        batch_size: waveforms given to the recogniser at once; equal in metrics that share a recogniser.
    """

    recogniser: Recogniser
    normaliser: str = "basic"
    shortest: float = 0.15
    depth: float = 35.0
    margin: float = 6.0
    batch_size: int = 64

    higher_is_better: ClassVar[bool] = True
    graded: ClassVar[bool] = False  # faster is not better, only different
    unit: ClassVar[str] = "words/s"
    title: ClassVar[str] = "speaking rate"
    bounds = {
        "shortest": above(0).at_most(10),
        "depth": above(0).at_most(90),
        "margin": above(0).at_most(40),
        "batch_size": at_least(1),
    }

    def __post_init__(self) -> None:
        check_settings(self, "")
        check_normaliser(self.normaliser)

    def load(self, device: str = "cpu") -> "LoadedSpeakingRate":
        """Loads the recogniser, or takes the one that another metric has loaded with the same settings."""
        return LoadedSpeakingRate(self, listener(self.recogniser, self.batch_size, device))


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
        pauses = pauses_between(item, heard, self._settings.shortest, self._settings.depth, self._settings.margin)
        seconds = heard[-1].end - heard[0].start - sum(end - start for start, end in pauses)
        num_words = sum(len(word.text.split()) for word in heard)
        if seconds <= 0:
            return Judgement(value=None, detail={"reason": "the recogniser gives the words no duration"})
        return Judgement(value=num_words / seconds, detail={"num_words": num_words, "seconds": round(seconds, 3)})
