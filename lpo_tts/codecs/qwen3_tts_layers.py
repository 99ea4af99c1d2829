"""Causal building blocks of the Qwen3-TTS tokenizer; attributes bear the names of the published checkpoint."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BLOCK = 512  # queries of attention taken at once: memory grows with the length, not with its square


class CausalConv(nn.Module):
    """Convolution over (batch, channel, time) that gives ceil(time / stride) steps and hears nothing that comes later."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
        mode: str = "constant",
    ) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels_in, channels_out, kernel, stride, dilation=dilation, groups=groups, bias=bias)
        self.stride, self.mode = stride, mode
        self.reach = (kernel - 1) * dilation + 1 - stride  # steps heard before a stride of its own

    def forward(self, x: Tensor) -> Tensor:
        """Pads on the left by what a step hears before it, on the right to whole strides."""
        return self.conv(F.pad(x, (self.reach, -x.shape[-1] % self.stride), mode=self.mode))


class CausalUpsampling(nn.Module):
    """Transposed convolution over (batch, channel, time) to time * stride steps.

    The decoder of Qwen3-Omni in transformers has the same layer, but cuts its front off too, and with it 555 samples.
    """

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose1d(channels_in, channels_out, kernel, stride)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Cuts off what the kernel adds behind the last stride."""
        return self.conv(x)[..., : x.shape[-1] * self.stride]


class LayerScale(nn.Module):
    """One learnt factor per channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Shape kept, channels last."""
        return self.scale * x


def rotations(time: int, head_dim: int, theta: float, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines (time, head_dim) of rotary positions (arXiv 2104.09864), halves of a head paired."""
    powers = torch.arange(0, head_dim, 2, device=device).float() / head_dim
    angles = torch.arange(time, device=device).float()[:, None] * (1.0 / theta**powers)
    angles = torch.cat([angles, angles], -1)
    return angles.cos(), angles.sin()


class Attention(nn.Module):
    """Causal attention with rotary positions over (batch, time, channel).

    A step attends to itself and the steps before it: to all of them, or to the last `window` with itself counted.
    """

    def __init__(self, width: int, heads: int, shared_heads: int, head_dim: int, window: int | None) -> None:
        super().__init__()
        self.q_proj = nn.Linear(width, heads * head_dim, bias=False)
        self.k_proj = nn.Linear(width, shared_heads * head_dim, bias=False)
        self.v_proj = nn.Linear(width, shared_heads * head_dim, bias=False)
        self.o_proj = nn.Linear(heads * head_dim, width, bias=False)
        self.head_dim, self.window = head_dim, window
        self.grouped = heads != shared_heads

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Shape kept; queries go in blocks, each against the keys that it can see."""
        query, key, value = (self._heads(project(x)) for project in (self.q_proj, self.k_proj, self.v_proj))
        query, key = _rotate(query, cos, sin), _rotate(key, cos, sin)
        place = torch.arange(x.shape[1], device=x.device)
        parts = []
        for start in range(0, x.shape[1], BLOCK):
            end = min(start + BLOCK, x.shape[1])
            first = 0 if self.window is None else max(0, start - self.window + 1)
            back = place[start:end, None] - place[None, first:end]
            seen = back >= 0 if self.window is None else (back >= 0) & (back < self.window)
            keys, values = key[:, :, first:end], value[:, :, first:end]
            parts.append(
                F.scaled_dot_product_attention(query[:, :, start:end], keys, values, attn_mask=seen, enable_gqa=self.grouped)
            )
        return self.o_proj(torch.cat(parts, 2).transpose(1, 2).flatten(2))

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat([-second, first], -1) * sin


class Layer(nn.Module):
    """Transformer layer with norms before and scales behind its two halves."""

    def __init__(self, width: int, attention: Attention, mlp: nn.Module, norms: tuple[nn.Module, nn.Module]) -> None:
        super().__init__()
        self.self_attn, self.mlp = attention, mlp
        self.input_layernorm, self.post_attention_layernorm = norms
        self.self_attn_layer_scale, self.mlp_layer_scale = LayerScale(width), LayerScale(width)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """(batch, time, channel), shape kept."""
        x = x + self.self_attn_layer_scale(self.self_attn(self.input_layernorm(x), cos, sin))
        return x + self.mlp_layer_scale(self.mlp(self.post_attention_layernorm(x)))


class Snake(nn.Module):
    """x + sin(alpha x)^2 / beta over (batch, channel, time), both parameters held as logarithms (arXiv 2006.08195)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Shape kept; 1e-9 stands in the published formula."""
        alpha, beta = self.alpha.exp()[:, None], self.beta.exp()[:, None]
        return x + (1.0 / (beta + 1e-9)) * torch.sin(x * alpha).square()
