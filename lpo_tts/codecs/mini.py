"""The mini codec: 16 kHz speech as 50 codes a second of one codebook; log-mel in, inverse STFT out (after Vocos)."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from lpo_tts import hf
from lpo_tts.batches import map_batches, of_like_length
from lpo_tts.bounds import at_least, check_settings
from lpo_tts.codecs.base import check_audio, check_codes
from lpo_tts.codes import Codes
from lpo_tts.errors import ComponentError
from lpo_tts.mel import mel_triangles

N_FFT = 640  # samples; four hops, so that squared Hann windows add up to a constant
HOP = 160  # samples: 100 spectra a second
STRIDE = 2  # spectra per frame
LOG_FLOOR = 1e-5


@dataclass(frozen=True)
class MiniCodecShape:
    """Sizes of the networks, as in the checkpoint's config.json."""

    sample_rate: int = 16000
    num_mels: int = 80
    encoder_channels: int = 160
    decoder_channels: int = 256
    decoder_blocks: int = 3  # before the upsampling; after it one fewer, since each costs twice as much there
    codebook_size: int = 1024
    code_dim: int = 32


@dataclass(frozen=True)
class MiniCodec:
    """The mini codec at 16 kHz, one codebook of 1024, 50 frames a second.

    Attributes:
        model: folder with its config.json and model.safetensors.
        batch_size: recordings taken at once.
    """

    model: str
    batch_size: int = 32

    bounds = {"batch_size": at_least(1)}
    about = {"licence": "Apache-2.0", "sample_rate": 16000, "tokens_per_second": 50.0}

    def __post_init__(self) -> None:
        check_settings(self, "")

    def load(self, device: str = "cpu") -> "LoadedMiniCodec":
        """Reads the checkpoint; raises ComponentError when it is missing or does not fit."""
        return LoadedMiniCodec(read_network(hf.folder(self.model)).to(device), self.batch_size)


class Norm(nn.Module):
    """Root-mean-square norm over the channels of (batch, channel, frame): no frame sees another one."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Shape kept."""
        return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-6) * self.gain


