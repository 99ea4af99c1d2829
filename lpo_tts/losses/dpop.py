"""DPO-Positive (Pal et al., "Smaug", arXiv 2402.13228, eq. 3): DPO that penalises a falling chosen answer."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.nn.functional import logsigmoid

from lpo_tts.logprobs import PairLogps
from lpo_tts.losses.base import Context, LossOutput, Preference
from lpo_tts.losses.log_ratios import check_range, log_ratios


@dataclass(frozen=True)
class Dpop(Preference):
    """`-log sigmoid(beta (m - lambda max(0, -x1)))` on summed log-ratios; log 2 = 0.693 at initialisation.

    Attributes:
        beta: as in DPO, in (0, infinity); 0.3 (the paper's Smaug runs, from memory).
        penalty: the paper's lambda, in [0, infinity), sensibly 5 to 500; 50 (the paper's Smaug runs, from memory).
    """

    beta: float = 0.3
    penalty: float = 50.0

    paper: ClassVar[str] = "arXiv 2402.13228, eq. 3"

    def __post_init__(self) -> None:
        check_range(self, "beta", 0, open_low=True)
        check_range(self, "penalty", 0)

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        """One loss per pair."""
        x1, x2 = log_ratios(policy, reference, self.reduction)
        losses = -logsigmoid(self.beta * (x1 - x2 - self.penalty * torch.relu(-x1)))
        return LossOutput(losses, self.beta * x1.detach(), self.beta * x2.detach())
