"""EnCodec (arXiv 2210.13438): 24 kHz mono and 48 kHz stereo, 2 to 32 codebooks of 1024, by transformers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from lpo_tts import hf
from lpo_tts.bounds import above, at_least, check_settings
from lpo_tts.codecs.base import LoadedCodec
from lpo_tts.codecs.chunks import Chunked, FramedCodec, Framing
from lpo_tts.errors import ComponentError

EXPECTED = "an EnCodec checkpoint of transformers (config.json, model.safetensors)"


@dataclass(frozen=True)
class EncodecCodec(Chunked):
    """EnCodec (arXiv 2210.13438) at 24 kHz, 2 to 32 codebooks of 1024, 75 frames a second; at 48 kHz by its checkpoint.

    At 24 kHz chunks are near but not exact: the recurrent layers remember what was said before the context, though little.

    At 48 kHz the checkpoint is stereo, cuts a recording into seconds that overlap by 10 ms, and divides each by its
    loudness. Mono is put on both channels, and the two that come out are averaged. The codes are those of the package
    `encodec`. They do not hold the loudness, so every second comes out with the same, `loudness`, a pause of a second too.
    With `scale: recording` a recording is divided by one loudness, and pauses stay quiet; then codes are others than the
    package's. There are 150 frames for every 0.99 s but the last, and the settings `chunk` and `context` have no effect.

    Attributes:
        model: hub id or folder of an `EncodecModel` checkpoint; facebook/encodec_48khz is the stereo one.
        bandwidth: bit rate in kbit/s, one of the checkpoint's; at 24 kHz 1.5, 3, 6, 12, 24 are 2, 4, 8, 16, 32 codebooks,
            at 48 kHz 3, 6, 12, 24 are 2, 4, 8, 16.
        batch_size: recordings, or chunks of them, taken at once.
        revision: commit, tag or branch of a hub id; None = what the hub has now.
        scale: at 48 kHz, what is divided by its own loudness before it is encoded: every chunk, or the recording as a whole.
        loudness: at 48 kHz, the level of what is decoded, in dB relative to full scale.
    """

    model: str = "facebook/encodec_24khz"
    bandwidth: float = 6.0
    batch_size: int = 16
    revision: str | None = None
    scale: Literal["chunk", "recording"] = "chunk"
    loudness: float = -23.0

    bounds = {"bandwidth": above(0), "batch_size": at_least(1), "loudness": at_least(-60).at_most(0)}
    about = {
        "licence": "not verified (the package encodec 0.1.1 is under CC BY-NC 4.0)",
        "sample_rate": 24000,
        "tokens_per_second": 600,
    }

    def __post_init__(self) -> None:
        check_settings(self, "")
        hf.check_revision(self.revision)

    def load(self, device: str = "cpu") -> LoadedCodec:
        """Loads the model; raises ComponentError when it is missing, of another kind, or lacks the bandwidth."""
        with hf.loading(self.model, EXPECTED, self.revision) as place:
            from transformers import AutoConfig, EncodecModel

            config = AutoConfig.from_pretrained(self.model, trust_remote_code=False, **place)
        if config.model_type != "encodec":
            raise ComponentError(f"{self.model}: expected an EnCodec checkpoint, found a {config.model_type} one")
        if config.chunk_length_s is None and (config.audio_channels != 1 or config.normalize):
            raise ComponentError(
                f"{self.model}: expected mono EnCodec without loudness scales, or one with chunks, found no chunks, "
                f"{config.audio_channels} channel(s), normalize={config.normalize}; "
                "use facebook/encodec_24khz or facebook/encodec_48khz"
            )
        if self.bandwidth not in config.target_bandwidths:
            known = ", ".join(str(value) for value in config.target_bandwidths)
            raise ComponentError(f"{self.model}: expected a bandwidth of {known} kbit/s, found {self.bandwidth}")
        with hf.loading(self.model, EXPECTED, self.revision) as place:
            model = EncodecModel.from_pretrained(self.model, dtype=torch.float32, **place)
        model = model.to(device).eval()
        if config.chunk_length_s is None:
            return LoadedEncodecCodec(model, self)
        from lpo_tts.codecs.encodec_chunks import LoadedChunkedEncodec

        return LoadedChunkedEncodec(model, self.model, self.bandwidth, self.batch_size, self.scale, self.loudness)


class LoadedEncodecCodec(FramedCodec):
    """The codec in memory, for checkpoints that take a recording as a whole."""

    def __init__(self, model: Any, settings: EncodecCodec) -> None:
        hop = math.prod(model.config.upsampling_ratios)
        num_codebooks = model.quantizer.get_num_quantizers_for_bandwidth(settings.bandwidth)
        super().__init__(
            settings,
            Framing(hop, hop, (1,) * num_codebooks),
            rate=int(model.config.sampling_rate),
            sizes=(int(model.config.codebook_size),) * num_codebooks,
            batch_size=settings.batch_size,
        )
        self._model, self._bandwidth = model, settings.bandwidth

    def _encode(self, waves: Tensor) -> Sequence[Tensor]:
        codes = self._model.encode(waves[:, None].to(self._model.device), bandwidth=self._bandwidth).audio_codes[0]
        return list(codes.unbind(1))

    def _decode(self, levels: Sequence[Tensor], first: int) -> Tensor:
        codes = torch.stack(list(levels), 1)[None].to(self._model.device)
        return self._model.decode(codes, audio_scales=[None]).audio_values[:, 0]
