"""Parakeet (FastConformer with a CTC head, NVIDIA) by transformers: greedy, in batches, with word times."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lpo_tts import hf
from lpo_tts.asr import greedy
from lpo_tts.asr.base import HeardWord, known_language, primary_language
from lpo_tts.audio import audible
from lpo_tts.batches import map_batches, of_like_length
from lpo_tts.bounds import at_least, check_settings
from lpo_tts.errors import ComponentError, ConfigError

MIN_DURATION = 0.1  # seconds; features are normalised over time, which a few frames do not allow
CLASSES = {"parakeet_ctc": "ParakeetForCTC"}
EXPECTED = "a Parakeet checkpoint of transformers with its processor"
WORD = "▁"  # SentencePiece's mark at the beginning of a word


@dataclass(frozen=True)
class ParakeetRecogniser:
    """Parakeet (FastConformer with a CTC head, NVIDIA), by transformers.

    It cannot be told the language: a checkpoint of several languages chooses by itself, word by word.

    Attributes:
        model: hub id or folder of a checkpoint of transformers.
        languages: ISO 639-1 codes that the checkpoint hears, which it does not say itself; any other is refused.
        batch_size: waveforms of like length taken at once.
        revision: commit, tag or branch of a hub id; None = what the hub has now.
    """

    model: str = "nvidia/parakeet-ctc-1.1b"
    languages: tuple[str, ...] = ("en",)
    batch_size: int = 16
    revision: str | None = None

    about = {"licence": "CC-BY-4.0 (not verified)", "sample_rate": 16000}
    bounds = {"batch_size": at_least(1)}

    def __post_init__(self) -> None:
        """Raises ConfigError for no languages, a wrong batch size or revision."""
        check_settings(self, "")
        hf.check_revision(self.revision)
        if not self.languages:
            raise ConfigError("languages: expected at least one ISO 639-1 code that the checkpoint hears, found none")

    def load(self, device: str = "cpu") -> "LoadedParakeetRecogniser":
        """Loads the model in float32; raises ComponentError when it is missing or of another kind."""
        with hf.loading(self.model, EXPECTED, self.revision) as place:
            import transformers

            kind = transformers.AutoConfig.from_pretrained(self.model, trust_remote_code=False, **place).model_type
            if kind not in CLASSES:
                raise ComponentError(f"{self.model}: expected a Parakeet checkpoint ({', '.join(CLASSES)}), found a {kind} one")
            processor = transformers.ParakeetProcessor.from_pretrained(self.model, **place)
            net = getattr(transformers, CLASSES[kind]).from_pretrained(self.model, dtype=torch.float32, **place)
        return LoadedParakeetRecogniser(self, net.eval().to(device), processor)


class LoadedParakeetRecogniser:
    """The model in memory."""

    def __init__(self, settings: ParakeetRecogniser, net: Any, processor: Any) -> None:
        self._settings, self._net = settings, net
        self._extractor, self._tokenizer = processor.feature_extractor, processor.tokenizer
        self.sample_rate = int(self._extractor.sampling_rate)
        encoder = net.config.encoder_config
        self._samples = int(encoder.subsampling_factor * self._extractor.hop_length)  # of a frame of the encoder
        self._longest = self._samples * (int(encoder.max_position_embeddings) - 1)  # samples of one pass: 400 s
        self._silent = {net.config.pad_token_id, *self._tokenizer.all_special_ids}  # CTC's blank is the pad token
        self._languages = frozenset(primary_language(one) for one in settings.languages)

    def transcribe(self, audio: Sequence[Tensor], language: str = "en") -> list[str]:
        """Mono waveforms (num_samples,) to hypotheses, in the checkpoint's spelling.

        Raises:
            LanguageError: the checkpoint does not hear the language.
        """
        return [self._text([run.id for run in runs]) for runs in self._listen(audio, language)]

    def transcribe_timed(self, audio: Sequence[Tensor], language: str = "en") -> list[tuple[HeardWord, ...]]:
        """As `transcribe`, word by word; times are multiples of a frame (0.08 s)."""
        frame = self._samples / self.sample_rate
        found = []
        for wave, runs in zip(audio, self._listen(audio, language), strict=True):
            duration = wave.numel() / self.sample_rate
            words: list[HeardWord] = []
            for own in self._divided(runs):
                text = self._text([run.id for run in own])
                start = min(own[0].first * frame, duration)
                if text:
                    words.append(HeardWord(text=text, start=start, end=max(start, min(own[-1].end * frame, duration))))
            found.append(tuple(words))
        return found

    def _divided(self, runs: Sequence[greedy.Run]) -> list[list[greedy.Run]]:
        """Tokens put together to words: each begins at a token with SentencePiece's mark."""
        words: list[list[greedy.Run]] = []
        for run in runs:
            if not words or str(self._tokenizer.convert_ids_to_tokens(run.id)).startswith(WORD):
                words.append([])
            words[-1].append(run)
        return words

    @torch.inference_mode()
    def _listen(self, audio: Sequence[Tensor], language: str) -> list[list[greedy.Run]]:
        """The tokens of each waveform, and the frames they were heard in; what is longer than one pass goes in pieces."""
        known_language(language, self._languages, self._settings.model)
        shortest = int(MIN_DURATION * self.sample_rate)
        pieces = [
            (index, first, wave[first : first + self._longest])
            for index, wave in enumerate(audio)
            if audible(wave, shortest)
            for first in range(0, wave.numel(), self._longest)
        ]
        chosen = [place for place, (_, _, piece) in enumerate(pieces) if audible(piece, shortest)]
        batches = of_like_length([piece.numel() for _, _, piece in pieces], self._settings.batch_size, chosen)
        heard = map_batches(batches, lambda batch: self._hear([pieces[place][2] for place in batch]))
        found: list[list[greedy.Run]] = [[] for _ in audio]
        for place in chosen:
            index, first, _ = pieces[place]
            late = first // self._samples
            found[index] += [greedy.Run(run.id, run.first + late, run.end + late) for run in heard[place]]
        return found

    def _hear(self, waves: list[Tensor]) -> list[list[greedy.Run]]:
        arrays = [wave.detach().to("cpu", torch.float32).numpy() for wave in waves]
        inputs = self._extractor(arrays, sampling_rate=self.sample_rate, return_attention_mask=True, return_tensors="pt")
        answer = self._net.generate(**inputs.to(self._net.device))
        # The best token of every frame; frames past the end are blank.
        rows = [greedy.runs(row, self._net.config.pad_token_id) for row in answer.tolist()]
        return [[run for run in row if run.id not in self._silent] for row in rows]

    def _text(self, ids: list[int]) -> str:
        return " ".join(self._tokenizer.decode(ids, group_tokens=False).split())
