"""SNAC (arXiv 2410.14411): levels of 1, 2 and 4 codes a frame at 24 kHz, by the package `snac`; the codec of Orpheus."""

import json
import math
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lpo_tts import hf
from lpo_tts.bounds import at_least, check_settings
from lpo_tts.codecs.chunks import Chunked, FramedCodec, Framing
from lpo_tts.errors import ComponentError

EXPECTED = "a SNAC checkpoint (config.json, pytorch_model.bin or model.safetensors) and the package snac (extra `snac`)"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
BLOCK = 16  # frames of noise drawn at a time


@dataclass(frozen=True)
class SnacCodec(Chunked):
    """SNAC at 24 kHz, three codebooks of 4096 with 1, 2 and 4 codes a frame of 2048 samples; needs the extra `snac`.

    The checkpoints at 32 and 44 kHz have four levels. The decoder adds noise to what it says. It is drawn from `seed` and
    the place in the recording alone, so the same codes always give the same audio, whatever else is decoded.

    Chunks change nothing at 24 kHz but rounding, from a context of 0.5 s on: convolutions hear no further. The windows of
    attention at 32 and 44 kHz start where chunks start, so the same holds there.

    At 32 and 44 kHz attention takes four frames at once. A recording that ends between is followed by zeros when encoded,
    as in the package, and by its last frame again when decoded, where the package refuses.

    Attributes:
        model: hub id or folder of the checkpoint; its weights are read as tensors only, and never run as code.
        seed: of the decoder's noise.
        batch_size: recordings, or chunks of them, taken at once.
        revision: commit, tag or branch of a hub id; None = what the hub has now.
    """

    model: str = "hubertsiuzdak/snac_24khz"
    seed: int = 0
    batch_size: int = 16
    revision: str | None = None

    bounds = {"seed": at_least(0), "batch_size": at_least(1)}
    about = {"licence": "MIT (the package; weights not verified)", "sample_rate": 24000, "tokens_per_second": 82.03}

    def __post_init__(self) -> None:
        check_settings(self, "")
        hf.check_revision(self.revision)

    def load(self, device: str = "cpu") -> "LoadedSnacCodec":
        """Loads the model; raises ComponentError when it is missing, does not fit, or cannot be read as tensors alone."""
        with hf.loading(self.model, EXPECTED, self.revision) as place:
            config_path, weights_path = _files(self.model, place)
            config = json.loads(config_path.read_text(encoding="utf-8"))
            from snac import SNAC  # type: ignore[attr-defined]

            model = SNAC(**config)
            _fill(model, _weights(weights_path), weights_path)
        return LoadedSnacCodec(model.to(device).eval(), self)


def _files(source: str, place: dict[str, str]) -> tuple[Path, Path]:
    """config.json and the weights, from a folder or the hub; raises ComponentError or what the hub says."""
    if hf.hub_id(source) is None:
        folder = Path(source)
        found = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
        if found is None or not (folder / "config.json").is_file():
            raise ComponentError(f"{source}: expected {EXPECTED}, found {sorted(path.name for path in folder.iterdir())[:9]}")
        return folder / "config.json", found
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError

    config = Path(hf_hub_download(source, "config.json", **place))
    cached = try_to_load_from_cache(source, WEIGHTS[1], **place)
    if isinstance(cached, str):
        return config, Path(cached)
    try:
        return config, Path(hf_hub_download(source, WEIGHTS[0], **place))
    except EntryNotFoundError:  # the published checkpoints are older than safetensors
        return config, Path(hf_hub_download(source, WEIGHTS[1], **place))


