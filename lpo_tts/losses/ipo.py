"""Identity Preference Optimization (Azar et al., arXiv 2310.12036, eq. 17), per token as its authors confirmed."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from lpo_tts.logprobs import PairLogps
from lpo_tts.losses.base import Context, LossOutput, Preference, Reduction
from lpo_tts.losses.log_ratios import check_choice, check_range, log_ratios


@dataclass(frozen=True)
class Ipo(Preference):
    """`(m - 1 / (2 beta))^2`; 1 / (4 beta^2) at initialisation (25 at beta = 0.1).

    Attributes:
        beta: the paper's tau, in (0, infinity); 0.1 (TRL).
        reduction: "mean" takes m per token (TRL, HALOs, confirmed by the authors), "sum" per answer (as the
            equation reads); a sum asks for a beta smaller by about the number of tokens.
    """

    beta: float = 0.1
    reduction: Reduction = "mean"

    paper: ClassVar[str] = "arXiv 2310.12036, eq. 17"

    def __post_init__(self) -> None:
        check_range(self, "beta", 0, open_low=True)
        check_choice(self, "reduction", ("mean", "sum"))

    @property
    def target_margin(self) -> float:
        """1 / (2 beta), nats per token or per answer."""
        return 0.5 / self.beta

    def beyond_target(self, x1: Tensor, x2: Tensor) -> Tensor:
        """(batch,) bool: which pairs have passed the target."""
        return x1 - x2 > self.target_margin

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        """One loss per pair."""
        x1, x2 = log_ratios(policy, reference, self.reduction)
        losses = (x1 - x2 - self.target_margin).square()
        return LossOutput(losses, self.beta * x1.detach(), self.beta * x2.detach())
