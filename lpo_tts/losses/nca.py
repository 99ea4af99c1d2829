"""Noise Contrastive Alignment of pairs (Chen et al., arXiv 2402.05369): each log-ratio told apart from the reference's 0."""

import math
from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import logsigmoid

from lpo_tts.bounds import above
from lpo_tts.losses.base import Context
from lpo_tts.losses.pairs import PairLoss


@dataclass(frozen=True)
class NCA(PairLoss):
    """`-log s(b x1) - log s(-b x1) / 2 - log s(-b x2) / 2`, s = sigmoid, on summed log-ratios.

    2 log 2 = 1.386 at initialisation. The chosen answer has a finite target, b x1 = log 2, the rejected one has
    none; hence `target_margin` is None.

    Attributes:
        beta: b, in (0, infinity); 0.1 (TRL; the paper's runs use 0.01).
    """

    beta: float = 0.1

    bounds = {"beta": above(0)}
    paper = "arXiv 2402.05369"

    def beyond_target(self, x1: Tensor, x2: Tensor) -> Tensor:
        """(batch,) bool: whose chosen answer has passed log 2 / beta, from where it is pushed down."""
        return x1 > math.log(2) / self.beta

    def per_pair(self, x1: Tensor, x2: Tensor, context: Context) -> Tensor:
        chosen, rejected = self.beta * x1, self.beta * x2
        return -logsigmoid(chosen) - 0.5 * logsigmoid(-chosen) - 0.5 * logsigmoid(-rejected)
