"""Drawing tokens: one uniform number per token, and the inverse of the cumulative distribution."""

import numpy as np
import torch
from torch import Tensor

from lpo_tts.errors import ContractError
from lpo_tts.sampling.base import Drawing


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
    cumulative = probabilities.cumsum(-1, dtype=torch.float64)
    total = cumulative[:, -1:]
    _check_finite(total)
    columns = torch.searchsorted(cumulative, numbers[:, None] * total, right=True)
    return columns.view(-1).clamp_(max=logits.shape[-1] - 1)


def _kept(probabilities: Tensor, settings: Drawing) -> Tensor:
    """(rows, columns) bool: the tokens that top_k, top_p and min_p keep."""
    likely = probabilities >= settings.min_p * probabilities.amax(-1, keepdim=True)
    if not settings.top_k and settings.top_p == 1:
        return likely
    columns = probabilities.shape[-1]
    limit = min(settings.top_k or columns, columns)
    values, places = probabilities.sort(dim=-1, descending=True, stable=True)
    values = values[:, :limit]
    # A token stays while the probability before it has not reached top_p (of what top_k left); the first always does.
    before = values.cumsum(-1) - values
    keep = before < settings.top_p * values.sum(-1, keepdim=True)
    return torch.zeros_like(probabilities, dtype=torch.bool).scatter_(-1, places[:, :limit], keep) & likely


def _check_finite(values: Tensor) -> None:
    if not bool(torch.isfinite(values).all()):
        raise ContractError("the model's logits are not finite; the checkpoint is damaged or its dtype too narrow")
