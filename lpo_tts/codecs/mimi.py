"""Mimi (arXiv 2410.00037): 24 kHz, 12.5 frames a second, up to 32 codebooks of 2048, by transformers; the codec of CSM."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lpo_tts import hf
from lpo_tts.bounds import at_least, check_settings
from lpo_tts.codecs.chunks import Chunked, FramedCodec, Framing
from lpo_tts.errors import ComponentError

EXPECTED = "a Mimi checkpoint of transformers (config.json, model.safetensors)"


@dataclass(frozen=True)
class MimiCodec(Chunked):
    """Mimi at 24 kHz, 12.5 frames a second, 8 of its 32 codebooks of 2048; the first one is semantic.

    Chunks are exact where the context covers what attention hears, which is 10 s per layer and so 80 s in the published
    checkpoint. With less they are near, since the far past weighs little.

    Attributes:
        model: hub id or folder of a `MimiModel` checkpoint.
        num_codebooks: how many of the checkpoint's are used, the first ones; CSM has 32, Moshi 8.
        batch_size: recordings of equal length, or chunks of them, taken at once.
        revision: commit, tag or branch of a hub id; None = what the hub has now.
    """

    model: str = "kyutai/mimi"
    num_codebooks: int = 8
    batch_size: int = 16
    revision: str | None = None

    bounds = {"num_codebooks": at_least(1), "batch_size": at_least(1)}
    about = {"licence": "not verified", "sample_rate": 24000, "tokens_per_second": 100.0}

    def __post_init__(self) -> None:
        check_settings(self, "")
        hf.check_revision(self.revision)

    def load(self, device: str = "cpu") -> "LoadedMimiCodec":
        """Loads the model; raises ComponentError when it is missing, of another kind, or has too few codebooks."""
        with hf.loading(self.model, EXPECTED, self.revision) as place:
            from transformers import AutoConfig, MimiModel

            config = AutoConfig.from_pretrained(self.model, trust_remote_code=False, **place)
        if config.model_type != "mimi" or config.audio_channels != 1:
            channels = getattr(config, "audio_channels", 1)
            raise ComponentError(
                f"{self.model}: expected a mono Mimi checkpoint, found a {config.model_type} one of {channels} channel(s)"
            )
        if not config.num_semantic_quantizers <= self.num_codebooks <= config.num_quantizers:
            raise ComponentError(
                f"{self.model}: expected {config.num_semantic_quantizers} to {config.num_quantizers} as `num_codebooks`, "
                f"found {self.num_codebooks}"
            )
        with hf.loading(self.model, EXPECTED, self.revision) as place:
            model = MimiModel.from_pretrained(self.model, dtype=torch.float32, **place)
        return LoadedMimiCodec(model.to(device).eval(), self)


class LoadedMimiCodec(FramedCodec):
    """The codec in memory."""

    def __init__(self, model: Any, settings: MimiCodec) -> None:
        hop, count = int(model.config.frame_size), settings.num_codebooks
        super().__init__(
            settings,
            Framing(hop, hop, (1,) * count),
            rate=int(model.config.sampling_rate),
            sizes=(int(model.config.codebook_size),) * count,
            batch_size=settings.batch_size,
        )
        self._model = model

    def _encode(self, waves: Tensor) -> Sequence[Tensor]:
        codes = self._model.encode(waves[:, None].to(self._model.device), num_quantizers=len(self.rates)).audio_codes
        return list(codes.unbind(1))

    def _decode(self, levels: Sequence[Tensor], first: int) -> Tensor:
        return self._model.decode(torch.stack(list(levels), 1).to(self._model.device)).audio_values[:, 0]
