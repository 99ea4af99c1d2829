"""Robust DPO (Chowdhury et al., arXiv 2403.00409): an unbiased estimate of DPO's loss under swapped labels."""

from dataclasses import dataclass
from typing import ClassVar

from torch.nn.functional import logsigmoid

from lpo_tts.logprobs import PairLogps
from lpo_tts.losses.base import Context, LossOutput, Preference
from lpo_tts.losses.log_ratios import check_range, log_ratios


@dataclass(frozen=True)
class RobustDpo(Preference):
    """`(-(1 - e) log sigmoid(beta m) + e log sigmoid(-beta m)) / (1 - 2 e)` on summed log-ratios.

    Its expectation over labels swapped with probability e is DPO's loss under clean labels. It has no finite
    target and no lower bound: the gradient never fades below beta e / (1 - 2 e). log 2 = 0.693 at initialisation.

    Attributes:
        beta: as in DPO, in (0, infinity); 0.1 (TRL).
        label_smoothing: e, the probability that a label is swapped, in [0, 0.5); 0.1 (paper, as TRL quotes it).
    """

    beta: float = 0.1
    label_smoothing: float = 0.1

    paper: ClassVar[str] = "arXiv 2403.00409"

    def __post_init__(self) -> None:
        check_range(self, "beta", 0, open_low=True)
        check_range(self, "label_smoothing", 0, 0.5, open_high=True)

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        """One loss per pair."""
        x1, x2 = log_ratios(policy, reference, self.reduction)
        z = self.beta * (x1 - x2)
        e = self.label_smoothing
        losses = (-(1 - e) * logsigmoid(z) + e * logsigmoid(-z)) / (1 - 2 * e)
        return LossOutput(losses, self.beta * x1.detach(), self.beta * x2.detach())
