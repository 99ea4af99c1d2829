"""Self-Play Preference Optimization (Wu et al., arXiv 2405.00675, eq. 4.7): each log-ratio regressed on its win probability."""

from dataclasses import dataclass

from torch import Tensor

from lpo_tts.bounds import above
from lpo_tts.losses.base import Context
from lpo_tts.losses.pairs import PairLoss


@dataclass(frozen=True)
class SPPO(PairLoss):
    """`(x1 - eta (P - 1/2))^2 + (x2 - eta (1/2 - P))^2` on summed log-ratios, P how often the chosen answer wins.

    P = 1 is the hard form, `(x1 - 1 / (2 beta))^2 + (x2 + 1 / (2 beta))^2`: 50 at initialisation at beta = 0.1.

    Attributes:
        beta: 1 / eta, and the scale of the rewards, in (0, infinity); 0.1 (TRL; the paper's runs use 0.001).
        eta: the paper's eta, in (0, infinity), where it should differ from 1 / beta; None (1 / beta, as in TRL).
        win_probability: P, one number for all pairs, in (0.5, 1]; 1 (TRL: the hard form).
    """

    beta: float = 0.1
    eta: float | None = None
    win_probability: float = 1.0

    bounds = {"beta": above(0), "eta": above(0), "win_probability": above(0.5).at_most(1)}
    paper = "arXiv 2405.00675, eq. 4.7"

    @property
    def target(self) -> float:
        """Where x1 should arrive, and -x2: eta (P - 1/2)."""
        return (1 / self.beta if self.eta is None else self.eta) * (self.win_probability - 0.5)

    @property
    def target_margin(self) -> float:
        """The two targets apart, eta (2 P - 1), nats per answer."""
        return 2 * self.target

    def per_pair(self, x1: Tensor, x2: Tensor, context: Context) -> Tensor:
        return (x1 - self.target).square() + (x2 + self.target).square()
