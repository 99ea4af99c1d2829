"""Qwen3-TTS-Tokenizer-12Hz: 24 kHz, 12.5 frames a second of 16 codebooks of 2048, read from the published checkpoint."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from lpo_tts import hf
from lpo_tts.batches import map_batches, of_equal_length, of_like_length
from lpo_tts.bounds import at_least, check_settings
from lpo_tts.codecs.base import check_audio, check_codes
from lpo_tts.codecs.qwen3_tts_config import TokenizerShape, read_shape
from lpo_tts.codecs.qwen3_tts_decoder import Decoder
from lpo_tts.codecs.qwen3_tts_encoder import Encoder
from lpo_tts.codes import Codes
from lpo_tts.errors import ComponentError

EXPECTED = "a Qwen3-TTS-Tokenizer-12Hz checkpoint (config.json, model.safetensors)"


@dataclass(frozen=True)
class Qwen3TtsCodec:
    """Qwen3-TTS-Tokenizer-12Hz: 24 kHz, 12.5 frames a second of 16 codebooks of 2048.

    Attributes:
        model: hub id or folder of the checkpoint; of a Qwen3-TTS model, its folder `speech_tokenizer`.
        batch_size: recordings taken at once.
        chunk_frames: frames that go through the convolutions at once, which bounds memory; no number depends on it.
        encoder_window: whether the encoder's attention ends at the `sliding_window` of config.json (10 s), as in Mimi. The
            published package (qwen-tts 0.1.1, without flash attention) lets it hear everything before, and so does False.
            The two differ on recordings longer than the window alone.
        revision: commit, tag or branch of a hub id; None = what the hub has now.
    """

    model: str = "Qwen/Qwen3-TTS-Tokenizer-12Hz"
    batch_size: int = 4
    chunk_frames: int = 100
    encoder_window: bool = False
    revision: str | None = None

    about = {"licence": "Apache-2.0", "sample_rate": 24000, "tokens_per_second": 200}
    bounds = {"batch_size": at_least(1), "chunk_frames": at_least(1)}

    def __post_init__(self) -> None:
        check_settings(self, "")
        hf.check_revision(self.revision)

    def load(self, device: str = "cpu") -> "LoadedQwen3TtsCodec":
        """Reads the checkpoint; raises ComponentError when it is missing, of another kind, or lacks or exceeds a tensor."""
        with hf.loading(self.model, EXPECTED, self.revision) as place:
            from safetensors.torch import load_file
            from transformers.utils.hub import cached_file

            config, weights = (Path(cached_file(self.model, name, **place)) for name in ("config.json", "model.safetensors"))
            shape = read_shape(json.loads(config.read_text(encoding="utf-8")), str(config))
            state = load_file(weights)
        with torch.device("meta"):
            network = Qwen3TtsNetwork(shape, self.encoder_window)
        check_state(network.state_dict(), state, str(weights))
        network.load_state_dict({name: tensor.float() for name, tensor in state.items()}, assign=True)
        return LoadedQwen3TtsCodec(network.to(device).eval(), self.batch_size, self.chunk_frames)


class Qwen3TtsNetwork(nn.Module):
    """Both halves; the names of their parameters are those of the published checkpoint."""

    def __init__(self, shape: TokenizerShape, encoder_window: bool) -> None:
        super().__init__()
        self.shape = shape
        self.encoder = Encoder(shape.encoder, shape.encoder.sliding_window if encoder_window else None)
        self.decoder = Decoder(shape.decoder)


def check_state(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], where: str) -> None:
    """Raises ComponentError, with every name in one line, unless two state-dicts have the same names and shapes."""
    faults = {
        "lacks": sorted(expected.keys() - found.keys()),
        "exceeds what is expected by": sorted(found.keys() - expected.keys()),
        "has in another shape": [
            f"{name} {tuple(found[name].shape)} (expected {tuple(tensor.shape)})"
            for name, tensor in expected.items()
            if name in found and found[name].shape != tensor.shape
        ],
    }
    told = "; ".join(f"it {what} {', '.join(names)}" for what, names in faults.items() if names)
    if told:
        raise ComponentError(f"{where}: expected the {len(expected)} tensors that its config.json describes, but {told}")


class LoadedQwen3TtsCodec:
    """The codec in memory; what a recording becomes does not depend on its neighbours in a batch."""

    def __init__(self, network: Qwen3TtsNetwork, batch_size: int, chunk_frames: int) -> None:
        self.network, self._batch_size, self._chunk = network, batch_size, chunk_frames
        shape = network.shape
        self.hop = shape.hop
        self.input_sample_rate = self.sample_rate = shape.sample_rate
        self.frame_rate = shape.sample_rate / shape.hop
        self.codebook_sizes = (shape.decoder.codebook_size,) * shape.decoder.num_quantizers

    @property
    def _device(self) -> torch.device:
        return self.network.decoder.pre_conv.conv.weight.device

    @torch.inference_mode()
    def encode(self, audio: Sequence[Tensor]) -> list[Codes]:
        """Mono waveforms (num_samples,) float32 at 24 kHz to codes of 16 levels, one frame per begun 1920 samples.

        Only waveforms of equal length share a batch: padding would change the last codes. The published package pads, so
        its codes of a batch differ from those of the same recordings one by one; these equal the latter.

        Raises:
            ContractError: as `check_audio`.
        """
        check_audio(audio)

        def encoded(batch: list[int]) -> list[Codes]:
            waves = torch.stack([audio[index] for index in batch]).to(self._device, torch.float32)
            codes = self.network.encoder(waves, len(self.codebook_sizes), self._chunk).cpu()
            return [Codes(tuple(level.clone() for level in one)) for one in codes]

        found = map_batches(of_equal_length([wave.numel() for wave in audio], self._batch_size), encoded)
        return [found[index] for index in range(len(audio))]

    @torch.inference_mode()
    def decode(self, codes: Sequence[Codes]) -> list[Tensor]:
        """Codes to mono waveforms (num_frames * 1920,) float32 at 24 kHz, on the CPU.

        Codes of unequal length share a batch: nothing in the decoder hears what comes later. The published package decodes
        more than 300 frames in pieces that hear 25 frames before them, of the hundreds that its transformer reaches back;
        here all frames are heard, so that longer audio differs from the package's at and behind its seams.

        Raises:
            ContractError: as `check_codes`.
        """
        check_codes(codes, self.codebook_sizes)
        frames = [item.num_frames for item in codes]

        def decoded(batch: list[int]) -> list[Tensor]:
            ids = torch.zeros(len(batch), len(self.codebook_sizes), frames[batch[-1]], dtype=torch.int64)
            for row, index in enumerate(batch):
                ids[row, :, : frames[index]] = torch.stack(codes[index].levels)
            audio = self.network.decoder(ids.to(self._device), self._chunk).cpu()
            return [audio[row, : frames[index] * self.hop].clone() for row, index in enumerate(batch)]

        found = map_batches(of_like_length(frames, self._batch_size), decoded)
        return [found[index] for index in range(len(codes))]
