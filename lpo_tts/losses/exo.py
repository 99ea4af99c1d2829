"""Efficient Exact Optimization on pairs (Ji et al., arXiv 2402.00856, eq. 16): the reverse KL to softened labels."""

import math
from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import logsigmoid

from lpo_tts.bounds import above
from lpo_tts.losses.base import Context
from lpo_tts.losses.pairs import PairLoss


@dataclass(frozen=True)
class EXO(PairLoss):
    """`q log(q / (1 - e)) + (1 - q) log((1 - q) / e)`, q = sigmoid(beta m), on summed log-ratios.

    2.7612 at initialisation at e = 0.001. Its gradient fades on both sides, also for pairs that are far on the
    wrong side.

    Attributes:
        beta: in (0, infinity); 0.1 (TRL).
        label_smoothing: e, in (0, 0.5); 0.001 (paper). At 0 the loss is infinite.
    """

    beta: float = 0.1
    label_smoothing: float = 1e-3

    bounds = {"beta": above(0), "label_smoothing": above(0).below(0.5)}
    paper = "arXiv 2402.00856, eq. 16"

    @property
    def target_margin(self) -> float:
        """log((1 - e) / e) / beta, nats per answer."""
        return math.log((1 - self.label_smoothing) / self.label_smoothing) / self.beta

    def per_pair(self, x1: Tensor, x2: Tensor, context: Context) -> Tensor:
        z = self.beta * (x1 - x2)
        # q times its own logarithm, both from z: log(sigmoid(z)) of a q that underflowed would be nan
        won = z.sigmoid() * (logsigmoid(z) - math.log(1 - self.label_smoothing))
        lost = (-z).sigmoid() * (logsigmoid(-z) - math.log(self.label_smoothing))
        return won + lost
