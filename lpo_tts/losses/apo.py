"""Anchored Preference Optimization (D'Oosterlinck et al., arXiv 2408.06266, eq. 7 and 8): both answers held to the reference."""

from dataclasses import dataclass
from typing import ClassVar

from lpo_tts.logprobs import PairLogps
from lpo_tts.losses.base import Context, LossOutput, Preference
from lpo_tts.losses.log_ratios import check_range, log_ratios


@dataclass(frozen=True)
class ApoZero(Preference):
    """`1 - sigmoid(beta x1) + sigmoid(beta x2)` on summed log-ratios: chosen up and rejected down, each by itself.

    For chosen answers that are better than what the model gives; 1 at initialisation. The gradients fade as the
    log-ratios leave 0, to either side.

    Attributes:
        beta: in (0, infinity); 0.1 (paper, TRL).
    """

    beta: float = 0.1

    paper: ClassVar[str] = "arXiv 2408.06266, eq. 7"

    def __post_init__(self) -> None:
        check_range(self, "beta", 0, open_low=True)

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        """One loss per pair."""
        x1, x2 = log_ratios(policy, reference, self.reduction)
        chosen, rejected = self.beta * x1, self.beta * x2
        losses = (-chosen).sigmoid() + rejected.sigmoid()
        return LossOutput(losses, chosen.detach(), rejected.detach())


@dataclass(frozen=True)
class ApoDown(Preference):
    """`sigmoid(beta x1) + 1 - sigmoid(beta m)` on summed log-ratios: both answers down, the rejected one further.

    For chosen answers that are worse than what the model gives; 1 at initialisation, where the chosen answer has
    no gradient at all.

    Attributes:
        beta: in (0, infinity); 0.1 (paper, TRL).
    """

    beta: float = 0.1

    paper: ClassVar[str] = "arXiv 2408.06266, eq. 8"

    def __post_init__(self) -> None:
        check_range(self, "beta", 0, open_low=True)

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        """One loss per pair."""
        x1, x2 = log_ratios(policy, reference, self.reduction)
        chosen, rejected = self.beta * x1, self.beta * x2
        losses = chosen.sigmoid() + (rejected - chosen).sigmoid()
        return LossOutput(losses, chosen.detach(), rejected.detach())
