"""What computes attention over a packed row: flash kernels part by part, flex attention, or one dense mask.

The flash kernels, on a CPU and on a GPU, share `_Merged`: every part of a layout is ordinary attention, parts are merged
by their log-sum-exps, and the backward of each part is given the merged output and log-sum-exp, which makes it exact.
A kernel says how it divides a layout into parts, and computes one part.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from lpo_tts.lm.layout import Layout

# Places of a row: a range of them, or their numbers in ascending order, (places,) int64, none twice.
Places = slice | Tensor


@dataclass(frozen=True, eq=False)
class Part:
    """Sequences that one call attends.

    Attributes:
        queries: places of the queries, one sequence behind the other.
        keys: places of the keys, likewise.
        causal: whether a query sees only the keys up to its own place in its sequence.
        query_borders: (sequences + 1,) int32, where each sequence begins among the queries, and their number; None where
            a part is one sequence.
        key_borders: the same of the keys.
        longest_query: tokens of the longest sequence of queries.
        longest_key: tokens of the longest sequence of keys.
    """

    queries: Places
    keys: Places
    causal: bool
    query_borders: Tensor | None = None
    key_borders: Tensor | None = None
    longest_query: int = 0
    longest_key: int = 0


class Kernel(Protocol):
    """Computes packed attention in one way.

    Attributes:
        name: as messages call it.
        grouped: whether keys may have fewer heads than queries.
    """

    name: str
    grouped: bool

    def takes(self, device: torch.device, dtype: torch.dtype, width: int) -> bool:
        """Whether this is worth a try on a device, for this type and width of a head."""
        ...

    def attend(self, query: Tensor, key: Tensor, value: Tensor, layout: Layout, scale: float) -> Tensor:
        """Differentiable attention of (1, heads, length, width) each, see `packed_attention`."""
        ...


class PartKernel(Protocol):
    """Computes attention of one part, and its gradients, for `_Merged`."""

    def parts(self, layout: Layout, device: torch.device) -> Sequence[Part]:
        """What a layout is divided into; a query's causal part comes before its others."""
        ...

    def forward(self, query: Tensor, key: Tensor, value: Tensor, part: Part, scale: float) -> tuple[Tensor, Tensor]:
        """Output (1, heads, queries, width) and log-sum-exps (1, heads, queries) float32 of one part."""
        ...

    def backward(
        self, grad: Tensor, query: Tensor, key: Tensor, value: Tensor, out: Tensor, lse: Tensor, part: Part, scale: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of one part's query, key and value; `out` and `lse` are those of all parts together."""
        ...


class _Merged(torch.autograd.Function):
    """Parts by a kernel, merged by log-sum-exp."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, kernel: PartKernel, layout: Layout, scale: float) -> Tensor:
        out = torch.zeros_like(query)
        lse = torch.zeros(query.shape[:-1], dtype=torch.float32, device=query.device)
        parts = layout.kept((type(kernel), query.device), lambda: tuple(kernel.parts(layout, query.device)))
        for part in parts:
            at, seen = part.queries, part.keys
            other, other_lse = kernel.forward(query[:, :, at], key[:, :, seen], value[:, :, seen], part, scale)
            if part.causal:
                out[:, :, at], lse[:, :, at] = other, other_lse
                continue
            merged = torch.logaddexp(lse[:, :, at], other_lse)
            own_share = (lse[:, :, at] - merged).exp().unsqueeze(-1)
            other_share = (other_lse - merged).exp().unsqueeze(-1)
            out[:, :, at] = (own_share * out[:, :, at] + other_share * other).to(out.dtype)
            lse[:, :, at] = merged
        ctx.save_for_backward(query, key, value, out, lse)
        ctx.kernel, ctx.parts, ctx.scale = kernel, parts, scale
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        query, key, value, out, lse = ctx.saved_tensors
        (grad,) = grads
        dq, dk, dv = torch.zeros_like(query), torch.zeros_like(key), torch.zeros_like(value)
        for part in ctx.parts:
            at, seen = part.queries, part.keys
            one, two, three = ctx.kernel.backward(
                grad[:, :, at],
                query[:, :, at],
                key[:, :, seen],
                value[:, :, seen],
                out[:, :, at],
                lse[:, :, at],
                part,
                ctx.scale,
            )
            dq[:, :, at] += one
            dk[:, :, seen] += two
            dv[:, :, seen] += three
        return dq, dk, dv, None, None, None


class FlashOnCPU:
    """The CPU's flash kernel: one call for every segment and every crossing."""

    name, grouped = "flash attention on the CPU", False

    def takes(self, device: torch.device, dtype: torch.dtype, width: int) -> bool:
        """On the CPU alone."""
        return device.type == "cpu"

    def attend(self, query: Tensor, key: Tensor, value: Tensor, layout: Layout, scale: float) -> Tensor:
        """See `Kernel`."""
        return _Merged.apply(query, key, value, self, layout, scale)

    def parts(self, layout: Layout, device: torch.device) -> list[Part]:
        """One for every segment, then one for every crossing."""
        whole = [slice(start, start + length) for start, length in layout.segments]
        crossings = [(slice(at, at + length), slice(first, first + count)) for at, length, first, count in layout.crossings]
        return [Part(at, at, True) for at in whole] + [Part(at, seen, False) for at, seen in crossings]

    def forward(self, query: Tensor, key: Tensor, value: Tensor, part: Part, scale: float) -> tuple[Tensor, Tensor]:
        """See `PartKernel`."""
        kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
        return kernel(query, key, value, 0.0, part.causal, attn_mask=None, scale=scale)

    def backward(
        self, grad: Tensor, query: Tensor, key: Tensor, value: Tensor, out: Tensor, lse: Tensor, part: Part, scale: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See `PartKernel`."""
        kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
        return kernel(grad, query, key, value, out, lse, 0.0, part.causal, attn_mask=None, scale=scale)


class VarlenFlash:
    """The GPU's flash kernel for sequences of many lengths: one call for all segments, and as a rule one for all crossings.

    Its limits are those of torch's kernel: half precision, heads of at most 256 in steps of 8, compute capability 8.0.
    """

    name, grouped = "variable-length flash attention", True

    def takes(self, device: torch.device, dtype: torch.dtype, width: int) -> bool:
        """Within the kernel's limits."""
        if device.type != "cuda" or dtype not in (torch.bfloat16, torch.float16) or width % 8 or width > 256:
            return False
        return torch.cuda.get_device_capability(device) >= (8, 0)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, layout: Layout, scale: float) -> Tensor:
        """See `Kernel`."""
        return _Merged.apply(query, key, value, self, layout, scale)

    def parts(self, layout: Layout, device: torch.device) -> list[Part]:
        """All segments, then rounds of crossings that share neither queries nor keys."""
        segments = sorted(layout.segments)
        found = [_part([(*segment, *segment) for segment in segments], True, device)] if segments else []
        return found + [_part(sorted(some), False, device) for some in layout.rounds]

    def forward(self, query: Tensor, key: Tensor, value: Tensor, part: Part, scale: float) -> tuple[Tensor, Tensor]:
        """See `PartKernel`."""
        out, lse = self.compute(_rows_first(query), _rows_first(key), _rows_first(value), part, scale)
        return _heads_first(out), lse.unsqueeze(0)

    def backward(
        self, grad: Tensor, query: Tensor, key: Tensor, value: Tensor, out: Tensor, lse: Tensor, part: Part, scale: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See `PartKernel`."""
        rows = [_rows_first(tensor) for tensor in (grad, query, key, value, out)]
        # The kernel reads log-sum-exps by their address alone, so a slice of them must be copied together.
        together = lse.squeeze(0).contiguous()
        one, two, three = self.differentiate(rows[0], rows[1], rows[2], rows[3], rows[4], together, part, scale)
        return _heads_first(one), _heads_first(two), _heads_first(three)

    def compute(self, query: Tensor, key: Tensor, value: Tensor, part: Part, scale: float) -> tuple[Tensor, Tensor]:
        """Output (queries, heads, width) and log-sum-exps (heads, queries) float32; keys may have fewer heads."""
        found = torch.ops.aten._flash_attention_forward(
            query,
            key,
            value,
            part.query_borders,
            part.key_borders,
            _grid(part),
            part.longest_key,
            0.0,
            part.causal,
            False,
            scale=scale,
            window_size_left=-1,
            window_size_right=-1,
        )
        return found[0], found[1]

    def differentiate(
        self, grad: Tensor, query: Tensor, key: Tensor, value: Tensor, out: Tensor, lse: Tensor, part: Part, scale: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients in the shapes of query, key and value."""
        return torch.ops.aten._flash_attention_backward(
            grad.contiguous(),
            query,
            key,
            value,
            out.contiguous(),
            lse,
            part.query_borders,
            part.key_borders,
            _grid(part),
            part.longest_key,
            0.0,
            part.causal,
            torch.zeros(2, dtype=torch.uint64, device=query.device),  # the state of a dropout that is off
            torch.empty(0, device=query.device),
            scale=scale,
            window_size_left=-1,
            window_size_right=-1,
        )


def _grid(part: Part) -> int:
    """Queries a sequence has at most, as the kernel is told.

    Told 1, with fewer heads of keys, torch's kernel takes the shortcut of decoding, which mixes up the log-sum-exps of
    several sequences. Told more than there are, it only starts blocks that have nothing to do.
    """
    return max(part.longest_query, 2)


def _rows_first(tensor: Tensor) -> Tensor:
    """(1, heads, rows, width) as (rows, heads, width), neighbours in a row side by side in memory."""
    rows = tensor.squeeze(0).transpose(0, 1)
    return rows if rows.stride(-1) == 1 else rows.contiguous()


def _heads_first(tensor: Tensor) -> Tensor:
    return tensor.transpose(0, 1).unsqueeze(0)


def _part(pieces: Sequence[tuple[int, int, int, int]], causal: bool, device: torch.device) -> Part:
    """Pieces (query start, query length, key start, key length) as one part."""
    queries = [(start, length) for start, length, _, _ in pieces]
    keys = [(start, length) for _, _, start, length in pieces]
    return Part(
        _places(queries, device),
        _places(keys, device),
        causal,
        _borders([length for _, length in queries], device),
        _borders([length for _, length in keys], device),
        max(length for _, length in queries),
        max(length for _, length in keys),
    )


def _places(ranges: Sequence[tuple[int, int]], device: torch.device) -> Places:
    """A slice where the ranges follow each other, which spares the copies of an index."""
    if all(start + length == after for (start, length), (after, _) in itertools.pairwise(ranges)):
        return slice(ranges[0][0], sum(ranges[-1]))
    return torch.cat([torch.arange(start, start + length) for start, length in ranges]).to(device)


def _borders(lengths: Sequence[int], device: torch.device) -> Tensor:
    return torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0, dtype=torch.int32).to(device)


class Flex:
    """Flex attention with a block mask of the layout: a kernel that triton compiles, of any type and without its own backward."""

    name, grouped = "flex attention", True

    def takes(self, device: torch.device, dtype: torch.dtype, width: int) -> bool:
        """Wherever triton compiles for this device."""
        from torch.utils._triton import has_triton

        return device.type == "cuda" and has_triton()

    def attend(self, query: Tensor, key: Tensor, value: Tensor, layout: Layout, scale: float) -> Tensor:
        """See `Kernel`."""
        mask = layout.kept((Flex, query.device), lambda: block_mask(layout, query.device))
        return _compiled_flex()(query, key, value, block_mask=mask, scale=scale, enable_gqa=query.shape[1] != key.shape[1])


@functools.cache
def _compiled_flex() -> Callable[..., Tensor]:
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention, dynamic=True)  # every pack has a length of its own