class Block(nn.Module):
    """Residual convolution of width 3, then a pointwise one."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.norm = Norm(channels)
        self.wide = nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.point = nn.Conv1d(channels, channels, 1)
        nn.init.normal_(self.point.weight, std=0.02)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """`mask` is 0 behind the end of a recording, so that each sees zeros there as if it were alone."""
        return x + self.point(F.gelu(self.wide(_masked(self.norm(x), mask))))


def _masked(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else x * mask


class MiniCodecNetwork(nn.Module):
    """Encoder, codebook and decoder; training losses live with the program that trained it."""

    def __init__(self, shape: MiniCodecShape) -> None:
        super().__init__()
        self.shape = shape
        width, wide = shape.encoder_channels, shape.decoder_channels
        self.mel_in = nn.Conv1d(shape.num_mels, width, 5, padding=2)
        self.encoder_fast = nn.ModuleList([Block(width)])
        self.down = nn.Conv1d(width, width, 2 * STRIDE, stride=STRIDE, padding=STRIDE // 2)
        self.encoder_slow = nn.ModuleList([Block(width, 1), Block(width, 2)])
        self.to_code = nn.Conv1d(width, shape.code_dim, 1)
        self.from_code = nn.Conv1d(shape.code_dim, wide, 5, padding=2)
        dilations = [3**power for power in (0, 1, 0, 1)]
        self.decoder_slow = nn.ModuleList([Block(wide, dilations[n % 4]) for n in range(shape.decoder_blocks)])
        self.up = nn.Conv1d(wide, wide * STRIDE, 3, padding=1)
        self.decoder_fast = nn.ModuleList([Block(wide, dilations[n % 4]) for n in range(shape.decoder_blocks - 1)])
        self.out_norm = Norm(wide)
        bins = N_FFT // 2 + 1
        self.head = nn.Conv1d(wide, 2 * bins, 1)
        nn.init.constant_(self.head.bias[:bins], -2.0)  # ours: start near the loudness of speech
        self.register_buffer("codebook", torch.randn(shape.codebook_size, shape.code_dim))
        self.register_buffer("mels", mel_filters(shape.sample_rate, N_FFT, shape.num_mels), persistent=False)
        self.register_buffer("window", torch.hann_window(N_FFT), persistent=False)

    def log_mel(self, audio: Tensor) -> Tensor:
        """(batch, num_samples), a multiple of 320 samples, to (batch, num_mels, num_samples / 160), about zero mean."""
        spectrum = torch.stft(audio, N_FFT, HOP, window=self.window, pad_mode="constant", return_complex=True).abs()
        return (torch.log(torch.matmul(self.mels, spectrum[..., :-1]) + LOG_FLOOR) + 5.0) / 3.0

    def encode(self, audio: Tensor, mask: Tensor | None = None) -> Tensor:
        """(batch, num_samples) to latents (batch, code_dim, frame); `mask` is (batch, 1, spectrum)."""
        x = self.mel_in(_masked(self.log_mel(audio), mask))
        for block in self.encoder_fast:
            x = block(x, mask)
        x = self.down(_masked(x, mask))
        slow = None if mask is None else mask[..., ::STRIDE]
        for block in self.encoder_slow:
            x = block(x, slow)
        return self.to_code(x)

    def quantise(self, latents: Tensor) -> Tensor:
        """Latents (batch, code_dim, frame) to the nearest codes (batch, frame) int64."""
        flat = latents.float().transpose(1, 2)
        return (self.codebook.square().sum(1) - 2 * flat @ self.codebook.T).argmin(-1)

    def decode(self, latents: Tensor, mask: Tensor | None = None) -> Tensor:
        """Latents (batch, code_dim, frame) to audio (batch, frame * 320); `mask` is (batch, 1, spectrum)."""
        slow = None if mask is None else mask[..., ::STRIDE]
        x = self.from_code(_masked(latents, slow))
        for block in self.decoder_slow:
            x = block(x, slow)
        x = self.up(_masked(x, slow))
        batch, channels, frames = x.shape
        x = x.view(batch, channels // STRIDE, STRIDE, frames).transpose(2, 3).reshape(batch, channels // STRIDE, -1)
        for block in self.decoder_fast:
            x = block(x, mask)
        return self.synthesis(self.head(self.out_norm(x)).float(), mask)

    def synthesis(self, head: Tensor, mask: Tensor | None = None) -> Tensor:
        """Log-magnitudes and phases (batch, 2 * 321, spectrum) to audio by overlap and add (Vocos, arXiv 2306.00814)."""
        magnitude, phase = head.transpose(1, 2).chunk(2, dim=-1)
        magnitude = magnitude.clamp(max=5.0).exp()
        if mask is not None:
            magnitude = magnitude * mask.transpose(1, 2)
        waves = torch.fft.irfft(torch.polar(magnitude, phase), n=N_FFT) * (self.window * (2 / 3))
        batch, spectra, _ = waves.shape
        overlap = N_FFT // HOP
        parts = waves.view(batch, spectra, overlap, HOP)
        audio = waves.new_zeros(batch, spectra + overlap - 1, HOP)
        for part in range(overlap):
            audio[:, part : part + spectra] += parts[:, :, part]
        start = (N_FFT - HOP) // 2
        return audio.view(batch, -1)[:, start : start + spectra * HOP]


class LoadedMiniCodec:
    """The codec in memory; what a recording becomes does not depend on its neighbours in a batch."""

    def __init__(self, network: MiniCodecNetwork, batch_size: int) -> None:
        self.network = network.eval()
        self.batch_size = batch_size
        self.input_sample_rate = self.sample_rate = network.shape.sample_rate
        self.frame_rate = self.sample_rate / (HOP * STRIDE)
        self.codebook_sizes = (network.shape.codebook_size,)

    @torch.inference_mode()
    def encode(self, audio: Sequence[Tensor]) -> list[Codes]:
        """Mono waveforms (num_samples,) float32 at 16 kHz to codes, one per begun 320 samples.

        Raises:
            ContractError: as `check_audio`.
        """
        samples = HOP * STRIDE
        check_audio(audio)
        frames = [math.ceil(wave.numel() / samples) for wave in audio]

        def encoded(batch: list[int]) -> list[Codes]:
            waves = torch.zeros(len(batch), frames[batch[-1]] * samples)
            for row, index in enumerate(batch):
                waves[row, : audio[index].numel()] = audio[index]
            waves = waves.to(self.network.codebook.device)
            codes = self.network.quantise(self.network.encode(waves, self._mask([frames[index] for index in batch])))
            return [Codes((codes[row, : frames[index]].cpu().clone(),)) for row, index in enumerate(batch)]

        found = map_batches(of_like_length(frames, self.batch_size), encoded)
        return [found[index] for index in range(len(audio))]

    @torch.inference_mode()
    def decode(self, codes: Sequence[Codes]) -> list[Tensor]:
        """Codes to mono waveforms (num_frames * 320,) float32 at 16 kHz, on the CPU.

        Raises:
            ContractError: as `check_codes`.
        """
        check_codes(codes, self.codebook_sizes)
        frames = [item.num_frames for item in codes]

        def decoded(batch: list[int]) -> list[Tensor]:
            ids = torch.zeros(len(batch), frames[batch[-1]], dtype=torch.int64)
            for row, index in enumerate(batch):
                ids[row, : frames[index]] = codes[index].levels[0]
            latents = F.embedding(ids.to(self.network.codebook.device), self.network.codebook).transpose(1, 2)
            audio = self.network.decode(latents, self._mask([frames[index] for index in batch])).cpu()
            return [audio[row, : frames[index] * HOP * STRIDE].clone() for row, index in enumerate(batch)]

        found = map_batches(of_like_length(frames, self.batch_size), decoded)
        return [found[index] for index in range(len(codes))]

    def _mask(self, frames: Sequence[int]) -> Tensor:
        device = self.network.codebook.device
        ends = torch.tensor(frames, device=device) * STRIDE
        return (torch.arange(int(ends.max()), device=device) < ends[:, None]).float()[:, None]


def read_network(folder: Path) -> MiniCodecNetwork:
    """The network of a checkpoint folder, in float32; raises ComponentError when it is missing or does not fit."""
    config, weights = folder / "config.json", folder / "model.safetensors"
    for path in (config, weights):
        if not path.is_file():
            raise ComponentError(f"{path}: expected a mini codec checkpoint (config.json, model.safetensors), found no such file")
    try:
        settings = json.loads(config.read_text(encoding="utf-8"))
        names = {field.name for field in fields(MiniCodecShape)}
        shape = MiniCodecShape(**{key: value for key, value in settings.items() if key in names})
        network = MiniCodecNetwork(shape)
        network.load_state_dict({name: tensor.float() for name, tensor in load_file(weights).items()})
    except (ValueError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        raise ComponentError(f"{folder}: not a mini codec checkpoint that this version can read: {error}") from error
    return network


def config_of(shape: MiniCodecShape) -> dict:
    """What config.json holds."""
    return {"model_type": "lpo_tts_mini_codec", **asdict(shape)}


def mel_filters(sample_rate: int, n_fft: int, num_mels: int) -> Tensor:
    """Triangular filters (num_mels, n_fft / 2 + 1) from 0 Hz to half the sample rate, mel scale of HTK, each of sum one."""
    filters = mel_triangles(sample_rate, n_fft, num_mels)
    return (filters / filters.sum(1, keepdim=True).clamp(min=1e-8)).float()
