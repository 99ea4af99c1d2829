"""Gradient-balanced DPO after Ma et al. (Balanced-DPO, arXiv 2502.20847); the exact published equation is not known to us."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch.nn.functional import logsigmoid

from lpo_tts.bounds import above, at_least
from lpo_tts.logprobs import PairLogps
from lpo_tts.losses.base import Context, Loss, LossOutput
from lpo_tts.losses.log_ratios import log_ratios


@dataclass(frozen=True)
class BalancedDPO(Loss):
    """DPO's value, with the chosen's gradient times `2 rho / (1 + rho)` and the rejected's times `2 / (1 + rho)`.

    `rho = exp(clamp(d, -log clip, log clip))`, detached. This is no reproduction of the paper: what is certain of it
    is that it reweighs the two gradients; the weights are ours. log 2 = 0.693 at initialisation.

    Attributes:
        beta: as in DPO, in (0, infinity); 0.1 (ours: DPO's).
        mode: "ratio" takes d = x1 - x2 per token, so that the start is DPO (ours, the default); "token" takes
            d = lc / Nc - lr / Nr, near AdaDPO; it weakens the chosen's gradient wherever recordings are less
            likely than samples, which is the rule.
        clip: bound of rho and 1 / rho, in [1, infinity); 2 (AdaDPO's). 1 is DPO.
    """

    beta: float = 0.1
    mode: Literal["ratio", "token"] = "ratio"
    clip: float = 2.0

    bounds = {"beta": above(0), "clip": at_least(1)}
    paper = "after arXiv 2502.20847; weights ours"

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        x1, x2 = log_ratios(policy, reference, self.reduction)
        if self.mode == "ratio":
            chosen, rejected = log_ratios(policy, reference, "mean")
        else:
            chosen, rejected = policy.chosen.mean, policy.rejected.mean
        bound = math.log(self.clip)
        rho = torch.exp((chosen - rejected).detach().clamp(-bound, bound))
        moves_chosen = -logsigmoid(self.beta * (x1 - x2.detach()))
        moves_rejected = -logsigmoid(self.beta * (x1.detach() - x2))
        # the weights add up to 2: taking DPO's loss off once leaves its value and the two weighted gradients
        losses = 2 * (rho * moves_chosen + moves_rejected) / (1 + rho) - moves_chosen.detach()
        return LossOutput(losses, self.beta * x1.detach(), self.beta * x2.detach())
