"""Word error rate: what a recogniser hears against what should be said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import jiwer
import torch

from lpo_tts import audio
from lpo_tts.asr.base import HeardWord, LanguageError, LoadedRecogniser, Recogniser, with_times
from lpo_tts.asr.hearing import spots
from lpo_tts.bounds import at_least, check_settings
from lpo_tts.metrics.base import Derived, Judgement, Speech, in_batches
from lpo_tts.resampling import Resampler
from lpo_tts.scale import PERCENT, Aggregate, Scale
from lpo_tts.text import check_normaliser, normalise


def character_errors(detail: Mapping[str, Any]) -> Judgement:
    """Character error rate from the same texts: those that the words were counted in, without their spaces.

    Its detail is that of a word error rate whose words are characters.
    """
    reference, hypothesis = (detail[key].replace(" ", "") for key in ("reference", "hypothesis"))
    output = jiwer.process_characters(reference, hypothesis)
    num_characters = output.hits + output.substitutions + output.deletions
    errors = output.substitutions + output.deletions + output.insertions
    told = {
        "hypothesis": " ".join(hypothesis),
        "reference": " ".join(reference),
        "hits": output.hits,
        "substitutions": output.substitutions,
        "deletions": output.deletions,
        "insertions": output.insertions,
    }
    return Judgement(value=errors / num_characters, weight=num_characters, detail=told)


CHARACTERS = Derived(
    scale=Scale(
        higher_is_better=False,
        unit=PERCENT,
        aggregate="ratio",
        missing=1.0,  # every character is deleted
        perfect=0.0,
        title="character error rate",
        short="CER",
        counts="character",
    ),
    tell=character_errors,
    weight=lambda metric, text, language: len(normalise(text, metric.normaliser, language).replace(" ", "")),
)


@dataclass(frozen=True)
class WordErrorRate:
    """Share of words that a recogniser hears wrongly: (substitutions + deletions + insertions) / words.

    The value counts what the recogniser writes, not what a listener hears. Silence is written as nothing, so every word
    counts as deleted. Of noise, hum and clicks Whisper makes a word such as "you", of loud noise a sentence: such inventions
    count as insertions and substitutions. So broken audio may have any value from about 1 upwards, and a loop may be written
    down once. Score `duration` and `dnsmos` too, keep candidates out that did not end, and set `max_chosen` in the
    pair rule, so that no candidate is chosen only because the others are worse.

    Attributes:
        recogniser: what transcribes the speech.
        normaliser: how text and hypothesis are made comparable (`lpo_tts.text.NORMALISERS`); with `characters` the
            "words" are characters and the value is the character error rate.
        batch_size: waveforms given to the recogniser at once.
        times: whether `detail["spots"]` says where in the audio each word was right or wrong, for weights of tokens. The
            recogniser must know when it heard a word.
        resampler: how speech comes to the sample rate of the recogniser. `soxr` is good; `fourier` is the FFT of
            scipy.signal.resample and `sinc` the filter of torchaudio, for numbers to be compared with published ones.
    """

    recogniser: Recogniser
    normaliser: str = "basic"
    batch_size: int = 64
    times: bool = False
    resampler: Resampler = "soxr"

    higher_is_better: ClassVar[bool] = False
    unit: ClassVar[str] = "%"
    aggregate: ClassVar[Aggregate] = "ratio"
    missing: ClassVar[float] = 1.0  # every word is deleted
    perfect: ClassVar[float] = 0.0
    title: ClassVar[str] = "word error rate"
    short: ClassVar[str] = "WER"
    counts: ClassVar[str] = "word"
    derived: ClassVar[Mapping[str, Derived]] = {"cer": CHARACTERS}
    bounds = {"batch_size": at_least(1)}

    def __post_init__(self) -> None:
        check_settings(self, "")
        check_normaliser(self.normaliser)

    def weight(self, text: str, language: str = "en") -> int:
        """Words of a text as this metric counts them."""
        return len(normalise(text, self.normaliser, language).split())

    def load(self, device: str = "cpu") -> "LoadedWordErrorRate":
        """Loads the recogniser."""
        return LoadedWordErrorRate(self.recogniser.load(device), self.normaliser, self.batch_size, self.times, self.resampler)


class LoadedWordErrorRate:
    """A recogniser in memory, and how its hypotheses are counted."""

    def __init__(
        self,
        recogniser: LoadedRecogniser,
        normaliser: str = "basic",
        batch_size: int = 64,
        times: bool = False,
        resampler: Resampler = "soxr",
    ) -> None:
        """Raises ConfigError when times are wanted of a recogniser that gives none."""
        self.recogniser = recogniser
        self._timing = with_times(recogniser) if times else None
        self.normaliser = normaliser
        self.batch_size = batch_size
        self.resampler: Resampler = resampler

    def judge(self, speech: Sequence[Speech]) -> list[Judgement]:
        """Word error rate per piece of speech, as a fraction that may exceed 1.

        The weight is the number of words, so that corpus values (errors / words) can be summed up. `detail` holds
        hypothesis and reference (normalised), hits, substitutions, deletions, insertions and num_words, and with `times`
        spots: [kind, word of the text, word heard, start, end] in seconds, as `lpo_tts.asr.hearing.spots` gives them. A text
        without words, audio with NaN, and a language that the recogniser does not hear have no value.
        """
        judgements: list[Judgement | None] = [None] * len(speech)
        heard: list[int] = []
        for index, item in enumerate(speech):
            reason = self._unscorable(item)
            if reason:
                judgements[index] = Judgement(value=None, detail={"reason": reason})
            else:
                heard.append(index)
        for language, batch in in_batches(speech, heard, self.batch_size):
            try:
                hypotheses = self._transcribe([speech[index] for index in batch], language)
            except LanguageError as error:
                for index in batch:
                    judgements[index] = Judgement(value=None, detail={"reason": str(error)})
                continue
            for index, (hypothesis, words) in zip(batch, hypotheses, strict=True):
                judgements[index] = self._count(speech[index], hypothesis, words)
        return [judgement for judgement in judgements if judgement is not None]

    def _unscorable(self, item: Speech) -> str | None:
        if not normalise(item.text, self.normaliser, item.language):
            return f"the text {item.text!r} has no words after normalisation ({self.normaliser})"
        if not bool(torch.isfinite(item.audio).all()):
            return "the audio holds NaN or infinity"
        return None

    def _transcribe(self, batch: Sequence[Speech], language: str) -> list[tuple[str, tuple[HeardWord, ...]]]:
        """Hypothesis and, where times are wanted, its words."""
        rate = self.recogniser.sample_rate
        waveforms = [audio.resample(item.audio, item.sample_rate, rate, self.resampler) for item in batch]
        hypotheses: list[tuple[str, tuple[HeardWord, ...]]] = [("", ())] * len(batch)
        filled = [index for index, waveform in enumerate(waveforms) if waveform.numel()]
        if filled and self._timing:
            timed = self._timing.transcribe_timed([waveforms[index] for index in filled], language)
            texts = [(" ".join(word.text for word in words), words) for words in timed]
        elif filled:
            texts = [(text, ()) for text in self.recogniser.transcribe([waveforms[index] for index in filled], language)]
        else:
            texts = []
        for index, text in zip(filled, texts, strict=True):
            hypotheses[index] = text
        return hypotheses

    def _count(self, item: Speech, heard: str, words: Sequence[HeardWord]) -> Judgement:
        reference = normalise(item.text, self.normaliser, item.language)
        hypothesis = normalise(heard, self.normaliser, item.language)
        output = jiwer.process_words(reference, hypothesis)
        num_words = output.hits + output.substitutions + output.deletions
        errors = output.substitutions + output.deletions + output.insertions
        detail = {
            "hypothesis": hypothesis,
            "reference": reference,
            "hits": output.hits,
            "substitutions": output.substitutions,
            "deletions": output.deletions,
            "insertions": output.insertions,
            "num_words": num_words,
        }
        if self._timing:
            seconds = item.audio.numel() / item.sample_rate
            found = spots(item.text, words, self.normaliser, item.language, seconds)
            detail["spots"] = [[*one[:3], round(one.start, 3), round(one.end, 3)] for one in found]
        return Judgement(value=errors / num_words, weight=num_words, detail=detail)
