"""DAC (arXiv 2306.06546): 16, 24 or 44.1 kHz, 9 to 32 codebooks of 1024, by transformers; the codec of Dia and OuteTTS."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lpo_tts import hf
from lpo_tts.bounds import at_least, check_settings
from lpo_tts.codecs.chunks import Chunked, FramedCodec, Framing
from lpo_tts.errors import ComponentError

EXPECTED = "a DAC checkpoint of transformers (config.json, model.safetensors)"


@dataclass(frozen=True)
class DacCodec(Chunked):
    """DAC at 44.1 kHz, 9 codebooks of 1024, 86 frames a second; 16 and 24 kHz by their checkpoints.

    A recording is filled up with silence to a whole frame, as its authors do. At 16 and 24 kHz the decoder says
    8 samples fewer than its frames have: zeros stand in for them at the end.

    Chunks change nothing but rounding, from a context of 0.5 s on: convolutions hear no further.

    Attributes:
        model: hub id or folder of a `DacModel` checkpoint; descript/dac_16khz and descript/dac_24khz are the others.
        num_codebooks: how many of the checkpoint's are used, the first ones; None = all.
        batch_size: recordings of equal length, or chunks of them, taken at once.
        revision: commit, tag or branch of a hub id; None = what the hub has now.
    """

    model: str = "descript/dac_44khz"
    num_codebooks: int | None = None
    batch_size: int = 16
    revision: str | None = None

    bounds = {"num_codebooks": at_least(1), "batch_size": at_least(1)}
    about = {"licence": "not verified", "sample_rate": 44100, "tokens_per_second": 775.2}

    def __post_init__(self) -> None:
        check_settings(self, "")
        hf.check_revision(self.revision)

    def load(self, device: str = "cpu") -> "LoadedDacCodec":
        """Loads the model; raises ComponentError when it is missing, of another kind, or has too few codebooks."""
        with hf.loading(self.model, EXPECTED, self.revision) as place:
            from transformers import AutoConfig, DacModel

            config = AutoConfig.from_pretrained(self.model, trust_remote_code=False, **place)
        if config.model_type != "dac":
            raise ComponentError(f"{self.model}: expected a DAC checkpoint, found a {config.model_type} one")
        if self.num_codebooks is not None and self.num_codebooks > config.n_codebooks:
            raise ComponentError(
                f"{self.model}: expected at most {config.n_codebooks} as `num_codebooks`, found {self.num_codebooks}"
            )
        with hf.loading(self.model, EXPECTED, self.revision) as place:
            model = DacModel.from_pretrained(self.model, dtype=torch.float32, **place)
        return LoadedDacCodec(model.to(device).eval(), self)


class LoadedDacCodec(FramedCodec):
    """The codec in memory."""

    def __init__(self, model: Any, settings: DacCodec) -> None:
        config = model.config
        hop, count = math.prod(config.downsampling_ratios), settings.num_codebooks or int(config.n_codebooks)
        super().__init__(
            settings,
            Framing(hop, hop, (1,) * count),
            rate=int(config.sampling_rate),
            sizes=(int(config.codebook_size),) * count,
            batch_size=settings.batch_size,
        )
        self._model = model

    def _encode(self, waves: Tensor) -> Sequence[Tensor]:
        filled = torch.nn.functional.pad(waves, (0, -waves.shape[-1] % self._framing.hop_in))
        codes = self._model.encode(filled[:, None].to(self._model.device), n_quantizers=len(self.rates)).audio_codes
        return list(codes.unbind(1))

    def _decode(self, levels: Sequence[Tensor], first: int) -> Tensor:
        codes = torch.stack(list(levels), 1).to(self._model.device)
        return self._model.decode(audio_codes=codes).audio_values.reshape(len(codes), -1)
