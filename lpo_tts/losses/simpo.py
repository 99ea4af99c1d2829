"""Simple Preference Optimization (Meng et al., arXiv 2405.14734, eq. 6): log-probs per token, no reference, a margin."""

from dataclasses import dataclass
from typing import ClassVar

from torch.nn.functional import logsigmoid

from lpo_tts.logprobs import PairLogps
from lpo_tts.losses.base import Context, LossOutput, Need, Preference
from lpo_tts.losses.log_ratios import check_range


@dataclass(frozen=True)
class SimPo(Preference):
    """`-log sigmoid(beta (lc / Nc - lr / Nr) - gamma)`, gamma = beta * gamma_ratio; no fixed value at initialisation.

    Attributes:
        beta: in (0, infinity); 2 (authors' code; up to 10 in their runs).
        gamma_ratio: the margin asked for, nats per token, in [0, infinity), sensibly 0 to 1; 0.5 (the paper's
            middle; the authors' code has 0.25, and TRL gives gamma itself).
    """

    beta: float = 2.0
    gamma_ratio: float = 0.5

    needs_reference: ClassVar[Need] = "none"
    reduction = "mean"
    paper: ClassVar[str] = "arXiv 2405.14734, eq. 6"

    def __post_init__(self) -> None:
        check_range(self, "beta", 0, open_low=True)
        check_range(self, "gamma_ratio", 0)

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        """One loss per pair."""
        chosen, rejected = policy.chosen.mean, policy.rejected.mean
        losses = -logsigmoid(self.beta * (chosen - rejected - self.gamma_ratio))
        return LossOutput(losses, self.beta * chosen.detach(), self.beta * rejected.detach())
