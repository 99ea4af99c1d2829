"""How an utterance ends: well, cut off, or going on with sound or with silence after the last word of its text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from torch import Tensor

from lpo_tts.asr.base import Recogniser
from lpo_tts.audio import rms_db
from lpo_tts.bounds import above, at_least, check_settings
from lpo_tts.metrics.base import Derived, Judgement, Speech, number_in, share_of
from lpo_tts.metrics.completion import completion, repeated
from lpo_tts.metrics.levels import HOP, LOWEST, frame_at, frame_levels, sound_threshold, speech_level
from lpo_tts.metrics.listening import Listener, Word, listener
from lpo_tts.scale import PERCENT, Scale
from lpo_tts.text import check_normaliser, normalise

Kind = Literal["good", "cut_off", "trailing_sound", "trailing_silence", "silent"]
KINDS: tuple[Kind, ...] = get_args(Kind)
CLOSURE = 0.09  # seconds of silence within a word's end, before its last plosive is released
HEARD = 0.5  # of `max_sound` is allowed where the sound is heard as words
LAST = 0.01  # seconds at the very end of the audio, whose level tells whether it stops in the middle of a sound


def _share(kind: Kind, title: str, short: str) -> Derived:
    """The share of endings of one bad kind."""
    scale = Scale(higher_is_better=False, unit=PERCENT, perfect=0.0, title=title, short=short)
    return Derived(scale=scale, tell=share_of("kind", kind))


# Audio that stops too early has no silence behind it, so less of it is not always better.
SILENCE = Scale(higher_is_better=False, graded=False, unit="s", title="silence after the last word", short="trailing silence")


@dataclass(frozen=True)
class Ending:
    """Whether an utterance ends well, by the words that a recogniser hears, their times, and the level of the sound.

    The value is 1 for a good ending and 0 for any other; `detail["kind"]` says which. The first that holds is taken:

    - `silent`: no word is heard.
    - `trailing_sound`: after the last word of the text something sounds for more than `max_sound` seconds: more words,
      words said again, noise, hum.
    - `cut_off`: words are missing at the end of the text, or the audio stops in the middle of a loud sound.
    - `trailing_silence`: nothing sounds for more than `max_silence` seconds.
    - `good`: none of these.

    A word that is heard as another one is no missing word: text and hypothesis are aligned by their characters
    (`lpo_tts.metrics.completion`). The last word ends where its sound ends, not where the recogniser puts its end, which
    is often before a final consonant. A frame counts as sound by its level below the words of the same utterance, so that
    loudness and a steady background change little.

    Attributes:
        recogniser: one that gives times (`lpo_tts.asr.base.with_times`).
        normaliser: how text and hypothesis are made comparable (`lpo_tts.text.NORMALISERS`).
        max_silence: seconds of silence or background allowed after the last word.
        max_sound: seconds of sound allowed after the last word, such as a breath or a click.
        max_tail: seconds by which the last word may sound beyond the end that the recogniser gives it.
        depth: dB below the speech down to which a frame is sound; the speech's level is what its loudest fifth reaches.
        margin: dB above the background (`lpo_tts.metrics.levels.background`) from which a frame is sound, where that is more
            than `depth` allows.
        abrupt: dB below the speech; audio that ends above this level stops in the middle of a sound.
        batch_size: waveforms given to the recogniser at once.
    """

    recogniser: Recogniser
    normaliser: str = "basic"
    max_silence: float = 1.0
    max_sound: float = 0.3
    max_tail: float = 0.35
    depth: float = 35.0
    margin: float = 6.0
    abrupt: float = 17.0
    batch_size: int = 64

    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = "%"
    times: ClassVar[bool] = True  # `detail["spots"]` says where the bad end is
    missing: ClassVar[float] = 0.0  # what was never spoken does not end well
    perfect: ClassVar[float] = 1.0
    title: ClassVar[str] = "good endings"
    derived: ClassVar[Mapping[str, Derived]] = {
        "cut_off": _share("cut_off", "speech cut off before its end", "cut off"),
        "trailing_sound": _share("trailing_sound", "sound after the last word", "trailing sound"),
        "trailing_silence": Derived(scale=SILENCE, tell=number_in("trailing_silence")),
    }
    bounds = {
        "max_silence": above(0).at_most(60),
        "max_sound": at_least(0).at_most(60),
        "max_tail": at_least(0).at_most(2),
        "depth": above(0).at_most(90),
        "margin": above(0).at_most(40),
        "abrupt": above(0).at_most(90),
        "batch_size": at_least(1),
    }

    def __post_init__(self) -> None:
        check_settings(self, "")
        check_normaliser(self.normaliser)

    def load(self, device: str = "cpu") -> "LoadedEnding":
        """Loads the recogniser, or takes the one that another metric has loaded with the same settings."""
        return LoadedEnding(self, listener(self.recogniser, self.batch_size, device))


class LoadedEnding:
    """A recogniser in memory, and what counts as an end."""

    def __init__(self, settings: Ending, hearing: Listener) -> None:
        self._settings, self._hearing = settings, hearing

    def judge(self, speech: Sequence[Speech]) -> list[Judgement]:
        """1.0 for a good ending, 0.0 for another, per piece of speech.

        `detail` holds `kind`, and in seconds `last_word_end`, `trailing_sound` and `trailing_silence` after it; `missing`:
        words missing at the end of the text; `extra`: words heard after it; `repeated`: pairs of words that are heard more
        often than the text has them; `final_level`: the level at the very end, in dB above that of the speech;
        `hypothesis`; `spots`: where the text is said and where the bad end is, for weights of tokens.

        Silent audio is judged: it is of kind `silent`. A text without words, audio with NaN or of no length, and a language
        that the recogniser does not hear have no value.
        """
        found = self._hearing.hear(speech, self._settings.normaliser)
        return [self._one(item, one) for item, one in zip(speech, found, strict=True)]

    def _one(self, item: Speech, heard: tuple[Word, ...] | str) -> Judgement:
        if isinstance(heard, str):
            return Judgement(value=None, detail={"reason": heard})
        text = normalise(item.text, self._settings.normaliser, item.language).split()
        detail = describe(item.audio, item.sample_rate, text, heard, self._settings)
        return Judgement(value=float(detail["kind"] == "good"), detail=detail)


def describe(audio: Tensor, sample_rate: int, text: Sequence[str], heard: Sequence[Word], settings: Ending) -> dict[str, Any]:
    """The detail of a judgement.

    Args:
        audio: (num_samples,) finite float.
        sample_rate: Hz.
        text: normalised words, at least one.
        heard: the recogniser's words, normalised and none of them empty, with times in seconds.
        settings: the limits.
    """
    hypothesis = " ".join(word.text for word in heard)
    if not heard:
        return {"kind": "silent", "missing": len(text), "extra": 0, "repeated": 0, "hypothesis": hypothesis}
    duration = audio.numel() / sample_rate
    levels = frame_levels(audio, sample_rate)
    done = completion(text, [word.text for word in heard])
    own = heard[: max(1, done.num_heard)]
    extra = heard[len(own) :]
    last_end = min(own[-1].end, own[-1].start + _longest(own), duration)
    spoken_until = frame_at(last_end)
    speech = speech_level(levels[: spoken_until + 1], [(word.start, word.end) for word in own])
    threshold = sound_threshold(levels[: spoken_until + 1], speech, settings.depth, settings.margin)
    loud = levels > threshold
    limit = min(last_end + settings.max_tail, extra[0].start if extra else duration)
    end = _sounding_until(loud, last_end, limit)
    missing = done.num_missing
    if missing and not extra:
        # Sound without words may be the words that the recogniser missed, for about as long as they would take.
        expected = done.missing_share / (1 - done.missing_share) * (last_end - own[0].start)
        reached = _sounding_until(loud, end, min(duration, end + 2 * expected), closure=0.5)
        if reached - end > expected / 3 or reached - last_end > 0.8 * expected:
            end, missing = reached, 0
    after = loud[frame_at(end) :]
    sound = HOP * int(after.sum())
    silence = max(0.0, duration - end - sound)
    final = _final_level(audio, sample_rate) - speech
    kind: Kind = "good"
    if sound > settings.max_sound * (HEARD if extra else 1.0):
        kind = "trailing_sound"
    elif missing or final > -settings.abrupt:
        kind = "cut_off"
    elif silence > settings.max_silence:
        kind = "trailing_silence"
    return {
        "kind": kind,
        "last_word_end": round(end, 3),
        "trailing_sound": round(sound, 3),
        "trailing_silence": round(silence, 3),
        "missing": missing,
        "extra": len(extra),
        "repeated": repeated(text, [word.text for word in heard], 2),
        "final_level": round(final, 1),
        "hypothesis": hypothesis,
        "spots": _spots(" ".join(text), own, extra, kind, round(end, 3), round(duration, 3)),
    }


def _spots(
    text: str, own: Sequence[Word], extra: Sequence[Word], kind: Kind, end: float, duration: float
) -> list[list[str | float]]:
    """The utterance in two stretches, in the form of `lpo_tts.asr.hearing.Spot`: what says the text, and its bad end.

    So weights of tokens (`pair.weights`) reach from the end of the last word to the end of the answer.
    """
    found: list[list[str | float]] = [["hit", text, " ".join(word.text for word in own), round(own[0].start, 3), end]]
    if kind in ("trailing_sound", "trailing_silence"):
        found.append(["insertion", "", " ".join(word.text for word in extra) or kind, end, duration])
    elif kind == "cut_off":
        found.append(["deletion", "the end", "", end, duration])
    return found


def _longest(words: Sequence[Word]) -> float:
    """Seconds that the last word may last: twice what its characters take at the rate of those before it, and 0.25 s.

    Noise, hum and silence after the last word are often counted as a part of it.
    """
    before = sum(len(word.text) + 1 for word in words[:-1])
    pace = (words[-1].start - words[0].start) / before if before else 0.1
    return 0.25 + 2 * len(words[-1].text) * pace


def _sounding_until(loud: np.ndarray, start: float, limit: float, closure: float = CLOSURE) -> float:
    """Where the sound that goes on at `start` ends, in seconds, `limit` at the latest; pauses up to `closure` are bridged."""
    end, quiet = frame_at(start), 0
    for frame in range(frame_at(start), min(len(loud), frame_at(limit))):
        quiet = 0 if loud[frame] else quiet + 1
        if quiet * HOP > closure:
            break
        if loud[frame]:
            end = frame + 1
    return min(max(end * HOP, start), max(limit, start))


def _final_level(audio: Tensor, sample_rate: int) -> float:
    """The level of the last moment of the audio in dB, without the audio's constant offset."""
    samples = audio.detach().to("cpu").double()
    return max(rms_db(samples[-max(1, round(LAST * sample_rate)) :] - samples.mean()), LOWEST)
