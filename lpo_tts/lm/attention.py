"""Attention over packed sequences in which the answers of one prompt share that prompt.

A layout says who sees whom: every segment is causal within itself, and a crossing lets answers see the whole of the
prompt they belong to (`lm.layout`). Both parts are ordinary attention, merged by their log-sum-exps. The backward of flash
attention needs the merged output and log-sum-exp alone, so each part's gradient is exact without ever holding a mask or a
(length, length) matrix. `lm.attention_kernels` computes it, and `lm.attention_choice` says which kernel does.
"""

from typing import Any

import torch
from torch import Tensor, nn

from lpo_tts.errors import ConfigError
from lpo_tts.lm.attention_choice import kernel_for
from lpo_tts.lm.layout import Layout

NAME = "shared_prefix"  # as transformers knows it


def packed_attention(query: Tensor, key: Tensor, value: Tensor, layout: Layout, scale: float) -> Tensor:
    """Attention of a packed row.

    Args:
        query: (1, heads, length, width).
        key: (1, heads or a divisor of it, length, width); likewise `value`.
        value: see `key`.
        layout: who sees whom.
        scale: of the scores.

    Returns:
        (1, heads, length, width); what stands at padding is of no account (0 with the flash kernels).
    """
    kind = query.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else value.dtype
    kernel = kernel_for(query.device, dtype, query.shape[-1])
    groups = query.shape[1] // key.shape[1]
    if groups > 1 and not kernel.grouped:  # before the cast, so that a group's gradients are summed in the type that comes in
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    return kernel.attend(query.to(dtype), key.to(dtype), value.to(dtype), layout, scale)


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
