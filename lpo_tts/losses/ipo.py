"""Identity Preference Optimization (Azar et al., arXiv 2310.12036, eq. 17), per token as its authors confirmed."""

from dataclasses import dataclass

from torch import Tensor

from lpo_tts.bounds import above
from lpo_tts.losses.base import Context, Reduction
from lpo_tts.losses.pairs import PairLoss


@dataclass(frozen=True)
class IPO(PairLoss):
    """`(m - 1 / (2 beta))^2`; 1 / (4 beta^2) at initialisation (25 at beta = 0.1).

    Attributes:
        beta: the paper's tau, in (0, infinity); 0.1 (TRL).
        reduction: "mean" takes m per token (TRL, HALOs, confirmed by the authors), "sum" per answer (as the
            equation reads); a sum asks for a beta smaller by about the number of tokens.
    """

    beta: float = 0.1
    reduction: Reduction = "mean"

    bounds = {"beta": above(0)}
    paper = "arXiv 2310.12036, eq. 17"

    @property
    def target_margin(self) -> float:
        """1 / (2 beta), nats per token or per answer."""
        return 0.5 / self.beta

    def per_pair(self, x1: Tensor, x2: Tensor, context: Context) -> Tensor:
        return (x1 - x2 - self.target_margin).square()