def _weights(path: Path) -> object:
    """The tensors of a file; raises ComponentError for what would run code when it is read."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ComponentError(f"{path}: expected a file of tensors alone: {hf.NO_TENSORS}") from error


def _fill(model: nn.Module, weights: object, path: Path) -> None:
    """Puts the weights into the model; raises ComponentError naming the first tensor that does not fit."""
    if not isinstance(weights, dict):
        raise ComponentError(f"{path}: expected the weights that its config.json tells of, found a {type(weights).__name__}")
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    found = {name: tuple(getattr(value, "shape", ())) for name, value in weights.items()}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            told = f"{name} of {expected.get(name, 'no tensor')}, found {found.get(name, 'none')}"
            raise ComponentError(f"{path}: expected the weights that its config.json tells of: {told}; fetch both anew")
    model.load_state_dict(weights)


class LoadedSnacCodec(FramedCodec):
    """SNAC in memory."""

    def __init__(self, model: Any, settings: SnacCodec) -> None:
        strides, hop = [int(stride) for stride in model.vq_strides], int(model.hop_length)
        slowest = strides[0]
        if any(slowest % stride for stride in strides) or max(strides) != slowest:
            raise ComponentError(f"{settings.model}: expected vq_strides that divide the first, found {strides}")
        frame, window = slowest * hop, model.attn_window_size
        super().__init__(
            settings,
            Framing(frame, frame, tuple(slowest // stride for stride in strides), math.lcm(slowest, window or 1) // slowest),
            rate=int(model.sampling_rate),
            sizes=(int(model.codebook_size),) * len(strides),
            batch_size=settings.batch_size,
        )
        self._model = model
        self._noise = _seed_noise(model, settings.seed, slowest)

    def _encode(self, waves: Tensor) -> Sequence[Tensor]:
        return self._model.encode(waves[:, None].to(_device(self._model)))

    def _decode(self, levels: Sequence[Tensor], first: int) -> Tensor:
        missing = -levels[0].shape[-1] % self._framing.unit
        padded = [_repeat_last(level, rate, missing) for level, rate in zip(levels, self.rates, strict=True)]
        for noise in self._noise:
            noise.first = first
        return self._model.decode([level.to(_device(self._model)) for level in padded])[:, 0]


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def _repeat_last(level: Tensor, rate: int, times: int) -> Tensor:
    """(batch, frames * rate) with the last frame said `times` more."""
    return torch.cat([level, level[:, -rate:].repeat(1, times)], 1) if times else level


def _seed_noise(model: Any, seed: int, slowest: int) -> list["SeededNoise"]:
    """Puts noise that knows its place where the decoder has noise of torch's global generator; returns the new modules."""
    from snac.layers import DecoderBlock, NoiseBlock

    found: list[SeededNoise] = []
    per_frame = slowest
    for layer, block in enumerate(one for one in model.decoder.model if isinstance(one, DecoderBlock)):
        per_frame *= int(model.decoder_rates[layer])
        for place, part in enumerate(block.block):
            if isinstance(part, NoiseBlock):
                found.append(SeededNoise(part.linear, seed, len(found), per_frame))
                block.block[place] = found[-1]
    return found


class SeededNoise(nn.Module):
    """SNAC's noise, `x + noise * linear(x)`, as a function of seed, layer and place in the recording.

    A block of `BLOCK` frames has a generator of its own, so that the noise of any place can be had without that before it.
    """

    def __init__(self, linear: nn.Module, seed: int, layer: int, per_frame: int) -> None:
        super().__init__()
        self.linear = linear
        self.first = 0  # number of the first frame that `forward` is given
        self._seed, self._layer, self._per_frame = seed, layer, per_frame

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, frames * per_frame), shape kept."""
        start = self.first * self._per_frame
        noise = torch.from_numpy(self._noise(start, start + x.shape[-1])).to(x.device, x.dtype)
        return x + noise * self.linear(x)

    def _noise(self, start: int, stop: int) -> np.ndarray:
        """Standard normal values start..stop, (stop - start,) float32."""
        size = BLOCK * self._per_frame
        blocks = range(start // size, -(-stop // size))
        drawn = [np.random.default_rng([self._seed, self._layer, block]).standard_normal(size, np.float32) for block in blocks]
        return np.concatenate(drawn)[start - blocks.start * size : stop - blocks.start * size]
