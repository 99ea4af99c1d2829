"""Balanced Preference Optimization (Sun et al., arXiv 2506.03557): always the answer that lags behind is moved."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from lpo_tts.bounds import above
from lpo_tts.losses.base import Context
from lpo_tts.losses.pairs import PairLoss


@dataclass(frozen=True)
class BPO(PairLoss):
    """`-log sigmoid(min(beta x1, -alpha beta x2))` on summed log-ratios; log 2 = 0.693 at initialisation.

    Only the smaller of the two has a gradient; where they are equal, as at initialisation, each has half of it.

    Attributes:
        beta: in (0, infinity); 0.1 (ours: DPO's).
        alpha: the paper's gap adaptor, in (0, 1]; 0.5 (ours: the rejected answer may fall twice as far as the
            chosen one rises, before the chosen one alone is moved).
    """

    beta: float = 0.1
    alpha: float = 0.5

    bounds = {"beta": above(0), "alpha": above(0).at_most(1)}
    paper = "arXiv 2506.03557"

    def per_pair(self, x1: Tensor, x2: Tensor, context: Context) -> Tensor:
        return -logsigmoid(torch.minimum(self.beta * x1, -self.alpha * self.beta * x2))
