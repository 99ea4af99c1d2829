"""Robust DPO (Chowdhury et al., arXiv 2403.00409): an unbiased estimate of DPO's loss under swapped labels."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import logsigmoid

from lpo_tts.bounds import above, at_least
from lpo_tts.losses.base import Context
from lpo_tts.losses.pairs import PairLoss


@dataclass(frozen=True)
class RobustDPO(PairLoss):
    """`(-(1 - e) log sigmoid(beta m) + e log sigmoid(-beta m)) / (1 - 2 e)` on summed log-ratios.

    Its expectation over labels swapped with probability e is DPO's loss under clean labels. It has no finite
    target and no lower bound: the gradient never fades below beta e / (1 - 2 e). log 2 = 0.693 at initialisation.

    Attributes:
        beta: as in DPO, in (0, infinity); 0.1 (TRL).
        label_smoothing: e, the probability that a label is swapped, in [0, 0.5); 0.1 (paper, as TRL quotes it).
    """

    beta: float = 0.1
    label_smoothing: float = 0.1

    bounds = {"beta": above(0), "label_smoothing": at_least(0).below(0.5)}
    paper = "arXiv 2403.00409"

    def per_pair(self, x1: Tensor, x2: Tensor, context: Context) -> Tensor:
        z = self.beta * (x1 - x2)
        e = self.label_smoothing
        return (-(1 - e) * logsigmoid(z) + e * logsigmoid(-z)) / (1 - 2 * e)
