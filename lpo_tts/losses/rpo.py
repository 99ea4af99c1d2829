"""Reward-aware Preference Optimization (Nemotron-4, arXiv 2406.11704; Sun et al., arXiv 2502.00203), backward KL."""

from dataclasses import dataclass
from typing import ClassVar

from torch.nn.functional import logsigmoid

from lpo_tts.logprobs import PairLogps
from lpo_tts.losses.base import Context, LossOutput, Preference
from lpo_tts.losses.log_ratios import check_range, log_ratios
from lpo_tts.losses.margins import margins_of


@dataclass(frozen=True)
class Rpo(Preference):
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

    needs_margins: ClassVar[bool] = True
    paper: ClassVar[str] = "arXiv 2406.11704"

    def __post_init__(self) -> None:
        check_range(self, "beta", 0, open_low=True)
        check_range(self, "eta", 0, open_low=True)

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        """One loss per pair."""
        x1, x2 = log_ratios(policy, reference, self.reduction)
        target = self.eta * margins_of(self, context, self.metric)
        z = self.beta * (x1 - x2)
        losses = target.sigmoid() * (logsigmoid(target) - logsigmoid(z))
        losses = losses + (-target).sigmoid() * (logsigmoid(-target) - logsigmoid(-z))
        return LossOutput(losses, self.beta * x1.detach(), self.beta * x2.detach())
