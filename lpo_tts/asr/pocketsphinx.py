"""PocketSphinx: a small recogniser of the pre-neural kind, whose English model comes inside its package."""

import importlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from lpo_tts.asr.base import HeardWord, LanguageError, primary_language
from lpo_tts.audio import audible
from lpo_tts.bounds import above, at_least, check_settings
from lpo_tts.errors import ComponentError

SAMPLE_RATE = 16000  # Hz, what the packaged model was trained on
MIN_SAMPLES = 410  # one analysis window of 25.625 ms
FRAME_RATE = 100  # frames per second of the packaged model

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_VARIANT = re.compile(r"\(\d+\)$")  # of a pronunciation: "the(2)"
_FILLER = re.compile(r"<.*>|\[.*\]|\+\+.*\+\+|\(NULL\)")  # silence, noise, and steps of a grammar that say nothing
_NO_WORD = re.compile(r"<[^>]*>|\{[^}]*\}|/[\d.eE+-]+/|[\[\]()|*+;=\"]")


@dataclass(frozen=True)
class PocketsphinxRecogniser:
    """PocketSphinx with its packaged model of English; it knows no other language.

    Attributes:
        grammar: a JSGF grammar, as text (it starts with `#JSGF`) or as path to a file; None takes the packaged language model
            for free English. A narrow grammar makes it fast and accurate, and deaf to whatever the grammar does not allow.
        word_insertion_penalty: factor on the probability of every further word; the package's own 0.65 makes it hear words
            that are not there in synthetic speech.
        padding: seconds put before and after; speech that begins at once loses its first sounds.
        noise: rms of the steady noise laid under everything (1 is full scale). The model knows no digital silence: on clean
            synthetic speech of the mini world, padding and noise take the word error rate from 12 % to 3 % (padding by
            digital silence alone to 25 %).
    """

    grammar: str | None = None
    word_insertion_penalty: float = 1e-3
    padding: float = 0.15
    noise: float = 1e-3

    about = {"licence": "BSD-2-Clause", "sample_rate": 16000}
    bounds = {"word_insertion_penalty": above(0), "padding": at_least(0).at_most(10), "noise": at_least(0).below(1)}

    def __post_init__(self) -> None:
        check_settings(self, "")

    def load(self, device: str = "cpu") -> "LoadedPocketsphinxRecogniser":
        """Loads the packaged model (on the CPU, whatever the device) and compiles the grammar.

        Raises:
            ComponentError: the package or the grammar file is missing, the grammar has a mistake or a word without a
                pronunciation.
        """
        try:
            package = importlib.import_module("pocketsphinx")
        except ImportError as error:
            raise ComponentError(
                f"the pocketsphinx recogniser needs the package pocketsphinx ({error}); install it: pip install 'lpo-tts[mini]'"
            ) from error
        # cmn=batch: each utterance is normalised by itself, so that no result depends on what was heard before.
        settings: dict[str, Any] = {"cmn": "batch", "wip": self.word_insertion_penalty, "loglevel": "FATAL"}
        if self.grammar is None:
            return LoadedPocketsphinxRecogniser(package.Decoder(**settings), self.padding, self.noise)
        text, where = _read_grammar(self.grammar)
        decoder = package.Decoder(lm=None, **settings)
        missing = sorted(word for word in grammar_words(text) if decoder.lookup_word(word) is None)
        if missing:
            raise ComponentError(
                f"{where}: expected words of PocketSphinx's dictionary, found also {', '.join(missing)}; respell them"
            )
        try:
            decoder.add_jsgf_string("grammar", text)
            decoder.activate_search("grammar")
        except (ValueError, KeyError, RuntimeError) as error:
            raise ComponentError(f"{where}: expected a JSGF grammar with a public rule, cannot compile it: {error}") from error
        return LoadedPocketsphinxRecogniser(decoder, self.padding, self.noise)


class LoadedPocketsphinxRecogniser:
    """A decoder in memory; it is used again and again, one utterance at a time."""

    sample_rate = SAMPLE_RATE

    def __init__(self, decoder: Any, padding: float, noise: float) -> None:
        self._decoder = decoder
        self._padding = round(padding * SAMPLE_RATE)
        self._noise = noise

    def transcribe(self, audio: Sequence[Tensor], language: str = "en") -> list[str]:
        """Mono waveforms (num_samples,) float32 at 16 kHz to lower-case words.

        Raises:
            LanguageError: the language is not English.
        """
        self._check(language)
        return [self._hypothesis() if self._listen(waveform) else "" for waveform in audio]

    def transcribe_timed(self, audio: Sequence[Tensor], language: str = "en") -> list[tuple[HeardWord, ...]]:
        """The same words with their times in seconds of the waveform; () for silence.

        The words are those of the best path through the last search, whose frames are 10 ms long.

        Raises:
            LanguageError: the language is not English.
        """
        self._check(language)
        return [self._words(waveform.numel() / SAMPLE_RATE) if self._listen(waveform) else () for waveform in audio]

    def _check(self, language: str) -> None:
        if primary_language(language) != "en":
            raise LanguageError(f"pocketsphinx: the packaged model hears English (en), found language {language!r}")

    def _listen(self, waveform: Tensor) -> bool:
        """Decodes a waveform; False where there is nothing to hear."""
        if not audible(waveform, MIN_SAMPLES):
            return False
        padded = F.pad(waveform.detach().to("cpu", torch.float32), (self._padding, self._padding))
        # The same noise every time, so that a waveform is always heard alike.
        padded = padded + self._noise * torch.randn(padded.shape, generator=torch.Generator().manual_seed(0))
        samples = (padded.clamp(-1.0, 1.0) * 32767).round().to(torch.int16).numpy()
        # Else the noise that was estimated before is taken off this utterance too, and what is heard depends on the order.
        self._decoder.reinit_feat()
        self._decoder.start_utt()
        self._decoder.process_raw(samples.tobytes(), full_utt=True)
        self._decoder.end_utt()
        return True

    def _hypothesis(self) -> str:
        hypothesis = self._decoder.hyp()
        return hypothesis.hypstr if hypothesis is not None else ""

    def _words(self, duration: float) -> tuple[HeardWord, ...]:
        if not self._hypothesis():  # without one there is no path
            return ()

        def seconds(frame: int) -> float:
            """Of the waveform as it was before padding."""
            return min(max(frame / FRAME_RATE - self._padding / SAMPLE_RATE, 0.0), duration)

        said = [one for one in self._decoder.seg() if not _FILLER.fullmatch(one.word)]
        return tuple(HeardWord(_VARIANT.sub("", one.word), seconds(one.start_frame), seconds(one.end_frame + 1)) for one in said)


def grammar_words(text: str) -> set[str]:
    """The words (terminals) of a JSGF grammar."""
    body = _COMMENT.sub(" ", text)
    rules = [rule.partition("=")[2] for rule in body.split(";") if "=" in rule]
    return {word for rule in rules for word in _NO_WORD.sub(" ", rule).split()}


def _read_grammar(grammar: str) -> tuple[str, str]:
    """Text of the grammar and where it stands."""
    if grammar.lstrip().startswith("#JSGF"):
        return grammar, "grammar"
    path = Path(grammar)
    try:
        return path.read_text(encoding="utf-8"), str(path)
    except OSError as error:
        raise ComponentError(
            f"grammar: expected JSGF text (it starts with #JSGF) or a file of it, found no file {str(path)!r} ({error.strerror})"
        ) from error
