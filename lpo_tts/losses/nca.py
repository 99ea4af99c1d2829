"""Noise Contrastive Alignment of pairs (Chen et al., arXiv 2402.05369): each log-ratio told apart from the reference's 0."""

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import logsigmoid

from lpo_tts.logprobs import PairLogps
from lpo_tts.losses.base import Context, LossOutput, Preference
from lpo_tts.losses.log_ratios import check_range, log_ratios


@dataclass(frozen=True)
class Nca(Preference):
    """`-log s(b x1) - log s(-b x1) / 2 - log s(-b x2) / 2`, s = sigmoid, on summed log-ratios.

    2 log 2 = 1.386 at initialisation. The chosen answer has a finite target, b x1 = log 2, the rejected one has
    none; hence there is no `target_margin`.

    Attributes:
        beta: b, in (0, infinity); 0.1 (TRL; the paper's runs use 0.01).
    """

    beta: float = 0.1

    paper: ClassVar[str] = "arXiv 2402.05369"

    def __post_init__(self) -> None:
        check_range(self, "beta", 0, open_low=True)

    def beyond_target(self, x1: Tensor, x2: Tensor) -> Tensor:
        """(batch,) bool: whose chosen answer has passed log 2 / beta, from where it is pushed down."""
        return x1 > math.log(2) / self.beta

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        """One loss per pair."""
        x1, x2 = log_ratios(policy, reference, self.reduction)
        chosen, rejected = self.beta * x1, self.beta * x2
        losses = -logsigmoid(chosen) - 0.5 * logsigmoid(-chosen) - 0.5 * logsigmoid(-rejected)
        return LossOutput(losses, chosen.detach(), rejected.detach())
