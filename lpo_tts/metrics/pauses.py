"""The longest silence between the words of an utterance."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from lpo_tts.asr.base import Recogniser
from lpo_tts.bounds import above, at_least, check_settings
from lpo_tts.metrics.base import Judgement, Speech
from lpo_tts.metrics.levels import frame_levels, quiet_runs, sound_threshold, speech_level
from lpo_tts.metrics.listening import Heard, Listener, listener
from lpo_tts.text import check_normaliser


@dataclass(frozen=True)
class BetweenPauses:
    """Settings of metrics that look at the words and the pauses between them.

    Attributes:
        recogniser: one that gives times (`lpo_tts.asr.base.with_times`).
        normaliser: what counts as a word (`lpo_tts.text.NORMALISERS`); with `characters` each character does.
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

    bounds = {
        "shortest": above(0).at_most(10),
        "depth": above(0).at_most(90),
        "margin": above(0).at_most(40),
        "batch_size": at_least(1),
    }

    def __post_init__(self) -> None:
        check_settings(self, "")
        check_normaliser(self.normaliser)

    def listener(self, device: str) -> Listener:
        """The recogniser in memory: the one that another metric has loaded with the same settings, or a new one."""
        return listener(self.recogniser, self.batch_size, device)

    def pauses(self, item: Speech, heard: Heard) -> list[tuple[float, float]]:
        """Start and end in seconds of every pause between the first and the last word."""
        levels = frame_levels(item.audio, item.sample_rate)
        speech = speech_level(levels, [(word.start, word.end) for word in heard])
        loud = levels > sound_threshold(levels, speech, self.depth, self.margin)
        runs = quiet_runs(loud, heard[0].start, heard[-1].end)
        return [(start, end) for start, end in runs if end - start >= self.shortest - 1e-9]


@dataclass(frozen=True)
class Pauses(BetweenPauses):
    """Seconds of the longest pause between the first and the last word that is heard.

    A pause is where nothing sounds, by the level below the words of the same utterance, as in `ending`. What lies before the
    first word and after the last one is no pause. A longer pause is not always worse: a comma asks for one.
    """

    higher_is_better: ClassVar[bool] = False
    graded: ClassVar[bool] = False
    unit: ClassVar[str] = "s"
    title: ClassVar[str] = "longest pause"

    def load(self, device: str = "cpu") -> "LoadedPauses":
        """Loads the recogniser, or takes the one that another metric has loaded with the same settings."""
        return LoadedPauses(self, self.listener(device))


class LoadedPauses:
    """A recogniser in memory, and what counts as a pause."""

    def __init__(self, settings: Pauses, hearing: Listener) -> None:
        self._settings, self._hearing = settings, hearing

    def judge(self, speech: Sequence[Speech]) -> list[Judgement]:
        """Seconds per piece of speech, 0 without a pause; `detail` holds `pauses` ([start, end] in seconds) and their `total`.

        Audio in which no word is heard, or that cannot be listened to, has no value.
        """
        found = self._hearing.hear(speech, self._settings.normaliser)
        return [self._one(item, heard) for item, heard in zip(speech, found, strict=True)]

    def _one(self, item: Speech, heard: Heard | str) -> Judgement:
        if isinstance(heard, str) or not heard:
            return Judgement(value=None, detail={"reason": heard or "no word is heard"})
        pauses = self._settings.pauses(item, heard)
        lengths = [end - start for start, end in pauses]
        detail = {"pauses": [[round(start, 3), round(end, 3)] for start, end in pauses], "total": round(sum(lengths), 3)}
        return Judgement(value=round(max(lengths, default=0.0), 3), detail=detail)
