"""One file at a time, as the scripts of seed-tts-eval go: read, resample, hear, embed file and voice, ask the other metrics."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lpo_tts import audio
from lpo_tts.asr.whisper import WhisperRecogniser
from lpo_tts.metrics.base import LoadedMetric, Metric, Speech
from lpo_tts.metrics.wer import LoadedWordErrorRate, WordErrorRate
from lpo_tts.records import Judgement
from lpo_tts.steps.judged_table import Item

READING = "reading"


@dataclass(frozen=True)
class PlainWhisper:
    """Whisper as its model card uses it: features of one file, `generate`, text."""

    settings: WhisperRecogniser

    def load(self, device: str = "cpu") -> "LoadedPlainWhisper":
        """Loads processor and model."""
        return LoadedPlainWhisper(self.settings)


class LoadedPlainWhisper:
    """Processor and model in memory, in float32."""

    sample_rate = 16_000

    def __init__(self, settings: WhisperRecogniser) -> None:
        from transformers import WhisperForConditionalGeneration, WhisperProcessor

        self._limit = settings.max_new_tokens
        self._processor: Any = WhisperProcessor.from_pretrained(settings.model)
        self._model: Any = WhisperForConditionalGeneration.from_pretrained(settings.model, dtype=torch.float32).eval()

    @torch.inference_mode()
    def transcribe(self, audio: Sequence[Tensor], language: str = "en") -> list[str]:
        """One waveform at 16 kHz after the other."""
        return [self._one(wave, language) for wave in audio]

    def _one(self, wave: Tensor, language: str) -> str:
        inputs = self._processor(wave.numpy(), sampling_rate=16_000, return_tensors="pt", return_attention_mask=True)
        multilingual = getattr(self._model.generation_config, "is_multilingual", True)
        ids = self._model.generate(
            inputs.input_features,
            attention_mask=inputs.attention_mask,
            do_sample=False,
            num_beams=1,
            max_new_tokens=self._limit,
            **({"language": language, "task": "transcribe"} if multilingual else {}),
        )
        return self._processor.batch_decode(ids, skip_special_tokens=True)[0].strip()


class OneByOne:
    """The models in memory, and the judging of a list of files one by one."""

    def __init__(self, metrics: Mapping[str, Metric], root: Path) -> None:
        self._root = root
        self._metrics = {name: _plain(metric) for name, metric in metrics.items()}

    def __call__(self, items: Sequence[Item]) -> tuple[dict[str, dict[str, Judgement]], dict[str, float]]:
        """Judgements by metric and item, and seconds by stage."""
        found: dict[str, dict[str, Judgement]] = {name: {} for name in self._metrics}
        spent = dict.fromkeys([READING, *self._metrics], 0.0)
        for item in items:
            start = time.perf_counter()
            wave, rate = audio.read(item.path)
            voice, voice_rate = audio.read(self._root / item.prompt.voice.audio) if item.prompt.voice else (None, None)
            spent[READING] += time.perf_counter() - start
            # Without a name of the voice nobody knows it again: its recording is embedded for every file.
            speech = Speech(
                id=item.id,
                audio=wave,
                sample_rate=rate,
                text=item.prompt.text,
                language=item.prompt.language,
                voice=voice,
                voice_sample_rate=voice_rate,
            )
            for name, metric in self._metrics.items():
                start = time.perf_counter()
                found[name][item.id] = metric.judge([speech])[0]
                spent[name] += time.perf_counter() - start
        return found, spent


def _plain(metric: Any) -> LoadedMetric:
    """A metric in memory, with Whisper in its plain form and in float32, which is what others compute in."""
    if isinstance(metric, WordErrorRate) and isinstance(metric.recogniser, WhisperRecogniser):
        plain = PlainWhisper(replace(metric.recogniser)).load()
        return LoadedWordErrorRate(plain, metric.normaliser, metric.batch_size)
    return metric.load("cpu")
