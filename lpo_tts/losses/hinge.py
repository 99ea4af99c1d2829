"""Hinge on DPO's margin (Liu et al., "RSO", arXiv 2309.06657, hinge-norm): SLiC's loss with a reference."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from lpo_tts.logprobs import PairLogps
from lpo_tts.losses.base import Context, LossOutput, Preference
from lpo_tts.losses.log_ratios import check_range, log_ratios


@dataclass(frozen=True)
class Hinge(Preference):
    """`max(0, 1 - beta m)` on summed log-ratios; 1 at initialisation.

    Past its target a pair gets no gradient, but is not pushed back either; hence no `beyond_target`, whose
    share is watched because of the push back.

    Attributes:
        beta: 1 / target margin, in (0, infinity); 0.1 (TRL).
    """

    beta: float = 0.1

    paper: ClassVar[str] = "arXiv 2309.06657"

    def __post_init__(self) -> None:
        check_range(self, "beta", 0, open_low=True)

    @property
    def target_margin(self) -> float:
        """1 / beta, nats per answer."""
        return 1 / self.beta

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        """One loss per pair."""
        x1, x2 = log_ratios(policy, reference, self.reduction)
        losses = torch.relu(1 - self.beta * (x1 - x2))
        return LossOutput(losses, self.beta * x1.detach(), self.beta * x2.detach())
