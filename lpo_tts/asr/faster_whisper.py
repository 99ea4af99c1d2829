"""Whisper (arXiv 2212.04356) by CTranslate2: int8 on a CPU, float16 on a GPU; it says when it heard each word."""

import importlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from lpo_tts import hf
from lpo_tts.asr.base import HeardWord, known_language
from lpo_tts.audio import audible
from lpo_tts.batches import map_batches, of_equal_length
from lpo_tts.bounds import at_least, check_settings
from lpo_tts.errors import ComponentError

MIN_SAMPLES = 400  # one analysis window of 25 ms
POSITIONS = 448  # of the decoder: start tokens and answer together
POSITION = 0.02  # seconds between two outputs of the encoder, and between two time stamps
FILES = ("config.json", "model.bin", "tokenizer.json", "vocabulary.*", "preprocessor_config.json")
EXPECTED = "a Whisper checkpoint as CTranslate2 stores it (model.bin, config.json, vocabulary, tokenizer.json)"
UNSPACED = frozenset({"zh", "ja", "th", "lo", "my", "yue"})  # Whisper's languages without spaces between words

ComputeType: TypeAlias = Literal["auto", "int8", "int8_float16", "int8_bfloat16", "float16", "bfloat16", "float32"]


@dataclass(frozen=True)
class FasterWhisperRecogniser:
    """Whisper (arXiv 2212.04356), by CTranslate2, in the format of faster-whisper's checkpoints.

    Decoding is greedy or by beams, at one temperature, without voice activity detection and without the text before. So a
    hypothesis depends on the waveform alone. Every waveform costs an encoder pass over 30 s, however short it is, unless
    `padding` is set.

    Attributes:
        model: hub id or folder of a checkpoint that CTranslate2 converted (`Systran/faster-whisper-tiny.en`).
        language: ISO 639-1 code; None takes the language of each piece of speech. English-only checkpoints hear "en" alone.
        num_beams: hypotheses kept while decoding; 1 is greedy, as in seed-tts-eval.
        batch_size: waveforms taken at once.
        max_new_tokens: longest hypothesis of a window of 30 s, in tokens.
        padding: seconds of silence that the encoder hears after a waveform; None: up to 30 s, as Whisper was
            trained. With less the encoder is faster, and a hypothesis another one. Do not go below 8: with 2 to 4 s Whisper
            repeats sentences (docs/performance.md).
        compute_type: in what the model computes; `auto`: int8 on a CPU, float16 on a GPU.
        revision: commit, tag or branch of a hub id; None = what the hub has now.
    """

    model: str = "mobiuslabsgmbh/faster-whisper-large-v3-turbo"
    language: str | None = None
    num_beams: int = 1
    batch_size: int = 16
    max_new_tokens: int = 220
    padding: float | None = None
    compute_type: ComputeType = "auto"
    revision: str | None = None

    about = {"licence": "MIT or Apache-2.0, by the checkpoint (not verified)", "sample_rate": 16000}
    bounds = {
        "num_beams": at_least(1),
        "batch_size": at_least(1),
        "padding": at_least(0).at_most(30),
        # Four start tokens: start of transcript, language, task, no time stamps.
        "max_new_tokens": at_least(1).at_most(POSITIONS - 8),
    }

    def __post_init__(self) -> None:
        check_settings(self, "")
        hf.check_revision(self.revision)

    def load(self, device: str = "cpu") -> "LoadedFasterWhisperRecogniser":
        """Loads the model; on a CPU it computes with as many threads as torch.

        Raises:
            ComponentError: the package or the checkpoint is missing, or it is of another kind.
            LanguageError: the checkpoint does not hear `language`.
        """
        try:
            package = importlib.import_module("ctranslate2")
        except ImportError as error:
            raise ComponentError(
                f"the faster-whisper recogniser needs the package ctranslate2 ({error}); "
                "install it: pip install 'lpo-tts[faster-whisper]'"
            ) from error
        where = torch.device(device)
        chosen = "int8" if where.type == "cpu" else "float16"
        with hf.loading(self.model, EXPECTED, self.revision) as place:
            from tokenizers import Tokenizer
            from transformers import WhisperFeatureExtractor

            folder = _folder(self.model, place)
            for name in ("model.bin", "config.json", "tokenizer.json"):
                if not (folder / name).is_file():
                    raise ComponentError(f"{self.model}: expected {EXPECTED}, found no {name}")
            model = package.models.Whisper(
                str(folder),
                device=where.type,
                device_index=where.index or 0,
                compute_type=chosen if self.compute_type == "auto" else self.compute_type,
                intra_threads=torch.get_num_threads(),
            )
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            if (folder / "preprocessor_config.json").is_file():
                extractor = WhisperFeatureExtractor.from_pretrained(str(folder), **place)
            else:
                extractor = WhisperFeatureExtractor(feature_size=model.n_mels)
        return LoadedFasterWhisperRecogniser(self, package, model, extractor, tokenizer)


