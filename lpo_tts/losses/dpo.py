"""Direct Preference Optimization (Rafailov et al., arXiv 2305.18290, eq. 7)."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import logsigmoid

from lpo_tts.bounds import above, at_least
from lpo_tts.losses.base import Context
from lpo_tts.losses.pairs import PairLoss


@dataclass(frozen=True)
class DPO(PairLoss):
    """`-(1 - e) log sigmoid(beta m) - e log sigmoid(-beta m)` on summed log-ratios; e = 0 is the paper's loss.

    log 2 = 0.693 at initialisation.

    Attributes:
        beta: strength of the tie to the reference, in (0, infinity); 0.1 (paper, TRL).
        label_smoothing: e, the share of pairs believed to be the wrong way round, in [0, 0.5); 0 (paper).
            Above 0 this is conservative DPO, which `cdpo` offers under its own name.
    """

    beta: float = 0.1
    label_smoothing: float = 0.0

    bounds = {"beta": above(0), "label_smoothing": at_least(0).below(0.5)}  # at 0.5 no pair says anything
    paper = "arXiv 2305.18290, eq. 7"

    def per_pair(self, x1: Tensor, x2: Tensor, context: Context) -> Tensor:
        z = self.beta * (x1 - x2)
        if not self.label_smoothing:
            return -logsigmoid(z)
        return (1 - self.label_smoothing) * -logsigmoid(z) - self.label_smoothing * logsigmoid(-z)
