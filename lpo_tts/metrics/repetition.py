"""Words that are heard again though the text has them once: the loops of a codec language model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from lpo_tts.asr.base import Recogniser
from lpo_tts.bounds import at_least, check_settings
from lpo_tts.metrics.base import Judgement, Speech
from lpo_tts.metrics.completion import repeated
from lpo_tts.metrics.listening import Heard, Listener, listener
from lpo_tts.text import check_normaliser, normalise


@dataclass(frozen=True)
class Repetition:
    """How many runs of words (n-grams) are heard more often than the text has them; the first time counts as none.

    A run that the text has k times may be heard k times, and at least once: a misheard word makes no repetition by itself. A
    phrase of four words that is said three times has three runs of two words, each twice too often, and the two runs
    across its joints once each more than once where it is said more than twice: 7.

    Attributes:
        recogniser: one that gives times (`lpo_tts.asr.base.with_times`), so that `ending` may share it.
        order: words of a run. With 1 a single word said twice counts, and so does every misheard "the".
        normaliser: how text and hypothesis are made comparable (`lpo_tts.text.NORMALISERS`).
        batch_size: waveforms given to the recogniser at once; equal in metrics that share a recogniser.
    """

    recogniser: Recogniser
    order: int = 2
    normaliser: str = "basic"
    batch_size: int = 64

    higher_is_better: ClassVar[bool] = False
    perfect: ClassVar[float] = 0.0
    title: ClassVar[str] = "repeated runs of words"
    short: ClassVar[str] = "repetitions"
    bounds = {"order": at_least(1).at_most(20), "batch_size": at_least(1)}

    def __post_init__(self) -> None:
        check_settings(self, "")
        check_normaliser(self.normaliser)

    def load(self, device: str = "cpu") -> "LoadedRepetition":
        """Loads the recogniser, or takes the one that another metric has loaded with the same settings."""
        return LoadedRepetition(self, listener(self.recogniser, self.batch_size, device))


class LoadedRepetition:
    """A recogniser in memory, and how long a run is."""

    def __init__(self, settings: Repetition, hearing: Listener) -> None:
        self._settings, self._hearing = settings, hearing

    def judge(self, speech: Sequence[Speech]) -> list[Judgement]:
        """Repeated runs per piece of speech; `detail` holds `hypothesis`.

        Silence repeats nothing: 0. Audio that cannot be listened to has no value.
        """
        found = self._hearing.hear(speech, self._settings.normaliser)
        return [self._one(item, heard) for item, heard in zip(speech, found, strict=True)]

    def _one(self, item: Speech, heard: Heard | str) -> Judgement:
        if isinstance(heard, str):
            return Judgement(value=None, detail={"reason": heard})
        text = normalise(item.text, self._settings.normaliser, item.language).split()
        words = [piece for word in heard for piece in word.text.split()]
        return Judgement(value=float(repeated(text, words, self._settings.order)), detail={"hypothesis": " ".join(words)})
