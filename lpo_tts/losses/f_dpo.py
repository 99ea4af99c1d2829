"""f-DPO (Wang et al., arXiv 2309.16240): DPO tied to the reference by another divergence than the reverse KL."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from lpo_tts.bounds import above
from lpo_tts.losses.base import Context
from lpo_tts.losses.pairs import PairLoss

Divergence = Literal["forward_kl", "js", "alpha"]


@dataclass(frozen=True)
class FDPO(PairLoss):
    """`-log sigmoid(beta (g(x1) - g(x2)))` on summed log-ratios, g(x) = f'(exp(x)) up to a constant, which cancels.

    forward_kl: g(x) = -exp(-x); js: g(x) = log sigmoid(x); alpha: g(x) = exp((a - 1) x) / (a - 1). The reverse KL,
    g(x) = x, is `dpo`. log 2 = 0.693 at initialisation.

    Attributes:
        divergence: "js" (ours: the one of the three whose gradient stays bounded on summed log-ratios).
        beta: in (0, infinity); 0.1 (TRL).
        alpha: a, in (0, 1), used by "alpha" alone; 0.5 (TRL). As in TRL, a -> 1 is the reverse KL; the paper's
            alpha is 1 - a.
    """

    divergence: Divergence = "js"
    beta: float = 0.1
    alpha: float = 0.5

    MAX_EXPONENT: ClassVar[float] = 20.0  # ours: exp goes on as its tangent from there
    bounds = {"beta": above(0), "alpha": above(0).below(1)}
    paper = "arXiv 2309.16240"

    def score(self, x: Tensor) -> Tensor:
        """g(x) of (batch,) log-ratios; rises with x."""
        if self.divergence == "js":
            return logsigmoid(x)
        if self.divergence == "forward_kl":
            return -self.exp(-x)
        return self.exp((self.alpha - 1) * x) / (self.alpha - 1)

    def exp(self, exponent: Tensor) -> Tensor:
        """An exponential that does not overflow and, unlike a clamped one, still has a gradient where it would."""
        excess = torch.relu(exponent - self.MAX_EXPONENT)
        return exponent.clamp(max=self.MAX_EXPONENT).exp() + math.exp(self.MAX_EXPONENT) * excess

    def per_pair(self, x1: Tensor, x2: Tensor, context: Context) -> Tensor:
        return -logsigmoid(self.beta * (self.score(x1) - self.score(x2)))
