"""Attention over packed sequences in which the answers of one prompt share that prompt.

A layout says who sees whom: every segment is causal within itself, and a crossing lets answers see the whole of the
prompt they belong to. Both parts are ordinary attention; they are merged by their log-sum-exps, and since the backward
of flash attention only needs the merged output and log-sum-exp, each part's gradient is exact without ever holding a
mask or a (length, length) matrix. `lm.attention_kernels` computes it, and `lm.attention_choice` says which kernel does.
"""

import functools
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lpo_tts.errors import ConfigError
from lpo_tts.lm.attention_choice import kernel_for

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

    @functools.cached_property
    def rounds(self) -> tuple[tuple[tuple[int, int, int, int], ...], ...]:
        """The crossings in groups within which no query and no key stands twice; one group, as packs are made."""
        rounds: list[list[tuple[int, int, int, int]]] = []
        for one in self.crossings:
            free = (some for some in rounds if not any(_meet(one, other) for other in some))
            some = next(free, None)
            if some is None:
                rounds.append(some := [])
            some.append(one)
        return tuple(map(tuple, rounds))

    def kept(self, name: Hashable, make: Callable[[], Any]) -> Any:
        """What `make` makes of this layout, made once under a name: every layer of a model asks for the same."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    @functools.cached_property
    def _made(self) -> dict[Hashable, Any]:
        return {}

    @property
    def longest(self) -> int:
        """The most tokens any query sees."""
        longest = max(length for _, length in self.segments)
        within = dict(self.segments)
        for start, length, _, count in self.crossings:
            longest = max([longest, *(count + n for s, n in within.items() if start <= s < start + length)])
        return longest


def _meet(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    """Whether two crossings share queries or keys."""
    return any(one[i] < other[i] + other[i + 1] and other[i] < one[i] + one[i + 1] for i in (0, 2))


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
