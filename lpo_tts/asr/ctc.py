"""Any CTC recogniser that transformers knows (HuBERT, wav2vec 2.0, WavLM, Wav2Vec2-BERT): greedy decoding in batches."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lpo_tts import hf
from lpo_tts.asr import greedy
from lpo_tts.asr.base import HeardWord
from lpo_tts.audio import audible
from lpo_tts.batches import map_batches, of_like_length
from lpo_tts.bounds import at_least, check_settings
from lpo_tts.errors import ComponentError, ConfigError

MIN_DURATION = 0.05  # seconds; under two analysis windows of 25 ms these models have nothing to hear or fail
EXPECTED = "a CTC checkpoint of transformers with feature extractor and tokenizer"


@dataclass(frozen=True)
class CTCRecogniser:
    """Any CTC recogniser that transformers knows (HuBERT, wav2vec 2.0, WavLM, Wav2Vec2-BERT).

    A checkpoint does not say which language it was fine-tuned on, so none is refused: give it speech of its own language.

    Attributes:
        model: hub id or folder of an `AutoModelForCTC` checkpoint with feature extractor and tokenizer.
        batch_size: waveforms of like length taken at once; a checkpoint without attention mask takes one at a time.
        revision: commit, tag or branch of a hub id; None = what the hub has now.
    """

    model: str = "facebook/hubert-large-ls960-ft"
    batch_size: int = 16
    revision: str | None = None

    about = {"licence": "of the checkpoint (not verified)", "sample_rate": 16000}
    bounds = {"batch_size": at_least(1)}

    def __post_init__(self) -> None:
        check_settings(self, "")
        hf.check_revision(self.revision)

    def load(self, device: str = "cpu") -> "LoadedCTCRecogniser":
        """Loads the model in float32; raises ComponentError when it is missing or has no trained CTC head."""
        with hf.loading(self.model, EXPECTED, self.revision) as place:
            from transformers import AutoFeatureExtractor, AutoModelForCTC, AutoTokenizer

            extractor = AutoFeatureExtractor.from_pretrained(self.model, trust_remote_code=False, **place)
            tokenizer = AutoTokenizer.from_pretrained(self.model, trust_remote_code=False, **place)
            # float32 said aloud: transformers 5 takes the stored type, and half precision is slow or absent on CPUs.
            net, report = AutoModelForCTC.from_pretrained(
                self.model, dtype=torch.float32, output_loading_info=True, trust_remote_code=False, **place
            )
        absent = sorted(key for key in report["missing_keys"] if key.startswith("lm_head"))
        if absent:
            raise ComponentError(
                f"{self.model}: no weights for {', '.join(absent)}, so it was never fine-tuned for CTC; "
                "choose a fine-tuned checkpoint such as facebook/hubert-large-ls960-ft"
            )
        return LoadedCTCRecogniser(net.eval().to(device), extractor, tokenizer, self.batch_size)


class LoadedCTCRecogniser:
    """A CTC model of transformers in memory."""

    def __init__(self, net, extractor, tokenizer, batch_size: int) -> None:
        self.net = net
        self.extractor = extractor
        self.tokenizer = tokenizer
        self.sample_rate = int(extractor.sampling_rate)
        # Models with a group norm over time (wav2vec2-base) have no mask and hear padding: one waveform at a time.
        masked = bool(getattr(extractor, "return_attention_mask", False)) and hasattr(net, "_get_feature_vector_attention_mask")
        self.batch_size = batch_size if masked else 1
        # <s>, </s>, <unk> are heard as nothing; the tokenizer's own skip_special_tokens drops the blank too, before repeats are
        # merged, and would make "thre" of "three".
        kept = (tokenizer.pad_token_id, getattr(tokenizer, "word_delimiter_token_id", None))  # the blank, and the space
        self.silent_ids = torch.tensor([index for index in tokenizer.all_special_ids if index not in kept], dtype=torch.long)

    def transcribe(self, audio: Sequence[Tensor], language: str = "en") -> list[str]:
        """Mono waveforms (num_samples,) to hypotheses in the checkpoint's own spelling (often upper case)."""
        return [" ".join(text.split()) for text in self.tokenizer.batch_decode(self._best(audio))]

    def transcribe_timed(self, audio: Sequence[Tensor], language: str = "en") -> list[tuple[HeardWord, ...]]:
        """Mono waveforms (num_samples,) to words with their times, in multiples of a frame; () for silence.

        Raises:
            ConfigError: the tokenizer has no token for the space between words.
        """
        space = getattr(self.tokenizer, "word_delimiter_token", None)
        if space is None:
            raise ConfigError(
                f"{type(self.tokenizer).__name__}: expected a tokenizer with a token between words (word_delimiter_token), "
                "found none; words have no times without it"
            )
        found = []
        for wave, frames in zip(audio, self._best(audio), strict=True):
            frame = wave.numel() / self.sample_rate / max(len(frames), 1)
            runs = greedy.runs(frames, self.tokenizer.pad_token_id)
            pieces = [(self.tokenizer.convert_ids_to_tokens(run.id), run) for run in runs]
            found.append(greedy.words(pieces, space, frame))
        return found

    @torch.inference_mode()
    def _best(self, audio: Sequence[Tensor]) -> list[list[int]]:
        """The best symbol of every frame inside each waveform; none for silence."""
        shortest = math.ceil(MIN_DURATION * self.sample_rate)
        heard = [index for index, wave in enumerate(audio) if audible(wave, shortest)]
        batches = of_like_length([wave.numel() for wave in audio], self.batch_size, heard)
        found = map_batches(batches, lambda batch: self._hear([audio[index] for index in batch]))
        return [found.get(index, []) for index in range(len(audio))]

    def _hear(self, waves: list[Tensor]) -> list[list[int]]:
        arrays = [wave.detach().to("cpu", torch.float32).numpy() for wave in waves]
        inputs = self.extractor(arrays, sampling_rate=self.sample_rate, padding=True, return_tensors="pt").to(self.net.device)
        logits = self.net(**inputs).logits
        ids = logits.argmax(-1)
        ids = ids.masked_fill(torch.isin(ids, self.silent_ids.to(ids.device)), self.tokenizer.pad_token_id)  # CTC's blank
        if self.batch_size == 1:
            return ids.tolist()
        inside = self.net._get_feature_vector_attention_mask(logits.shape[1], inputs["attention_mask"]).bool()
        return [row[own].tolist() for row, own in zip(ids, inside, strict=True)]
