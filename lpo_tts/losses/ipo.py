"""Identity Preference Optimization (Azar et al., arXiv 2310.12036, eq. 17), per token as its authors confirmed."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from lpo_tts.losses.base import LossOutput, PairLogps
from lpo_tts.losses.log_ratios import check_range, log_ratios


@dataclass(frozen=True)
class Ipo:
    """`(m - 1 / (2 beta))^2` on log-ratios per token; beta is the paper's tau."""

    beta: float = 0.1

    needs_reference: ClassVar[Literal["none", "logps"]] = "logps"
    reduction: ClassVar[Literal["sum", "mean"]] = "mean"

    def __post_init__(self) -> None:
        check_range(self, "beta", 0, open_low=True)

    @property
    def target_margin(self) -> float:
        """1 / (2 beta), nats per token."""
        return 0.5 / self.beta

    def beyond_target(self, x1: Tensor, x2: Tensor) -> Tensor:
        """(batch,) bool: which pairs have passed the target."""
        return x1 - x2 > self.target_margin

    def __call__(self, policy: PairLogps, reference: PairLogps | None) -> LossOutput:
        """One loss per pair."""
        x1, x2 = log_ratios(policy, reference, self.reduction)
        losses = (x1 - x2 - self.target_margin).square()
        return LossOutput(losses, self.beta * x1.detach(), self.beta * x2.detach())
