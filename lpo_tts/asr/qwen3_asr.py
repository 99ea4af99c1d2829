"""Qwen3-ASR (a speech encoder before a language model of the Qwen3 family) by transformers: greedy, in batches."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lpo_tts import hf
from lpo_tts.asr.base import known_language
from lpo_tts.audio import audible
from lpo_tts.batches import map_batches, of_equal_length
from lpo_tts.bounds import at_least, check_settings
from lpo_tts.errors import ComponentError

MIN_SAMPLES = 400  # one analysis window of 25 ms
EXPECTED = "a Qwen3-ASR checkpoint of transformers with its processor"


@dataclass(frozen=True)
class Qwen3ASRRecogniser:
    """Qwen3-ASR: a speech encoder before a language model, by transformers; 30 languages, Chinese and English among them.

    The language is forced by the beginning of the answer (`language Chinese<asr_text>`), as its authors do. Repetitions
    are left as the model writes them: its authors' own decoding shortens what is repeated twenty times or more, which would
    hide a runaway from the judge.

    Attributes:
        model: hub id or folder of a checkpoint in the form of transformers.
        language: ISO 639-1 code; None takes the language of each piece of speech.
        batch_size: waveforms taken at once; those of one batch fill the same number of seconds.
        max_new_tokens: longest hypothesis, in tokens.
        revision: commit, tag or branch of a hub id; None = what the hub has now.
    """

    model: str = "Qwen/Qwen3-ASR-1.7B-hf"
    language: str | None = None
    batch_size: int = 8
    max_new_tokens: int = 512
    revision: str | None = None

    about = {"licence": "Apache-2.0 (not verified)", "sample_rate": 16000}
    bounds = {"batch_size": at_least(1), "max_new_tokens": at_least(1)}

    def __post_init__(self) -> None:
        check_settings(self, "")
        hf.check_revision(self.revision)

    def load(self, device: str = "cpu") -> "LoadedQwen3ASRRecogniser":
        """Loads the model, in bfloat16 on a GPU.

        Raises:
            ComponentError: it is missing or of another kind.
            LanguageError: the model does not hear `language`.
        """
        with hf.loading(self.model, EXPECTED, self.revision) as place:
            from transformers import AutoConfig, Qwen3ASRForConditionalGeneration, Qwen3ASRProcessor

            kind = AutoConfig.from_pretrained(self.model, trust_remote_code=False, **place).model_type
            if kind != "qwen3_asr":
                raise ComponentError(f"{self.model}: expected a Qwen3-ASR checkpoint, found a {kind} one")
            processor = Qwen3ASRProcessor.from_pretrained(self.model, **place)
            dtype = torch.bfloat16 if torch.device(device).type == "cuda" else torch.float32
            model = Qwen3ASRForConditionalGeneration.from_pretrained(self.model, dtype=dtype, **place)
        return LoadedQwen3ASRRecogniser(self, model.eval().to(device), processor)


class LoadedQwen3ASRRecogniser:
    """The model in memory."""

    def __init__(self, settings: Qwen3ASRRecogniser, model: Any, processor: Any) -> None:
        from transformers.models.qwen3_asr.processing_qwen3_asr import LANGUAGE_CODE_TO_NAME

        self._settings, self._model, self._processor = settings, model, processor
        self.sample_rate = int(processor.feature_extractor.sampling_rate)
        # The features of a batch are made of audio padded to whole chunks of the encoder (1 s), so that those of a waveform
        # do not depend on the longest one beside it.
        self._chunk = 2 * int(model.config.audio_config.n_window) * int(processor.feature_extractor.hop_length)
        self._languages = frozenset(LANGUAGE_CODE_TO_NAME)
        if settings.language is not None:
            self._known(settings.language)

    @torch.inference_mode()
    def transcribe(self, audio: Sequence[Tensor], language: str = "en") -> list[str]:
        """Mono waveforms (num_samples,) to hypotheses, in the checkpoint's spelling.

        Raises:
            LanguageError: the model does not hear the language.
        """
        known = self._known(self._settings.language or language)
        heard = [index for index, wave in enumerate(audio) if audible(wave, MIN_SAMPLES)]
        chunks = [math.ceil(audio[index].numel() / self._chunk) for index in heard]
        batches = [[heard[place] for place in batch] for batch in of_equal_length(chunks, self._settings.batch_size)]
        texts = map_batches(batches, lambda batch: self._hear([audio[index] for index in batch], known))
        return [texts.get(index, "") for index in range(len(audio))]

    def _hear(self, waves: list[Tensor], language: str) -> list[str]:
        arrays = [wave.detach().to("cpu", torch.float32).numpy() for wave in waves]
        inputs = self._processor.apply_transcription_request(
            audio=arrays,
            language=language,
            processor_kwargs={"audio_kwargs": {"sampling_rate": self.sample_rate, "pad_to_multiple_of": self._chunk}},
        ).to(self._model.device, self._model.dtype)
        answers = self._model.generate(**inputs, do_sample=False, num_beams=1, max_new_tokens=self._settings.max_new_tokens)
        new = answers[:, inputs["input_ids"].shape[1] :]
        return [text.strip() for text in self._processor.tokenizer.batch_decode(new, skip_special_tokens=True)]

    def _known(self, language: str) -> str:
        return known_language(language, self._languages, self._settings.model)
