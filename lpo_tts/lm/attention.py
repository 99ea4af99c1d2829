"""Attention over packed sequences in which the answers of one prompt share that prompt.

A layout says who sees whom: every segment is causal within itself, and a crossing lets answers see the whole of the
prompt they belong to. Both parts are ordinary attention; they are merged by their log-sum-exps, and since the backward
of flash attention only needs the merged output and log-sum-exp, each part's gradient is exact without ever holding a
mask or a (length, length) matrix.
"""

import functools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lpo_tts.errors import ConfigError

NAME = "shared_prefix"  # as transformers knows it


@dataclass(frozen=True)
class Layout:
    """Who sees whom in a packed row of `length` tokens.

    Attributes:
        length: tokens of the row, padding at its end included.
        segments: (start, length), causal within themselves; they do not overlap.
        crossings: (query start, query length, key start, key length): queries that also see all of these keys, which
            stand in another segment.
    """

    length: int
    segments: tuple[tuple[int, int], ...]
    crossings: tuple[tuple[int, int, int, int], ...] = ()

    @functools.cached_property
    def mask(self) -> Tensor:
        """(length, length) bool: True where a query (row) sees a key (column); padding sees itself."""
        mask = torch.eye(self.length, dtype=torch.bool)
        for start, length in self.segments:
            mask[start : start + length, start : start + length] = torch.ones(length, length, dtype=torch.bool).tril()
        for start, length, first, count in self.crossings:
            mask[start : start + length, first : first + count] = True
        return mask

    @property
    def longest(self) -> int:
        """The most tokens any query sees."""
        longest = max(length for _, length in self.segments)
        within = dict(self.segments)
        for start, length, _, count in self.crossings:
            longest = max([longest, *(count + n for s, n in within.items() if start <= s < start + length)])
        return longest


class _Packed(torch.autograd.Function):
    """Segments and crossings by the CPU flash kernel, (1, heads, length, width) each."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, layout: Layout, scale: float) -> Tensor:
        kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
        out = torch.zeros_like(query)
        lse = torch.zeros(query.shape[:-1], dtype=torch.float32)
        for start, length in layout.segments:
            at = slice(start, start + length)
            out[:, :, at], lse[:, :, at] = kernel(
                query[:, :, at], key[:, :, at], value[:, :, at], 0.0, True, attn_mask=None, scale=scale
            )
        for start, length, first, count in layout.crossings:
            at, seen = slice(start, start + length), slice(first, first + count)
            other, other_lse = kernel(
                query[:, :, at], key[:, :, seen], value[:, :, seen], 0.0, False, attn_mask=None, scale=scale
            )
            merged = torch.logaddexp(lse[:, :, at], other_lse)
            own_share = (lse[:, :, at] - merged).exp().unsqueeze(-1)
            other_share = (other_lse - merged).exp().unsqueeze(-1)
            out[:, :, at] = own_share * out[:, :, at] + other_share * other
            lse[:, :, at] = merged
        ctx.save_for_backward(query, key, value, out, lse)
        ctx.layout, ctx.scale = layout, scale
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        query, key, value, out, lse = ctx.saved_tensors
        kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
        (grad,) = grads
        dq, dk, dv = torch.zeros_like(query), torch.zeros_like(key), torch.zeros_like(value)
        parts = [(start, length, start, length, True) for start, length in ctx.layout.segments]
        parts += [(*crossing, False) for crossing in ctx.layout.crossings]
        for start, length, first, count, causal in parts:
            at, seen = slice(start, start + length), slice(first, first + count)
            one, two, three = kernel(
                grad[:, :, at],
                query[:, :, at],
                key[:, :, seen],
                value[:, :, seen],
                out[:, :, at],
                lse[:, :, at],
                0.0,
                causal,
                attn_mask=None,
                scale=ctx.scale,
            )
            dq[:, :, at] += one
            dk[:, :, seen] += two
            dv[:, :, seen] += three
        return dq, dk, dv, None, None


def packed_attention(query: Tensor, key: Tensor, value: Tensor, layout: Layout, scale: float) -> Tensor:
    """Attention of a packed row.

    Args:
        query: (1, heads, length, width).
        key: (1, heads or a divisor of it, length, width); likewise `value`.
        value: see `key`.
        layout: who sees whom.
        scale: of the scores.

    Returns:
        (1, heads, length, width), 0 at padding on the CPU.
    """
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    kind = query.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else value.dtype
    query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
    if kind == "cpu":
        return _Packed.apply(query, key, value, layout, scale)
    return nn.functional.scaled_dot_product_attention(query, key, value, layout.mask.to(query.device), scale=scale)


def _forward(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **kwargs: Any
) -> tuple[Tensor, None]:
    """What transformers calls for every layer; without a layout it is plain SDPA."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    layout: Layout | None = kwargs.pop("packed_layout", None)
    if layout is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)  # pyright: ignore[reportReturnType]
    window = kwargs.get("sliding_window")
    if window is not None and window < layout.longest:
        raise ConfigError(
            f"packed sequences see whole prompts, but {type(module).__name__} has a sliding window of {window} tokens and a "
            f"sequence has {layout.longest}; set pack: false"
        )
    scale = kwargs.get("scaling") or query.shape[-1] ** -0.5
    return packed_attention(query, key, value, layout, scale).transpose(1, 2).contiguous(), None


def install(model: Any) -> None:
    """Lets a transformers model take a `packed_layout`; calls without one stay what SDPA gives."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, _forward)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)


def takes_layouts(model: Any) -> bool:
    """Whether `install` was done."""
    return getattr(getattr(model, "config", None), "_attn_implementation", None) == NAME
