"""By how much the chosen answer is better, for the losses that treat pairs by it; refuses pairs that do not say."""

import torch
from torch import Tensor

from lpo_tts.errors import ContractError
from lpo_tts.losses.base import Context


def margins_of(loss: object, context: Context, metric: str) -> Tensor:
    """(batch,) margins of one metric; raises ContractError when there are none or a pair was not scored."""
    name = type(loss).__name__
    if metric not in context.margins:
        there = ", ".join(sorted(context.margins)) or "none at all"
        raise ContractError(
            f"{name} needs every pair's margin in the metric {metric!r}, but the pairs have margins in: {there}; "
            f"set {name}.metric to one of these, or score the candidates with {metric!r} and make the pairs anew"
        )
    values = context.margins[metric]
    missing = torch.isnan(values)
    if bool(missing.any()):
        raise ContractError(
            f"{name} needs every pair's margin in the metric {metric!r}, but {int(missing.sum())} of {len(values)} pairs "
            f"of the batch have none (nan: an answer was not scored); score them, or leave these pairs out"
        )
    return values
