"""Encoder of the Qwen3-TTS tokenizer, which is Mimi's (arXiv 2410.00037): convolutions, transformer, residual codebooks."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lpo_tts.codecs.qwen3_tts_config import EncoderShape
from lpo_tts.codecs.qwen3_tts_layers import Attention, CausalConv, Layer, rotations


class Residual(nn.Module):
    """Residual pair of convolutions: a dilated one into fewer channels, a pointwise one back."""

    def __init__(self, channels: int, shape: EncoderShape, dilation: int) -> None:
        super().__init__()
        hidden = channels // shape.compress
        wide = CausalConv(channels, hidden, shape.residual_kernel_size, dilation=dilation)
        self.block = nn.ModuleList([nn.ELU(), wide, nn.ELU(), CausalConv(hidden, channels, 1)])
        self.reach = wide.reach

    def forward(self, x: Tensor) -> Tensor:
        """Shape kept."""
        y = x
        for part in self.block:
            y = part(y)
        return x + y


class Convolutions(nn.Module):
    """Waveform (batch, 1, num_samples) to latents (batch, hidden_size, ceil(num_samples / hop))."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        channels = shape.num_filters
        layers: list[nn.Module] = [CausalConv(1, channels, shape.kernel_size)]
        self.reach, self.hop = shape.kernel_size - 1, 1  # samples
        for ratio in reversed(shape.upsampling_ratios):
            for number in range(shape.num_residual_layers):
                layers.append(Residual(channels, shape, shape.dilation_growth_rate**number))
                self.reach += layers[-1].reach * self.hop
            layers += [nn.ELU(), CausalConv(channels, 2 * channels, 2 * ratio, stride=ratio)]
            self.reach += ratio * self.hop
            self.hop, channels = self.hop * ratio, 2 * channels
        layers += [nn.ELU(), CausalConv(channels, shape.hidden_size, shape.last_kernel_size)]
        self.reach += (shape.last_kernel_size - 1) * self.hop
        self.layers = nn.ModuleList(layers)

    def forward(self, audio: Tensor, chunk: int) -> Tensor:
        """Takes `chunk` latents at once, each chunk behind as much audio as its first latent hears: nothing changes."""
        context = math.ceil(self.reach / self.hop)
        latents = []
        for start in range(0, math.ceil(audio.shape[-1] / self.hop), chunk):
            first = max(0, start - context)
            x = audio[..., first * self.hop : (start + chunk) * self.hop]
            for layer in self.layers:
                x = layer(x)
            latents.append(x[..., start - first :])
        return torch.cat(latents, -1)


class FeedForward(nn.Module):
    """Two linear maps with GELU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden, bias=False), nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Shape kept."""
        return self.fc2(F.gelu(self.fc1(x)))


class EncoderTransformer(nn.Module):
    """Causal transformer over (batch, time, channel)."""

    def __init__(self, shape: EncoderShape, window: int | None) -> None:
        super().__init__()
        width, heads, shared = shape.hidden_size, shape.num_attention_heads, shape.num_key_value_heads
        self.head_dim, self.theta = shape.head_dim, shape.rope_theta
        self.layers = nn.ModuleList(
            Layer(
                width,
                Attention(width, heads, shared, shape.head_dim, window),
                FeedForward(width, shape.intermediate_size),
                (nn.LayerNorm(width, shape.norm_eps), nn.LayerNorm(width, shape.norm_eps)),
            )
            for _ in range(shape.num_hidden_layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Shape kept."""
        cos, sin = rotations(x.shape[1], self.head_dim, self.theta, x.device)
        for layer in self.layers:
            x = layer(x, cos, sin)
        return x


class Codebook(nn.Module):
    """Vectors held as sums over the training data and how many fell to each."""

    def __init__(self, size: int, dimension: int) -> None:
        super().__init__()
        self.initialized = nn.Buffer(torch.ones(1))
        self.cluster_usage = nn.Buffer(torch.ones(size))
        self.embed_sum = nn.Buffer(torch.zeros(size, dimension))

    def vectors(self) -> Tensor:
        """(size, dimension)."""
        return self.embed_sum / self.cluster_usage.clamp(min=1e-5)[:, None]


class Level(nn.Module):
    """One level of a residual quantiser."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        self.codebook = Codebook(shape.codebook_size, shape.codebook_dim)


class ResidualQuantiser(nn.Module):
    """Levels that each quantise what those before it left over."""

    def __init__(self, shape: EncoderShape, levels: int) -> None:
        super().__init__()
        width, dimension = shape.hidden_size, shape.vector_quantization_hidden_dimension
        self.input_proj = nn.Conv1d(width, dimension, 1, bias=False)
        self.output_proj = nn.Conv1d(dimension, width, 1, bias=False)  # of no use here, but in the checkpoint
        self.layers = nn.ModuleList(Level(shape) for _ in range(levels))

    def forward(self, latents: Tensor, levels: int) -> list[Tensor]:
        """Latents (batch, channel, frame) to the nearest codes (batch, frame) of the first levels."""
        rest = self.input_proj(latents).transpose(1, 2)
        found = []
        for level in self.layers[:levels]:
            vectors = level.codebook.vectors()
            codes = torch.cdist(rest.flatten(0, 1), vectors).argmin(-1).view(rest.shape[:2])
            found.append(codes)
            rest = rest - F.embedding(codes, vectors)
        return found


class SplitQuantiser(nn.Module):
    """The first level (of meaning) apart from the others (of sound): both quantise the same latents."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        self.semantic_residual_vector_quantizer = ResidualQuantiser(shape, 1)
        self.acoustic_residual_vector_quantizer = ResidualQuantiser(shape, shape.num_quantizers - 1)

    def forward(self, latents: Tensor, levels: int) -> Tensor:
        """Latents (batch, channel, frame) to codes (batch, levels, frame) int64."""
        first = self.semantic_residual_vector_quantizer(latents, 1)
        return torch.stack([*first, *self.acoustic_residual_vector_quantizer(latents, levels - 1)], 1)


class Encoder(nn.Module):
    """Waveform to codes."""

    def __init__(self, shape: EncoderShape, window: int | None) -> None:
        super().__init__()
        width = shape.hidden_size
        self.encoder = Convolutions(shape)
        self.encoder_transformer = EncoderTransformer(shape, window)
        self.downsample = CausalConv(width, width, 4, stride=2, bias=False, mode="replicate")
        self.quantizer = SplitQuantiser(shape)

    def forward(self, audio: Tensor, levels: int, chunk: int) -> Tensor:
        """(batch, num_samples) to codes (batch, levels, ceil(num_samples / hop)) int64; `chunk` in frames."""
        latents = self.encoder(audio[:, None], 2 * chunk)
        latents = self.encoder_transformer(latents.transpose(1, 2)).transpose(1, 2)
        return self.quantizer(self.downsample(latents), levels)
