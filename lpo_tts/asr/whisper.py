"""Whisper (arXiv 2212.04356) by transformers: greedy or beam search, in batches; longer than 30 s window by window."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from lpo_tts import hf
from lpo_tts.asr.base import known_language
from lpo_tts.asr.whisper_greedy import GreedyDecoder, fits, start_tokens
from lpo_tts.audio import audible
from lpo_tts.batches import consecutive, map_batches
from lpo_tts.bounds import at_least, check_settings
from lpo_tts.errors import ComponentError

Dtype: TypeAlias = Literal["auto", "float32", "bfloat16", "float16"]
NAMED = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
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
        max_new_tokens: longest hypothesis of a window of 30 s, in tokens.
        revision: commit, tag or branch of a hub id; None = what the hub has now.
        dtype: in what the model computes; None is float32 on a CPU and float16 on a GPU, as in published results. `auto` is
            bfloat16 on a CPU that multiplies in it (avx512_bf16, amx_bf16, or Arm's bf16), else as None.
    """

    model: str = "openai/whisper-large-v3-turbo"
    language: str | None = None
    num_beams: int = 1
    batch_size: int = 16
    max_new_tokens: int = 220
    revision: str | None = None
    dtype: Dtype | None = None

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
            dtype = chosen_dtype(self.dtype, device)
            model = WhisperForConditionalGeneration.from_pretrained(self.model, dtype=dtype, **place)
        return LoadedWhisperRecogniser(self, model.to(device).eval(), extractor, tokenizer)


def chosen_dtype(dtype: Dtype | None, device: str) -> torch.dtype:
    """The number format that a setting means on a device."""
    if dtype is not None and dtype != "auto":
        return NAMED[dtype]
    is_gpu = torch.device(device).type == "cuda"
    if dtype == "auto" and not is_gpu and multiplies_in_bfloat16():
        return torch.bfloat16
    return torch.float16 if is_gpu else torch.float32


def multiplies_in_bfloat16() -> bool:
    """Whether this CPU has instructions for products of bfloat16; without them it is slower than float32."""
    try:
        words = set(Path("/proc/cpuinfo").read_text(errors="replace").split())
    except OSError:  # no Linux
        return False
    return bool(words & {"avx512_bf16", "amx_bf16", "bf16"})


class LoadedWhisperRecogniser:
    """The model in memory."""

    def __init__(self, settings: WhisperRecogniser, model: Any, extractor: Any, tokenizer: Any) -> None:
        self._settings, self._model, self._extractor, self._tokenizer = settings, model, extractor, tokenizer
        self.sample_rate = int(extractor.sampling_rate)
        self._greedy = GreedyDecoder(model) if settings.num_beams == 1 and fits(model) else None
        self._window = int(extractor.n_samples)  # samples of one pass: 30 s
        self._is_multilingual, self._languages = _languages(settings.model, model)
        if settings.language is not None:
            self._known(settings.language)

    @torch.inference_mode()
    def transcribe(self, audio: Sequence[Tensor], language: str = "en") -> list[str]:
        """Mono waveforms (num_samples,) float32 to hypotheses, in the checkpoint's spelling.

        Raises:
            LanguageError: the checkpoint does not hear the language.
        """
        self._known(self._settings.language or language)
        heard = [index for index, waveform in enumerate(audio) if audible(waveform, MIN_SAMPLES)]
        short = [index for index in heard if audio[index].numel() <= self._window]
        batches = consecutive(short, self._settings.batch_size)
        # Long recordings go one by one: windows are moved along each by its own time stamps.
        batches += [[index] for index in heard if audio[index].numel() > self._window]
        texts = map_batches(batches, lambda batch: self._hear([audio[index] for index in batch], language))
        return [texts.get(index, "") for index in range(len(audio))]

    def _hear(self, waveforms: Sequence[Tensor], language: str) -> list[str]:
        arrays = [waveform.detach().to("cpu", torch.float32).numpy() for waveform in waveforms]
        is_long = max(waveform.numel() for waveform in waveforms) > self._window
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
        with _quiet():
            ids = self._model.generate(
                input_features=inputs["input_features"].to(self._model.device, self._model.dtype),
                attention_mask=inputs["attention_mask"].to(self._model.device),
                return_timestamps=is_long,
                num_beams=self._settings.num_beams,
                do_sample=False,
                max_new_tokens=self._settings.max_new_tokens,
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
