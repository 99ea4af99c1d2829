"""Efficient Exact Optimization on pairs (Ji et al., arXiv 2402.00856, eq. 16): the reverse KL to softened labels."""

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import logsigmoid

from lpo_tts.logprobs import PairLogps
from lpo_tts.losses.base import Context, LossOutput, Preference
from lpo_tts.losses.log_ratios import check_range, log_ratios


@dataclass(frozen=True)
class Exo(Preference):
    """`q log(q / (1 - e)) + (1 - q) log((1 - q) / e)`, q = sigmoid(beta m), on summed log-ratios.

    2.7612 at initialisation at e = 0.001. Its gradient fades on both sides, also for pairs that are far on the
    wrong side.

    Attributes:
        beta: in (0, infinity); 0.1 (TRL).
        label_smoothing: e, in (0, 0.5); 0.001 (paper). At 0 the loss is infinite.
    """

    beta: float = 0.1
    label_smoothing: float = 1e-3

    paper: ClassVar[str] = "arXiv 2402.00856, eq. 16"

    def __post_init__(self) -> None:
        check_range(self, "beta", 0, open_low=True)
        check_range(self, "label_smoothing", 0, 0.5, open_low=True, open_high=True)

    @property
    def target_margin(self) -> float:
        """log((1 - e) / e) / beta, nats per answer."""
        return math.log((1 - self.label_smoothing) / self.label_smoothing) / self.beta

    def beyond_target(self, x1: Tensor, x2: Tensor) -> Tensor:
        """(batch,) bool: which pairs have passed the target."""
        return x1 - x2 > self.target_margin

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        """One loss per pair."""
        x1, x2 = log_ratios(policy, reference, self.reduction)
        z = self.beta * (x1 - x2)
        # q times its own logarithm, both from z: log(sigmoid(z)) of a q that underflowed would be nan
        won = z.sigmoid() * (logsigmoid(z) - math.log(1 - self.label_smoothing))
        lost = (-z).sigmoid() * (logsigmoid(-z) - math.log(self.label_smoothing))
        return LossOutput(won + lost, self.beta * x1.detach(), self.beta * x2.detach())
