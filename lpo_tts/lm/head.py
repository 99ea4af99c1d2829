"""Log-probs of answer tokens straight from hidden states: the logits exist a tile at a time, forward and backward.

Tiles run over the vocabulary, so that each slice of the head's gradient is written once, and are small enough for a
tile of logits to stay in the processor's cache. Products are computed in autocast's type; log-softmax, sums and what
the target tokens contribute are float32. The backward computes each tile again: one product more than with kept logits.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

# Vocabulary entries. Forward and backward of 1,536 rows on two cores, bf16, 65,536 entries of width 512, against 2048: 1024 takes
# 6 % longer, 4096 17 %, 8192 58 %.
TILE = 2048
ROWS = 128  # of logits at a time, where a loss needs all of the vocabulary

Tiles = tuple[tuple[int, int], ...]  # [start, stop) of vocabulary entries


class _TokenLogps(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, tiles: Tiles, accumulate: bool
    ) -> Tensor:
        dtype = _product_type(hidden)
        rows, own = hidden.to(dtype), _own_logits(hidden.to(dtype), weight, bias, targets, dtype)
        lse = _log_sum_exp(rows, weight, bias, dtype, tiles)
        ctx.save_for_backward(hidden, weight, bias, targets, lse)
        ctx.dtype, ctx.tiles = dtype, tiles
        ctx.leaf = weight if accumulate and weight.is_leaf else None
        return own - lse

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        hidden, weight, bias, targets, lse = ctx.saved_tensors
        dtype = ctx.dtype
        needs_hidden, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        # d logp_t / d logits = onehot - softmax. The row's factor goes to the hidden states, so no tile is multiplied by it.
        factor = grads[0].float().unsqueeze(-1)
        rows = hidden.to(dtype)
        weighted = (hidden.float() * factor).to(dtype)
        pulled = torch.zeros(hidden.shape, dtype=torch.float32, device=hidden.device) if needs_hidden else None
        kept = None if ctx.leaf is None or not needs_weight else ctx.leaf.grad
        in_place = kept is not None and kept.dtype == torch.float32
        grad_weight = kept if in_place else None
        # Entries outside the tiles have no gradient; inside, each is written once.
        make = torch.empty if sum(stop - start for start, stop in ctx.tiles) == len(weight) else torch.zeros
        if needs_weight and grad_weight is None:
            grad_weight = make(weight.shape, dtype=torch.float32, device=weight.device)
        grad_bias = make(weight.shape[0], dtype=torch.float32, device=weight.device) if needs_bias else None
        shift = lse.unsqueeze(-1)
        for start, stop in ctx.tiles:
            part = weight[start:stop].to(dtype)
            probs = torch.sub(_logits(rows, part, bias, start), shift).exp_()
            if grad_bias is not None:
                grad_bias[start:stop] = -(probs * factor).sum(0)
            probs = probs.to(dtype)
            if pulled is not None:
                pulled -= probs @ part
            if grad_weight is not None and in_place:
                grad_weight[start:stop] -= probs.t() @ weighted
            elif grad_weight is not None:
                grad_weight[start:stop] = (probs.t() @ weighted).neg_()
        if pulled is not None:
            pulled += weight[targets].to(dtype)
            pulled = (pulled * factor).to(hidden.dtype)
        if grad_weight is not None:
            grad_weight.index_add_(0, targets, weighted.float())
            grad_weight = None if in_place else grad_weight.to(weight.dtype)
        if grad_bias is not None:
            grad_bias.index_add_(0, targets, factor.squeeze(-1))
        return pulled, grad_weight, grad_bias, None, None, None


def _product_type(hidden: Tensor) -> torch.dtype:
    kind = hidden.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype


def _logits(rows: Tensor, part: Tensor, bias: Tensor | None, start: int) -> Tensor:
    logits = rows @ part.t()
    return logits if bias is None else logits.float() + bias[start : start + len(part)].float()


def _own_logits(rows: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, dtype: torch.dtype) -> Tensor:
    """(rows,) float32: the target tokens' own logits, never rounded to the product's type."""
    own = (rows.float() * weight[targets].to(dtype).float()).sum(-1)
    return own if bias is None else own + bias[targets].float()


def _log_sum_exp(rows: Tensor, weight: Tensor, bias: Tensor | None, dtype: torch.dtype, tiles: Tiles) -> Tensor:
    """(rows,) float32 over the entries in the tiles.

    The shift is the maximum of the first tile instead of a running one, which saves a pass over every tile. The sum
    then is at least 1; should a later logit stand 88 above that maximum, the sum is infinite and a running shift is used.
    """
    shift = total = None
    for start, stop in tiles:
        logits = _logits(rows, weight[start:stop].to(dtype), bias, start)
        if shift is None or total is None:
            # a tile of -inf alone must not make the shift infinite
            shift = logits.amax(-1, keepdim=True).float().clamp_(min=torch.finfo(torch.float32).min)
            total = torch.zeros(len(rows), dtype=torch.float32, device=rows.device)
        total += torch.sub(logits, shift).exp_().sum(-1)
    assert shift is not None
    assert total is not None
    if bool(torch.isinf(total).any()):
        parts = [_logits(rows, weight[start:stop].to(dtype), bias, start).float().logsumexp(-1) for start, stop in tiles]
        return torch.stack(parts).logsumexp(0)
    return shift.squeeze(-1) + total.log()


def token_logps(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    tile: int = TILE,
    *,
    ranges: Sequence[tuple[int, int]] | None = None,
    accumulate: bool = False,
) -> Tensor:
    """Log-prob of each target under `softmax(hidden @ weight.T + bias)`, without holding the logits.

    Args:
        hidden: (rows, width) final hidden states; products are in autocast's type where autocast is on.
        weight: (vocabulary, width) of the LM head.
        bias: (vocabulary,) or None.
        targets: (rows,) int64.
        tile: vocabulary entries at a time.
        ranges: ascending [start, stop) of the entries that the softmax is over, the targets among them; None = all.
        accumulate: the backward may add to a gradient that `weight.grad` already holds, instead of making a second one of
            the weight's size for autograd to add. Only where gradients are accumulated by `backward()` in one process:
            hooks on the weight do not see what is added.

    Returns:
        (rows,) float32, nats.
    """
    whole = [(0, weight.shape[0])] if ranges is None else ranges
    tiles = tuple((at, min(at + tile, stop)) for start, stop in whole for at in range(start, stop, tile))
    return _TokenLogps.apply(hidden, weight, bias, targets, tiles, accumulate)


def few_logits(hidden: Tensor, weight: Tensor, bias: Tensor | None, ids: Tensor) -> Tensor:
    """Logits of a few entries, never rounded to the product's type, as the targets' own in `token_logps`.

    Args:
        hidden: (rows, width) final hidden states.
        weight: (vocabulary, width) of the LM head.
        bias: (vocabulary,) or None.
        ids: (entries,) int64.

    Returns:
        (rows, entries) float32.
    """
    dtype = _product_type(hidden)
    with torch.autocast(hidden.device.type, enabled=False):
        logits = hidden.to(dtype).float() @ weight[ids].to(dtype).float().t()
    return logits if bias is None else logits + bias[ids].float()


def vocabulary_statistics(
    compute: Any, rows: Tensor, head: nn.Module, reference: tuple[Tensor, Tensor, Tensor | None] | None, targets: Tensor
) -> dict[str, Tensor]:
    """A loss's statistics over the vocabulary, `ROWS` rows of logits at a time, each chunk computed again for its gradient.

    Args:
        compute: the loss's `over_vocabulary`.
        rows: (rows, width) hidden states of the policy.
        head: its LM head.
        reference: (rows, width) hidden states of the frozen model, with the weight and bias of its head; or None.
        targets: (rows,) int64.
    """
    from torch.utils.checkpoint import checkpoint

    def chunk(hidden: Tensor, weight: Tensor, bias: Tensor | None, frozen: Tensor | None, wanted: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():  # under peft the frozen model's head is the policy's own
            other = None if frozen is None or reference is None else linear(frozen, *reference[1:]).float()
        return compute(linear(hidden, weight, bias).float(), other, wanted)

    found: dict[str, list[Tensor]] = {}
    for start in range(0, len(rows), ROWS):
        at = slice(start, start + ROWS)
        frozen = None if reference is None else reference[0][at]
        part = checkpoint(chunk, rows[at], head.weight, head.bias, frozen, targets[at], use_reentrant=False)
        for name, values in part.items():  # pyright: ignore[reportOptionalMemberAccess]
            found.setdefault(name, []).append(values)
    return {name: torch.cat(values) for name, values in found.items()}
