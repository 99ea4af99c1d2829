"""Whisper (arXiv 2212.04356) by transformers: greedy or beam search, in batches; longer than 30 s window by window."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from lpo_tts import hf
from lpo_tts.asr.base import known_language
from lpo_tts.asr.whisper_greedy import GreedyDecoder, fits, start_tokens
from lpo_tts.audio import audible
from lpo_tts.batches import consecutive, map_batches
from lpo_tts.bounds import at_least, check_settings
from lpo_tts.errors import ComponentError

MIN_SAMPLES = 400  # one analysis window of 25 ms
ENGLISH_VOCABULARY = 51864  # tokens of the English-only checkpoints (tiny.en to medium.en); the others have one or two more
POSITIONS = 448  # of the decoder: start tokens and answer together
EXPECTED = "a Whisper checkpoint with feature extractor and tokenizer"


@dataclass(frozen=True)
class WhisperRecogniser:
    """Whisper (arXiv 2212.04356), by transformers.

    Attributes:
        model: hub id or folder of a Whisper checkpoint with its feature extractor and tokenizer.
        language: ISO 639-1 code; None takes the language of each piece of speech. English-only checkpoints hear "en" alone.
        num_beams: hypotheses kept while decoding; 1 is greedy, as in seed-tts-eval.
        batch_size: waveforms taken at once.
        max_new_tokens: longest hypothesis of a window of 30 s, in tokens; None: what the checkpoint says, mostly as many as
            the decoder has positions for.
        cut: whether the first 30 s of longer audio are all that is heard, as in scripts that give a waveform to the model
            once; else it goes on window by window. A runaway then costs nothing beyond that.
        hear_silence: whether silence goes to the model too, which makes words of it; else nothing is heard of it.
        dtype: what the model computes in; "auto": float16 on a GPU, float32 on a CPU. On a CPU with bfloat16 instructions
            (avx512_bf16, amx_bf16) "bfloat16" takes two thirds of the time; docs/performance.md says what it changes.
        revision: commit, tag or branch of a hub id; None = what the hub has now.
    """

    model: str = "openai/whisper-large-v3-turbo"
    language: str | None = None
    num_beams: int = 1
    batch_size: int = 16
    max_new_tokens: int | None = 220
    cut: bool = False
    hear_silence: bool = False
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    revision: str | None = None

    about = {"licence": "MIT or Apache-2.0, by the checkpoint (not verified)", "sample_rate": 16000}
    bounds = {
        "num_beams": at_least(1),
        "batch_size": at_least(1),
        # Four start tokens: start of transcript, language, task, no time stamps.
        "max_new_tokens": at_least(1).at_most(POSITIONS - 8),
    }

    def __post_init__(self) -> None:
        check_settings(self, "")
        hf.check_revision(self.revision)

    def load(self, device: str = "cpu") -> "LoadedWhisperRecogniser":
        """Loads the model.

        Raises:
            ComponentError: it is missing, of another kind, or does not say which languages it hears.
            LanguageError: `language` is none of them.
        """
        with hf.loading(self.model, EXPECTED, self.revision) as place:
            from transformers import AutoConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration, WhisperTokenizer

            kind = AutoConfig.from_pretrained(self.model, trust_remote_code=False, **place).model_type
            if kind != "whisper":
                raise ComponentError(f"{self.model}: expected a Whisper checkpoint, found a {kind} one")
            extractor = WhisperFeatureExtractor.from_pretrained(self.model, **place)
            tokenizer = WhisperTokenizer.from_pretrained(self.model, **place)
            chosen = torch.float16 if torch.device(device).type == "cuda" else torch.float32
            dtype = chosen if self.dtype == "auto" else getattr(torch, self.dtype)
            model = WhisperForConditionalGeneration.from_pretrained(self.model, dtype=dtype, **place)
        return LoadedWhisperRecogniser(self, model.to(device).eval(), extractor, tokenizer)


class LoadedWhisperRecogniser:
    """The model in memory."""

    def __init__(self, settings: WhisperRecogniser, model: Any, extractor: Any, tokenizer: Any) -> None:
        self._settings, self._model, self._extractor, self._tokenizer = settings, model, extractor, tokenizer
        self.sample_rate = int(extractor.sampling_rate)
        self._window = int(extractor.n_samples)  # samples of one pass: 30 s
        self._is_multilingual, self._languages = _languages(settings.model, model)
        can_be_greedy = settings.num_beams == 1 and fits(model, self._is_multilingual)
        self._greedy = GreedyDecoder(model) if can_be_greedy else None
        if settings.language is not None:
            self._known(settings.language)

    @torch.inference_mode()
    def transcribe(self, audio: Sequence[Tensor], language: str = "en") -> list[str]:
        """Mono waveforms (num_samples,) float32 to hypotheses, in the checkpoint's spelling.

        Raises:
            LanguageError: the checkpoint does not hear the language.
        """
        self._known(self._settings.language or language)
        heard = [index for index, waveform in enumerate(audio) if self._heard(waveform)]
        short = [index for index in heard if audio[index].numel() <= self._window or self._settings.cut]
        batches = consecutive(short, self._settings.batch_size)
        # Long recordings go one by one: windows are moved along each by its own time stamps.
        batches += [[index] for index in heard if index not in set(short)]
        texts = map_batches(batches, lambda batch: self._hear([audio[index] for index in batch], language))
        return [texts.get(index, "") for index in range(len(audio))]

    def _heard(self, waveform: Tensor) -> bool:
        """Whether a waveform is given to the model."""
        if self._settings.hear_silence:
            return bool(waveform.numel()) and bool(torch.isfinite(waveform).all())
        return audible(waveform, MIN_SAMPLES)

    def _hear(self, waveforms: Sequence[Tensor], language: str) -> list[str]:
        arrays = [waveform.detach().to("cpu", torch.float32).numpy() for waveform in waveforms]
        is_long = not self._settings.cut and max(waveform.numel() for waveform in waveforms) > self._window
        shape = {"truncation": False, "padding": "longest"} if is_long else {}
        spoken = self._spoken(self._settings.language or language)
        if self._greedy is not None and not is_long:
            start = start_tokens(self._model.generation_config, spoken.get("language"))
            # One by one: a batch of padded windows does not fit the caches of a CPU.
            spectra = [self._extractor(one, sampling_rate=self.sample_rate, return_tensors="pt") for one in arrays]
            features = torch.cat([one["input_features"] for one in spectra]).to(self._model.dtype)
            ids = self._greedy.decode(features, start, self._settings.max_new_tokens)
            return [text.strip() for text in self._tokenizer.batch_decode(ids, skip_special_tokens=True)]
        inputs = self._extractor(arrays, sampling_rate=self.sample_rate, return_tensors="pt", return_attention_mask=True, **shape)
        longest = self._settings.max_new_tokens
        with _quiet():
            ids = self._model.generate(
                input_features=inputs["input_features"].to(self._model.device, self._model.dtype),
                attention_mask=inputs["attention_mask"].to(self._model.device),
                return_timestamps=is_long,
                num_beams=self._settings.num_beams,
                do_sample=False,
                **({} if longest is None else {"max_new_tokens": longest}),
                **spoken,
            )
        return [text.strip() for text in self._tokenizer.batch_decode(ids, skip_special_tokens=True)]

    def _spoken(self, language: str) -> dict[str, str]:
        """What `generate` needs to be told of language and task: nothing for English-only checkpoints."""
        known = self._known(language)
        return {"language": known, "task": "transcribe"} if self._is_multilingual else {}

    def _known(self, language: str) -> str:
        """The code as the checkpoint spells it; raises LanguageError for a language that it does not hear."""
        return known_language(language, self._languages, self._settings.model)


def _languages(name: str, model: Any) -> tuple[bool, frozenset[str]]:
    """Whether a checkpoint is multilingual, and the ISO 639-1 codes that it hears."""
    config = model.generation_config
    is_multilingual = getattr(config, "is_multilingual", None)
    if is_multilingual is None:
        is_multilingual = model.config.vocab_size != ENGLISH_VOCABULARY
    if not is_multilingual:
        return False, frozenset({"en"})
    known = getattr(config, "lang_to_id", None)
    if not known:
        raise ComponentError(
            f"{name}: expected the languages of the checkpoint (lang_to_id) in generation_config.json, found none; "
            "copy that file from the checkpoint it was trained from"
        )
    return True, frozenset(token.strip("<|>") for token in known)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps transformers from warning at every batch that max_new_tokens goes before the checkpoint's max_length."""
    logger = logging.getLogger("transformers.generation.utils")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
