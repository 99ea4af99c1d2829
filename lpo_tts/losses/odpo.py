"""DPO with an offset (Amini et al., ODPO, arXiv 2402.10571): a better answer has to win by more."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import logsigmoid

from lpo_tts.bounds import above, at_least
from lpo_tts.losses.base import Context
from lpo_tts.losses.margins import margins_of
from lpo_tts.losses.pairs import PairLoss


@dataclass(frozen=True)
class ODPO(PairLoss):
    """`-log sigmoid(beta m - alpha log(gap))` on summed log-ratios, gap = the pair's margin in the metric.

    A gap of 1 asks for no offset, a smaller one for less than none: a metric in small units, such as an error rate
    between 0 and 1, has negative offsets throughout. At initialisation `-log sigmoid(-alpha log(gap))`.

    Attributes:
        beta: in (0, infinity); 0.1 (ours: DPO's).
        alpha: scale of the offset, in [0, infinity); 1 (ours: the plain logarithm). 0 is DPO.
        metric: whose margin is the gap; "wer" (ours).
    """

    beta: float = 0.1
    alpha: float = 1.0
    metric: str = "wer"

    MIN_GAP: ClassVar[float] = 1e-6  # ours: answers that are equally good have log(gap) = -infinity
    needs_margins = True
    bounds = {"beta": above(0), "alpha": at_least(0)}
    paper = "arXiv 2402.10571"

    def per_pair(self, x1: Tensor, x2: Tensor, context: Context) -> Tensor:
        gap = margins_of(self, context, self.metric)
        offset = self.alpha * gap.clamp(min=self.MIN_GAP).log()
        return -logsigmoid(self.beta * (x1 - x2) - offset)