def block_mask(layout: Layout, device: torch.device) -> Any:
    """A layout as flex attention's BlockMask; making it takes a (length, length) mask for a moment, once per layout."""
    from torch.nn.attention.flex_attention import create_block_mask

    places = torch.arange(layout.length)
    own = places.clone()  # padding sees itself
    for start, length in layout.segments:
        own[start : start + length] = start
    ranges = []
    for some in layout.rounds:
        first, end = torch.zeros_like(places), torch.zeros_like(places)
        for start, length, seen, count in some:
            first[start : start + length], end[start : start + length] = seen, seen + count
        ranges.append((first.to(device), end.to(device)))
    own = own.to(device)

    def sees(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        seen = (key >= own[query]) & (key <= query)
        for first, end in ranges:
            seen = seen | ((key >= first[query]) & (key < end[query]))
        return seen

    return create_block_mask(sees, None, None, layout.length, layout.length, device=device)


class Dense:
    """SDPA with the layout's mask: right everywhere, in memory that grows with the square of the length."""

    name, grouped = "attention with a dense mask", False

    def takes(self, device: torch.device, dtype: torch.dtype, width: int) -> bool:
        """Everywhere."""
        return True

    def attend(self, query: Tensor, key: Tensor, value: Tensor, layout: Layout, scale: float) -> Tensor:
        """See `Kernel`."""
        mask = layout.kept((Dense, query.device), lambda: layout.mask.to(query.device))
        return scaled_dot_product_attention(query, key, value, mask, scale=scale)
