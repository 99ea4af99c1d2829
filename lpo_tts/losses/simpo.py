"""Simple Preference Optimization (Meng et al., arXiv 2405.14734, eq. 6): log-probs per token, no reference, a margin."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import logsigmoid

from lpo_tts.bounds import above, at_least
from lpo_tts.losses.base import Context
from lpo_tts.losses.pairs import PairLoss


@dataclass(frozen=True)
class SimPO(PairLoss):
    """`-log sigmoid(beta (lc / Nc - lr / Nr) - gamma)`, gamma = beta * gamma_ratio; no fixed value at initialisation.

    Attributes:
        beta: in (0, infinity); 2 (authors' code; up to 10 in their runs).
        gamma_ratio: the margin asked for, nats per token, in [0, infinity), sensibly 0 to 1; 0.5 (the paper's
            middle; the authors' code has 0.25, and TRL gives gamma itself).
    """

    beta: float = 2.0
    gamma_ratio: float = 0.5

    needs_reference = "none"
    reduction = "mean"
    bounds = {"beta": above(0), "gamma_ratio": at_least(0)}
    paper = "arXiv 2405.14734, eq. 6"

    def per_pair(self, x1: Tensor, x2: Tensor, context: Context) -> Tensor:
        return -logsigmoid(self.beta * (x1 - x2 - self.gamma_ratio))
