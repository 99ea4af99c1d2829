"""What X-Codec2 and NeuCodec share: a semantic and an acoustic encoder, one codebook of 65,536, 50 frames a second."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lpo_tts import hf
from lpo_tts.codecs.chunks import Chunked, FramedCodec, Framing
from lpo_tts.errors import ComponentError


def load_semantic(source: str, revision: str | None, kind: str, expected: str, class_name: str) -> tuple[Any, Any]:
    """Model and feature extractor of a checkpoint in transformers' format.

    Args:
        source: folder or hub id.
        revision: of a hub id.
        kind: model type that config.json must name.
        expected: in words, what the checkpoint is and which packages it needs.
        class_name: of the model in transformers, which older releases lack.

    Raises:
        ComponentError: the checkpoint cannot be read, or is of another kind.
    """
    with hf.loading(source, expected, revision) as place:
        import transformers

        config = transformers.AutoConfig.from_pretrained(source, trust_remote_code=False, **place)
    if config.model_type != kind:
        raise ComponentError(f"{source}: expected a checkpoint of type {kind}, found a {config.model_type} one")
    with hf.loading(source, expected, revision) as place:
        extractor = transformers.AutoFeatureExtractor.from_pretrained(source, trust_remote_code=False, **place)
        model = getattr(transformers, class_name).from_pretrained(source, dtype=torch.float32, **place)
    return model, extractor


class LoadedSemanticCodec(FramedCodec):
    """Such a codec in memory. With `pad`, a recording is filled up with silence to a whole frame before it is encoded."""

    def __init__(self, model: Any, extractor: Any, settings: Chunked, batch_size: int, pad: bool) -> None:
        config = model.config
        rate_in = int(extractor.sampling_rate)
        rate_out = int(getattr(config, "output_sampling_rate", rate_in))
        hop = int(extractor.hop_length)
        super().__init__(
            settings,
            Framing(hop, hop * rate_out // rate_in, (1,)),
            rate=rate_in,
            rate_out=rate_out,
            sizes=(math.prod(int(level) for level in config.quantization_levels),),
            batch_size=batch_size,
        )
        self.model, self.extractor, self._pad = model, extractor, pad

    def _encode(self, waves: Tensor) -> Sequence[Tensor]:
        if self._pad:
            waves = torch.nn.functional.pad(waves, (0, -waves.shape[-1] % self._framing.hop_in))
        inputs = self.extractor(audio=list(waves.numpy()), sampling_rate=self.input_sample_rate, return_tensors="pt")
        return [self.model.encode(**inputs.to(self.model.device)).audio_codes[:, 0]]

    def _decode(self, levels: Sequence[Tensor], first: int) -> Tensor:
        return self.model.decode(levels[0][:, None].to(self.model.device)).audio_values.reshape(len(levels[0]), -1)
