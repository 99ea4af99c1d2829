"""Reward-aware Preference Optimization (Nemotron-4, arXiv 2406.11704; Sun et al., arXiv 2502.00203), backward KL."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import logsigmoid

from lpo_tts.bounds import above
from lpo_tts.losses.base import Context
from lpo_tts.losses.margins import margins_of
from lpo_tts.losses.pairs import PairLoss


@dataclass(frozen=True)
class RPO(PairLoss):
    """`KL(Bernoulli(sigmoid(eta gap)) || Bernoulli(sigmoid(beta m)))` on summed log-ratios, gap = the margin in the metric.

    The target beta m = eta gap is finite and differs from pair to pair; hence no `target_margin`. At initialisation
    the KL between the gap's coin and a fair one: 0 where the answers are equally good, at most log 2. The formula is
    from memory of the two papers.

    Attributes:
        beta: in (0, infinity); 0.1 (ours: DPO's).
        eta: reward units per unit of the metric, in (0, infinity); 1 (ours; the papers tune it to their reward).
        metric: whose margin is the gap; "wer" (ours).
    """

    beta: float = 0.1
    eta: float = 1.0
    metric: str = "wer"

    needs_margins = True
    bounds = {"beta": above(0), "eta": above(0)}
    paper = "arXiv 2406.11704"

    def per_pair(self, x1: Tensor, x2: Tensor, context: Context) -> Tensor:
        target = self.eta * margins_of(self, context, self.metric)
        z = self.beta * (x1 - x2)
        won = target.sigmoid() * (logsigmoid(target) - logsigmoid(z))
        lost = (-target).sigmoid() * (logsigmoid(-target) - logsigmoid(-z))
        return won + lost
