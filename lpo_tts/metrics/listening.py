"""Timed words of a piece of speech, heard once for all metrics that ask for them."""

import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lpo_tts import audio
from lpo_tts.asr.base import HeardWord, LanguageError, Recogniser, TimingRecogniser, with_times
from lpo_tts.metrics.base import Speech, in_batches
from lpo_tts.metrics.levels import HOP, frame_levels, sounding_part
from lpo_tts.text import normalise


@dataclass(frozen=True)
class Word:
    """A heard word after normalisation, never empty; times in seconds."""

    text: str
    start: float
    end: float


DEPTH = 45.0  # dB below the loud frames; what is quieter at both ends of a waveform is silence for the recogniser
AROUND = 0.2  # seconds of that silence that the recogniser hears

Heard = tuple[Word, ...]
Raw = tuple[HeardWord, ...]


class Listener:
    """A recogniser in memory, and what it heard of the waveforms that are still in use.

    Several metrics of one panel are asked about the same pieces of speech, one after the other. A waveform is known again
    by being the same tensor, which no metric changes; nothing is compared by value, and what is no longer used elsewhere
    is forgotten.
    """

    def __init__(self, recogniser: TimingRecogniser, batch_size: int) -> None:
        self.recogniser, self.batch_size = recogniser, batch_size
        self._known: dict[tuple[int, int, str], tuple[weakref.ref[Tensor], Raw | str]] = {}

    def hear(self, speech: Sequence[Speech], normaliser: str) -> list[Heard | str]:
        """The words of each piece of speech, () where nothing is heard, or the reason why it cannot be judged.

        Args:
            speech: what is listened to.
            normaliser: how words are written; a text in which nothing is left of it is a reason too.
        """
        reasons = [_unscorable(item, normaliser) for item in speech]
        fresh = [index for index, reason in enumerate(reasons) if reason is None and self._recall(speech[index]) is None]
        found: dict[int, Raw | str] = {}
        for batch, heard in self._batches(speech, fresh):
            found.update(zip(batch, heard, strict=True))
        for index in fresh:
            self._remember(speech[index], found[index])
        answers: list[Heard | str] = []
        for item, reason in zip(speech, reasons, strict=True):
            words = reason if reason is not None else self._recall(item)
            answers.append(words if isinstance(words, str) else _plain(words or (), normaliser, item.language))
        return answers

    def _batches(self, speech: Sequence[Speech], indices: Sequence[int]) -> Iterator[tuple[list[int], list[Raw | str]]]:
        """Batches of one language and of like length, and what is heard of each."""
        for language, batch in in_batches(speech, indices, self.batch_size):
            parts = [_sounding(speech[index]) for index in batch]
            waves = [
                audio.resample(part, speech[index].sample_rate, self.recogniser.sample_rate)
                for index, (_, part) in zip(batch, parts, strict=True)
            ]
            there = [place for place, wave in enumerate(waves) if wave.numel()]  # resampling may leave no sample of a few
            try:
                words = self.recogniser.transcribe_timed([waves[place] for place in there], language) if there else []
            except LanguageError as error:
                yield batch, [str(error)] * len(batch)
                continue
            found = dict(zip(there, words, strict=True))
            yield batch, [_later(found.get(place, ()), start) for place, (start, _) in enumerate(parts)]

    def _recall(self, item: Speech) -> Raw | str | None:
        known = self._known.get((id(item.audio), item.sample_rate, item.language))
        return known[1] if known is not None and known[0]() is item.audio else None

    def _remember(self, item: Speech, heard: Raw | str) -> None:
        known, key = self._known, (id(item.audio), item.sample_rate, item.language)
        known[key] = weakref.ref(item.audio, lambda _: known.pop(key, None)), heard


def _unscorable(item: Speech, normaliser: str) -> str | None:
    if not normalise(item.text, normaliser, item.language):
        return f"the text {item.text!r} has no words after normalisation ({normaliser})"
    if not item.audio.numel():
        return "the audio has no samples"
    return None if bool(torch.isfinite(item.audio).all()) else "the audio holds NaN or infinity"


def _sounding(item: Speech) -> tuple[float, Tensor]:
    """The part of a waveform that is given to the recogniser, with a little of the silence around it, and where it begins.

    Recognisers normalise loudness or spectra over the whole waveform, or invent words, so long silence makes them mishear.
    """
    first, last = sounding_part(frame_levels(item.audio, item.sample_rate), DEPTH)
    start, stop = max(0.0, first * HOP - AROUND), last * HOP + AROUND
    return start, item.audio[round(start * item.sample_rate) : round(stop * item.sample_rate)]


def _later(words: Raw, seconds: float) -> Raw:
    return tuple(HeardWord(word.text, word.start + seconds, word.end + seconds) for word in words)


def _plain(words: Sequence[HeardWord], normaliser: str, language: str) -> Heard:
    spelled = ((normalise(word.text, normaliser, language), word) for word in words)
    return tuple(Word(text, word.start, word.end) for text, word in spelled if text)


_SHARED: "weakref.WeakValueDictionary[tuple[object, ...], Listener]" = weakref.WeakValueDictionary()


def listener(recogniser: Recogniser, batch_size: int, device: str) -> Listener:
    """A listener with these settings: the one that another metric holds, or a new one.

    Raises:
        ConfigError: the recogniser gives no times.
    """
    key = (recogniser, batch_size, str(device))
    try:
        shared = _SHARED.get(key)
    except TypeError:  # settings that cannot be hashed, such as a list, are not shared
        return Listener(with_times(recogniser.load(device)), batch_size)
    if shared is None:
        shared = _SHARED[key] = Listener(with_times(recogniser.load(device)), batch_size)
    return shared
