"""DiscoPOP, the log-ratio modulated loss (Lu et al., arXiv 2406.08414, eq. 5), found by a search with language models."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from lpo_tts.bounds import above
from lpo_tts.losses.base import Context
from lpo_tts.losses.pairs import PairLoss


@dataclass(frozen=True)
class DiscoPOP(PairLoss):
    """`-(1 - s) log sigmoid(z) + s exp(-z)`, z = beta m, s = sigmoid(z / tau), on summed log-ratios.

    0.8466 at initialisation. Not convex: with the defaults it rises from m = -2.37 (the local optimum its authors
    report) to m = 1.44 nats, so that a pair at the reference is at first pushed towards the former.

    Attributes:
        beta: in (0, infinity); 0.05 (paper).
        tau: in (0, 1]; 0.05 (paper). Above 1 the exponential part would outgrow its switch, without bound.
    """

    beta: float = 0.05
    tau: float = 0.05

    bounds = {"beta": above(0), "tau": above(0).at_most(1)}
    paper = "arXiv 2406.08414, eq. 5"

    def per_pair(self, x1: Tensor, x2: Tensor, context: Context) -> Tensor:
        z = self.beta * (x1 - x2)
        logistic = -(-z / self.tau).sigmoid() * logsigmoid(z)
        # the product in one exponent, at most about 0 for tau <= 1: exp(-z) alone overflows far on the wrong side
        exponential = torch.exp(logsigmoid(z / self.tau) - z)
        return logistic + exponential
