"""DiscoPOP, the log-ratio modulated loss (Lu et al., arXiv 2406.08414, eq. 5), found by a search with language models."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.nn.functional import logsigmoid

from lpo_tts.logprobs import PairLogps
from lpo_tts.losses.base import Context, LossOutput, Preference
from lpo_tts.losses.log_ratios import check_range, log_ratios


@dataclass(frozen=True)
class DiscoPop(Preference):
    """`-(1 - s) log sigmoid(z) + s exp(-z)`, z = beta m, s = sigmoid(z / tau), on summed log-ratios.

    0.8466 at initialisation. Not convex: with the defaults it rises from m = -2.37 (the local optimum its authors
    report) to m = 1.44 nats, so that a pair at the reference is at first pushed towards the former.

    Attributes:
        beta: in (0, infinity); 0.05 (paper).
        tau: in (0, 1]; 0.05 (paper). Above 1 the exponential part would outgrow its switch, without bound.
    """

    beta: float = 0.05
    tau: float = 0.05

    paper: ClassVar[str] = "arXiv 2406.08414, eq. 5"

    def __post_init__(self) -> None:
        check_range(self, "beta", 0, open_low=True)
        check_range(self, "tau", 0, 1, open_low=True)

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        """One loss per pair."""
        x1, x2 = log_ratios(policy, reference, self.reduction)
        z = self.beta * (x1 - x2)
        logistic = -(-z / self.tau).sigmoid() * logsigmoid(z)
        # the product in one exponent, at most about 0 for tau <= 1: exp(-z) alone overflows far on the wrong side
        exponential = torch.exp(logsigmoid(z / self.tau) - z)
        return LossOutput(logistic + exponential, self.beta * x1.detach(), self.beta * x2.detach())
