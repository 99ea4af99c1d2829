"""DPO weighted pair by pair by the score margin: common practice without a paper of its own, after arXiv 2305.18290, eq. 7."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import logsigmoid

from lpo_tts.bounds import above
from lpo_tts.losses.base import Context
from lpo_tts.losses.margins import margins_of
from lpo_tts.losses.pairs import PairLoss


@dataclass(frozen=True)
class WeightedDPO(PairLoss):
    """`-w log sigmoid(beta m)` on summed log-ratios, w = the pair's margin in the metric, clamped to [0, 1].

    w log 2 at initialisation. Scale a metric whose margins are large before using it here: all weights would be 1.

    Attributes:
        beta: as in DPO, in (0, infinity); 0.1 (ours: DPO's).
        metric: whose margin is the weight; "wer" (ours).
    """

    beta: float = 0.1
    metric: str = "wer"

    needs_margins = True
    bounds = {"beta": above(0)}
    paper = "after arXiv 2305.18290, eq. 7; weights ours"

    def per_pair(self, x1: Tensor, x2: Tensor, context: Context) -> Tensor:
        weight = margins_of(self, context, self.metric).clamp(0, 1)
        return -weight * logsigmoid(self.beta * (x1 - x2))