class LoadedFasterWhisperRecogniser:
    """The model in memory."""

    def __init__(self, settings: FasterWhisperRecogniser, package: Any, model: Any, extractor: Any, tokenizer: Any) -> None:
        self._settings, self._model, self._extractor, self._tokenizer = settings, model, extractor, tokenizer
        self._view = package.StorageView
        self.sample_rate = int(extractor.sampling_rate)
        self._window = int(extractor.n_samples)  # samples of one pass: 30 s
        self._hop = int(extractor.hop_length)
        self._first_stamp = self._id("<|notimestamps|>") + 1
        self._is_multilingual = bool(model.is_multilingual)
        self._languages = self._heard_languages()
        if settings.language is not None:
            self._known(settings.language)

    def transcribe(self, audio: Sequence[Tensor], language: str = "en") -> list[str]:
        """Mono waveforms (num_samples,) float32 to hypotheses, in the checkpoint's spelling.

        Raises:
            LanguageError: the checkpoint does not hear the language.
        """
        start = self._start(self._known(self._settings.language or language))
        heard = [index for index, waveform in enumerate(audio) if audible(waveform, MIN_SAMPLES)]
        short = [index for index in heard if audio[index].numel() <= self._window]
        batches = self._batches([audio[index].numel() for index in short], short)
        texts: dict[int, str] = map_batches(
            batches, lambda batch: map(self._text, self._hear([audio[i] for i in batch], start)[1])
        )
        for index in heard:
            if audio[index].numel() > self._window:
                pieces = (self._text(tokens) for _, _, _, tokens in self._windows(audio[index], start))
                texts[index] = " ".join(piece for piece in pieces if piece)
        return [texts.get(index, "") for index in range(len(audio))]

    def transcribe_timed(self, audio: Sequence[Tensor], language: str = "en") -> list[tuple[HeardWord, ...]]:
        """As `transcribe`, word by word; times come from cross-attention (dynamic time warping), in steps of 0.02 s.

        In languages without spaces a word is what the checkpoint has as one piece: one character, or a few.
        """
        known = self._known(self._settings.language or language)
        start = self._start(known)
        heard = [index for index, waveform in enumerate(audio) if audible(waveform, MIN_SAMPLES)]
        short = [index for index in heard if audio[index].numel() <= self._window]
        words: dict[int, list[HeardWord]] = {}
        for batch in self._batches([audio[index].numel() for index in short], short):
            waves = [audio[index] for index in batch]
            encoded, answers = self._hear(waves, start)
            sizes = [wave.numel() for wave in waves]
            words.update(zip(batch, self._align(encoded, answers, sizes, start, known), strict=True))
        for index in heard:
            if audio[index].numel() > self._window:
                words[index] = []
                for first, size, encoded, tokens in self._windows(audio[index], start):
                    (found,) = self._align(encoded, [tokens], [size], start, known)
                    late = first / self.sample_rate
                    words[index] += [HeardWord(text=one.text, start=one.start + late, end=one.end + late) for one in found]
        return [tuple(words.get(index, ())) for index in range(len(audio))]

    def _batches(self, sizes: Sequence[int], indices: Sequence[int]) -> list[list[int]]:
        """Indices of waveforms of `sizes` samples; those of a batch have one length for the encoder."""
        batches = of_equal_length([self._length(size) for size in sizes], self._settings.batch_size)
        return [[indices[place] for place in batch] for batch in batches]

    def _length(self, size: int) -> int:
        """Frames of log-mel that the encoder hears of a waveform of `size` samples, in whole seconds; all where they are 30."""
        whole = self._window // self._hop
        if self._settings.padding is None:
            return whole
        seconds = math.ceil(size / self.sample_rate + self._settings.padding)
        return min(whole, seconds * self.sample_rate // self._hop)

    def _hear(self, waveforms: Sequence[Tensor], start: list[int], *, stamps: bool = False) -> tuple[Any, list[list[int]]]:
        """The encoder's output, and the tokens of each waveform (none longer than the window)."""
        length = self._window // self._hop if stamps else self._length(max(waveform.numel() for waveform in waveforms))
        encoded = self._model.encode(self._view.from_array(self._features(waveforms, length)))
        prompt = start if stamps else [*start, self._first_stamp - 1]
        most = self._settings.max_new_tokens
        answers = self._model.generate(
            encoded,
            [prompt] * len(waveforms),
            beam_size=self._settings.num_beams,
            # CTranslate2 answers with half of max_length at most, and with what the start tokens leave of it.
            max_length=max(2 * most, most + len(prompt) - 1),
        )
        return encoded, [list(answer.sequences_ids[0]) for answer in answers]

    def _features(self, waveforms: Sequence[Tensor], length: int) -> np.ndarray:
        """Log-mels (batch, num_mels, frames) of waveforms padded to 30 s, which is what Whisper was trained on, or the first."""
        arrays = [waveform.detach().to("cpu", torch.float32).numpy() for waveform in waveforms]
        inputs = self._extractor(arrays, sampling_rate=self.sample_rate, return_tensors="np")
        return np.ascontiguousarray(inputs["input_features"][:, :, :length], dtype=np.float32)

    def _windows(self, waveform: Tensor, start: list[int]):
        """A recording longer than 30 s, window by window, each moved to the last time stamp of the one before.

        Yields:
            first sample, number of samples that the tokens cover, the encoder's output, and the tokens without time stamps.
        """
        first = 0
        while waveform.numel() - first >= MIN_SAMPLES:
            window = waveform[first : first + self._window]
            size = window.numel()
            if audible(window, MIN_SAMPLES):
                encoded, (tokens,) = self._hear([window], start, stamps=True)
                kept, size = self._finished(tokens, size)
                yield first, size, encoded, [token for token in kept if token < self._first_stamp]
            first += size

    def _finished(self, tokens: list[int], num_samples: int) -> tuple[list[int], int]:
        """Tokens of the segments that end within a window, and the samples up to there (as in openai/whisper's transcribe.py).

        Segments lie between time stamps. Two stamps side by side close one and open the next, which is cut off by the
        window's end unless one stamp stands last.
        """
        is_stamp = [token >= self._first_stamp for token in tokens]
        ends = [index for index in range(1, len(tokens)) if is_stamp[index - 1] and is_stamp[index]]
        if not ends or is_stamp[-2:] == [False, True]:
            return tokens, num_samples
        last = ends[-1]
        covered = round((tokens[last - 1] - self._first_stamp) * POSITION * self.sample_rate)
        return (tokens[:last], covered) if 0 < covered <= num_samples else (tokens, num_samples)

    def _align(
        self, encoded: Any, answers: Sequence[list[int]], sizes: Sequence[int], start: list[int], language: str
    ) -> list[list[HeardWord]]:
        """The words of each answer with their times; `sizes` are samples."""
        texts = [[token for token in answer if token < self._end] for answer in answers]
        if not any(texts):
            return [[] for _ in texts]
        frames = [min(max(size // self._hop, 1), self._window // self._hop) for size in sizes]
        found = self._model.align(encoded, start, texts, frames)
        return [
            self._words(tokens, result.alignments, size / self.sample_rate, language)
            for tokens, result, size in zip(texts, found, sizes, strict=True)
        ]

    def _words(self, tokens: list[int], path: Sequence[tuple[int, int]], duration: float, language: str) -> list[HeardWord]:
        """Words of tokens, by the first position of the encoder at which each token is attended to."""
        begins: dict[int, float] = {}
        for token, position in path:
            begins.setdefault(token, position * POSITION)
        words = []
        for first, last in self._spans(tokens, language):
            text = self._tokenizer.decode(tokens[first:last]).strip()
            # A mark after a word is written with it but lasts into the pause, so the word ends where the mark begins.
            said = last
            while said - 1 > first and not any(char.isalnum() for char in self._tokenizer.decode([tokens[said - 1]])):
                said -= 1
            start = min(begins.get(first, duration), duration)
            end = min(max(begins.get(said, duration), start), duration)
            if text:
                words.append(HeardWord(text=text, start=start, end=end))
        return words

    def _spans(self, tokens: list[int], language: str) -> list[tuple[int, int]]:
        """First token of each word and the one after its last; a character of several tokens is never divided."""
        spans: list[tuple[int, int]] = []
        first = 0
        for index in range(len(tokens)):
            piece = self._tokenizer.decode(tokens[first : index + 1])
            if "\N{REPLACEMENT CHARACTER}" in piece and index + 1 < len(tokens):
                continue  # part of a character
            is_new = language in UNSPACED or piece[:1].isspace() or not spans
            is_mark = not any(char.isalnum() for char in piece)
            if spans and (is_mark or not is_new):
                spans[-1] = (spans[-1][0], index + 1)
            else:
                spans.append((first, index + 1))
            first = index + 1
        return spans

    def _text(self, tokens: Sequence[int]) -> str:
        return self._tokenizer.decode([token for token in tokens if token < self._end]).strip()

    def _start(self, language: str) -> list[int]:
        """Start tokens: language and task too, unless the checkpoint is English-only."""
        start = [self._id("<|startoftranscript|>")]
        return [*start, self._id(f"<|{language}|>"), self._id("<|transcribe|>")] if self._is_multilingual else start

    @property
    def _end(self) -> int:
        """The first special token; words have smaller ids."""
        return self._id("<|endoftext|>")

    def _id(self, token: str) -> int:
        found = self._tokenizer.token_to_id(token)
        if found is None:
            raise ComponentError(f"{self._settings.model}: expected Whisper's token {token} in tokenizer.json, found none")
        return int(found)

    def _heard_languages(self) -> frozenset[str]:
        """ISO 639-1 codes: the tokens between start of transcript and translate."""
        if not self._is_multilingual:
            return frozenset({"en"})
        between = range(self._id("<|startoftranscript|>") + 1, self._id("<|translate|>"))
        return frozenset(self._tokenizer.id_to_token(index).strip("<|>") for index in between)

    def _known(self, language: str) -> str:
        return known_language(language, self._languages, self._settings.model)


def _folder(source: str, place: dict[str, str]) -> Path:
    """The folder of a checkpoint; that of a hub repository is fetched first."""
    if hf.is_local(source):
        return Path(source)
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(source, allow_patterns=list(FILES), **place))
