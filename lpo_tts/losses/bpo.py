"""Balanced Preference Optimization (Sun et al., arXiv 2506.03557): always the answer that lags behind is moved."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.nn.functional import logsigmoid

from lpo_tts.logprobs import PairLogps
from lpo_tts.losses.base import Context, LossOutput, Preference
from lpo_tts.losses.log_ratios import check_range, log_ratios


@dataclass(frozen=True)
class Bpo(Preference):
    """`-log sigmoid(min(beta x1, -alpha beta x2))` on summed log-ratios; log 2 = 0.693 at initialisation.

    Only the smaller of the two has a gradient; where they are equal, as at initialisation, each has half of it.

    Attributes:
        beta: in (0, infinity); 0.1 (ours: DPO's).
        alpha: the paper's gap adaptor, in (0, 1]; 0.5 (ours: the rejected answer may fall twice as far as the
            chosen one rises, before the chosen one alone is moved).
    """

    beta: float = 0.1
    alpha: float = 0.5

    paper: ClassVar[str] = "arXiv 2506.03557"

    def __post_init__(self) -> None:
        check_range(self, "beta", 0, open_low=True)
        check_range(self, "alpha", 0, 1, open_low=True)

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        """One loss per pair."""
        x1, x2 = log_ratios(policy, reference, self.reduction)
        losses = -logsigmoid(torch.minimum(self.beta * x1, -self.alpha * self.beta * x2))
        return LossOutput(losses, self.beta * x1.detach(), self.beta * x2.detach())
