"""Anchored Preference Optimization (D'Oosterlinck et al., arXiv 2408.06266, eq. 7 and 8): both answers held to the reference."""

from dataclasses import dataclass

from torch import Tensor

from lpo_tts.bounds import above
from lpo_tts.losses.base import Context
from lpo_tts.losses.pairs import PairLoss


@dataclass(frozen=True)
class APOZero(PairLoss):
    """`1 - sigmoid(beta x1) + sigmoid(beta x2)` on summed log-ratios: chosen up and rejected down, each by itself.

    For chosen answers that are better than what the model gives; 1 at initialisation. The gradients fade as the
    log-ratios leave 0, to either side.

    Attributes:
        beta: in (0, infinity); 0.1 (paper, TRL).
    """

    beta: float = 0.1

    bounds = {"beta": above(0)}
    paper = "arXiv 2408.06266, eq. 7"

    def per_pair(self, x1: Tensor, x2: Tensor, context: Context) -> Tensor:
        return (-(self.beta * x1)).sigmoid() + (self.beta * x2).sigmoid()


@dataclass(frozen=True)
class APODown(PairLoss):
    """`sigmoid(beta x1) + 1 - sigmoid(beta m)` on summed log-ratios: both answers down, the rejected one further.

    For chosen answers that are worse than what the model gives; 1 at initialisation, where the chosen answer has
    no gradient at all.

    Attributes:
        beta: in (0, infinity); 0.1 (paper, TRL).
    """

    beta: float = 0.1

    bounds = {"beta": above(0)}
    paper = "arXiv 2408.06266, eq. 8"

    def per_pair(self, x1: Tensor, x2: Tensor, context: Context) -> Tensor:
        chosen, rejected = self.beta * x1, self.beta * x2
        return chosen.sigmoid() + (rejected - chosen).sigmoid()
