"""Drawing tokens: one uniform number per token, and the inverse of the cumulative distribution."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lpo_tts.errors import ContractError
from lpo_tts.sampling.base import Drawing

_CHUNK = 256  # ours: about the square root of a large vocabulary
_FEW = 1024  # ours: top_p seldom keeps more tokens than this
_BELOW_ONE = 1 - 2**-52  # times any total, this is below the total after rounding too


def uniforms(seed: int, count: int) -> np.ndarray:
    """The numbers of one candidate: (count,) float64 in [0, 1), from Philox keyed by the seed."""
    return np.random.Generator(np.random.Philox(key=seed)).random(count)


def draw(logits: Tensor, numbers: Tensor, settings: Drawing) -> Tensor:
    """Picks one column per row by the inverse of the cumulative distribution, columns in the order of token ids.

    Args:
        logits: (rows, columns) float32.
        numbers: (rows,) float64 in [0, 1).
        settings: temperature, top_p, top_k, min_p.

    Returns:
        (rows,) int64 columns.

    Raises:
        ContractError: when a row's logits are not finite.
    """
    if settings.temperature == 0:
        best, columns = logits.max(-1)
        _check_finite(best)
        return columns
    probabilities = (logits if settings.temperature == 1 else logits / settings.temperature).softmax(-1)
    if settings.top_k or settings.top_p < 1 or settings.min_p:
        probabilities = probabilities * _kept(probabilities, settings)
    return _inverse(probabilities, numbers)


def _inverse(probabilities: Tensor, numbers: Tensor) -> Tensor:
    """The column at which the cumulative distribution passes a number: (rows,) int64.

    First the chunk of columns in which it does, by the sums of chunks, and then the column within it; a running sum over
    a large vocabulary would cost as much as a layer of the model.
    """
    rows, columns = probabilities.shape
    chunks = -(-columns // _CHUNK)
    if columns % _CHUNK:
        probabilities = F.pad(probabilities, (0, chunks * _CHUNK - columns))
    parts = probabilities.view(rows, chunks, _CHUNK)
    sums = parts.sum(-1)
    ends = sums.cumsum(-1, dtype=torch.float64)
    total = ends[:, -1:]
    _check_finite(total)
    targets = numbers[:, None].clamp(max=_BELOW_ONE) * total
    chunk = torch.searchsorted(ends, targets, right=True).clamp_(max=chunks - 1)
    size = sums.gather(1, chunk).double()
    share = (targets - ends.gather(1, chunk) + size) / size  # how far into the chunk, 0 to 1
    within = parts[torch.arange(rows, device=parts.device), chunk.view(-1)].cumsum(-1, dtype=torch.float64)
    column = torch.searchsorted(within, share.clamp_(0, _BELOW_ONE) * within[:, -1:], right=True).clamp_(max=_CHUNK - 1)
    return (chunk * _CHUNK + column).view(-1)


def _kept(probabilities: Tensor, settings: Drawing) -> Tensor:
    """(rows, columns) bool: the tokens that top_k, top_p and min_p keep; of equal ones those of lower columns first."""
    if not settings.top_k and settings.top_p == 1:
        return _likely(probabilities, settings)
    values, keep = _nucleus(probabilities, settings)
    count = keep.sum(-1)
    last = values.gather(1, count[:, None] - 1)  # the least probable token that is kept; others may be as probable
    kept = probabilities > last
    rows, columns = (probabilities == last).nonzero(as_tuple=True)
    rank = torch.arange(len(rows), device=rows.device)
    rank -= torch.searchsorted(rows, torch.arange(len(kept), device=rows.device))[rows]  # among those of its row
    kept[rows, columns] = rank < (count - (values > last).sum(-1))[rows]
    return kept & _likely(probabilities, settings) if settings.min_p else kept


def _likely(probabilities: Tensor, settings: Drawing) -> Tensor:
    """(rows, columns) bool: the tokens that min_p keeps."""
    return probabilities >= settings.min_p * probabilities.amax(-1, keepdim=True)


def _nucleus(probabilities: Tensor, settings: Drawing) -> tuple[Tensor, Tensor]:
    """The most probable values, descending, and which of them top_k and top_p keep: (rows, some) each."""
    columns = probabilities.shape[-1]
    limit = min(settings.top_k or columns, columns)
    if not settings.top_k and limit > _FEW:  # a full sort of a large vocabulary costs more than a step of the model
        values = probabilities.topk(_FEW).values
        keep = _before(values) < settings.top_p * probabilities.sum(-1, keepdim=True)
        if not bool(keep[:, -1].any()):
            return values, keep
    values = probabilities.topk(limit).values if limit < columns else probabilities.sort(-1, descending=True).values
    # A token stays while the probability before it has not reached top_p (of what top_k left); the first always does.
    return values, _before(values) < settings.top_p * values.sum(-1, keepdim=True)


def _before(values: Tensor) -> Tensor:
    """The running sum up to each value, without it."""
    return values.cumsum(-1) - values


def _check_finite(values: Tensor) -> None:
    if not bool(torch.isfinite(values).all()):
        raise ContractError("the model's logits are not finite; the checkpoint is damaged or its dtype too narrow")
