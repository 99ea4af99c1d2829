"""Decoder of the Qwen3-TTS tokenizer: codebooks, transformer with a sliding window, ConvNeXt and snake upsampling."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lpo_tts.codecs.qwen3_tts_config import DecoderShape
from lpo_tts.codecs.qwen3_tts_layers import Attention, CausalConv, CausalUpsampling, Layer, Snake, rotations

KERNEL = 7
DILATIONS = (1, 3, 9)


class Codebook(nn.Module):
    """Vectors held as sums over the training data and how many fell to each."""

    def __init__(self, size: int, dimension: int) -> None:
        super().__init__()
        self.cluster_usage = nn.Parameter(torch.ones(size))
        self.embedding_sum = nn.Parameter(torch.zeros(size, dimension))

    def forward(self, codes: Tensor) -> Tensor:
        """Codes (batch, frame) to vectors (batch, frame, dimension)."""
        return F.embedding(codes, self.embedding_sum / self.cluster_usage.clamp(min=1e-5)[:, None])


class Level(nn.Module):
    """One level of a residual quantiser."""

    def __init__(self, size: int, dimension: int) -> None:
        super().__init__()
        self._codebook = Codebook(size, dimension)

    def forward(self, codes: Tensor) -> Tensor:
        """As its codebook."""
        return self._codebook(codes)


class Levels(nn.Module):
    """The levels of a residual quantiser, whose vectors add up."""

    def __init__(self, count: int, size: int, dimension: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Level(size, dimension) for _ in range(count))

    def forward(self, codes: Tensor) -> Tensor:
        """Codes (batch, level, frame) to vectors (batch, dimension, frame)."""
        total = self.layers[0](codes[:, 0])
        for number in range(1, len(self.layers)):
            total = total + self.layers[number](codes[:, number])
        return total.transpose(1, 2)


class ResidualQuantiser(nn.Module):
    """Levels between two projections, of which decoding needs the second."""

    def __init__(self, count: int, shape: DecoderShape) -> None:
        super().__init__()
        width, dimension = shape.codebook_dim, shape.codebook_dim // 2
        self.input_proj = nn.Conv1d(width, dimension, 1, bias=False)
        self.output_proj = nn.Conv1d(dimension, width, 1, bias=False)
        self.vq = Levels(count, shape.codebook_size, dimension)

    def forward(self, codes: Tensor) -> Tensor:
        """Codes (batch, level, frame) to (batch, codebook_dim, frame)."""
        return self.output_proj(self.vq(codes))


class SplitQuantiser(nn.Module):
    """The first level apart from the others."""

    def __init__(self, shape: DecoderShape) -> None:
        super().__init__()
        self.rvq_first = ResidualQuantiser(1, shape)
        self.rvq_rest = ResidualQuantiser(shape.num_quantizers - 1, shape)

    def forward(self, codes: Tensor) -> Tensor:
        """Codes (batch, level, frame) to (batch, codebook_dim, frame)."""
        return self.rvq_first(codes[:, :1]) + self.rvq_rest(codes[:, 1:])


class GatedFeedForward(nn.Module):
    """SwiGLU (arXiv 2002.05202)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate_proj, self.up_proj = nn.Linear(width, hidden, bias=False), nn.Linear(width, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Shape kept."""
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class DecoderTransformer(nn.Module):
    """Causal transformer whose layers each hear a window of frames."""

    def __init__(self, shape: DecoderShape) -> None:
        super().__init__()
        width, heads, shared = shape.hidden_size, shape.num_attention_heads, shape.num_key_value_heads
        self.head_dim, self.theta = shape.head_dim, shape.rope_theta
        self.input_proj = nn.Linear(shape.latent_dim, width)
        self.layers = nn.ModuleList(
            Layer(
                width,
                Attention(width, heads, shared, shape.head_dim, shape.sliding_window),
                GatedFeedForward(width, shape.intermediate_size),
                (nn.RMSNorm(width, shape.rms_norm_eps), nn.RMSNorm(width, shape.rms_norm_eps)),
            )
            for _ in range(shape.num_hidden_layers)
        )
        self.norm = nn.RMSNorm(width, shape.rms_norm_eps)
        self.output_proj = nn.Linear(width, shape.latent_dim)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, frame, latent_dim), shape kept."""
        x = self.input_proj(x)
        cos, sin = rotations(x.shape[1], self.head_dim, self.theta, x.device)
        for layer in self.layers:
            x = layer(x, cos, sin)
        return self.output_proj(self.norm(x))


class ConvNext(nn.Module):
    """Causal ConvNeXt block (arXiv 2201.03545) over (batch, channel, time)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = CausalConv(channels, channels, KERNEL, groups=channels)
        self.norm = nn.LayerNorm(channels, 1e-6)
        self.pwconv1, self.pwconv2 = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)
        self.gamma = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Shape kept."""
        y = self.norm(self.dwconv(x).transpose(1, 2))
        return x + (self.gamma * self.pwconv2(F.gelu(self.pwconv1(y)))).transpose(1, 2)


class SnakeUnit(nn.Module):
    """Residual pair of convolutions behind snake activations."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.act1, self.act2 = Snake(channels), Snake(channels)
        self.conv1, self.conv2 = CausalConv(channels, channels, KERNEL, dilation=dilation), CausalConv(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Shape kept."""
        return x + self.conv2(self.act2(self.conv1(self.act1(x))))


class SnakeUpsampling(nn.Module):
    """Upsampling to half the channels, then three residual units."""

    def __init__(self, channels: int, rate: int) -> None:
        super().__init__()
        half = channels // 2
        up = CausalUpsampling(channels, half, 2 * rate, rate)
        self.block = nn.ModuleList([Snake(channels), up, *(SnakeUnit(half, dilation) for dilation in DILATIONS)])

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channel, time) to (batch, channel / 2, time * rate)."""
        for part in self.block:
            x = part(x)
        return x


class Decoder(nn.Module):
    """Codes to waveform."""

    def __init__(self, shape: DecoderShape) -> None:
        super().__init__()
        self.quantizer = SplitQuantiser(shape)
        self.pre_conv = CausalConv(shape.codebook_dim, shape.latent_dim, 3)
        self.pre_transformer = DecoderTransformer(shape)
        self.upsample = nn.ModuleList(
            nn.ModuleList([CausalUpsampling(shape.latent_dim, shape.latent_dim, ratio, ratio), ConvNext(shape.latent_dim)])
            for ratio in shape.upsampling_ratios
        )
        widths = [shape.decoder_dim // 2**number for number in range(len(shape.upsample_rates) + 1)]
        ups = [SnakeUpsampling(width, rate) for width, rate in zip(widths, shape.upsample_rates, strict=False)]
        ends = (CausalConv(shape.latent_dim, shape.decoder_dim, KERNEL), Snake(widths[-1]), CausalConv(widths[-1], 1, KERNEL))
        self.decoder = nn.ModuleList([ends[0], *ups, *ends[1:]])
        self.hop = math.prod((*shape.upsampling_ratios, *shape.upsample_rates))
        self.context = frames_heard(shape)

    def forward(self, codes: Tensor, chunk: int) -> Tensor:
        """Codes (batch, level, frame) to waveforms (batch, frame * hop) within -1 and 1.

        The transformer goes over all frames. Only what comes behind it, where a frame becomes thousands of samples, takes
        `chunk` frames at once, each chunk behind the frames that its first sample hears: the chunks change nothing.
        """
        hidden = self.pre_conv(self.quantizer(codes)).transpose(1, 2)
        hidden = self.pre_transformer(hidden).transpose(1, 2)
        parts = []
        for start in range(0, hidden.shape[-1], chunk):
            first = max(0, start - self.context)
            parts.append(self._waveform(hidden[..., first : start + chunk])[..., (start - first) * self.hop :])
        return torch.cat(parts, -1)

    def _waveform(self, x: Tensor) -> Tensor:
        for up, block in self.upsample:
            x = block(up(x))
        for part in self.decoder:
            x = part(x)
        return x[:, 0].clamp(-1, 1)


def frames_heard(shape: DecoderShape) -> int:
    """How many frames before its own a sample hears in the convolutions behind the transformer, rounded up."""
    rate, frames = 1, 0.0
    for ratio in shape.upsampling_ratios:
        rate *= ratio
        frames += (KERNEL - 1) / rate
    frames += (KERNEL - 1) / rate
    for ratio in shape.upsample_rates:
        frames += 1 / rate
        rate *= ratio
        frames += (KERNEL - 1) * sum(DILATIONS) / rate
    return math.ceil(frames + (KERNEL - 1) / rate)
