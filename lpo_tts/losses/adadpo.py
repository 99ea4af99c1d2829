"""AdaDPO (arXiv 2605.28440): DPO whose chosen answer gets the beta at which both probabilities change alike."""

import math
from dataclasses import dataclass

import torch
from torch.nn.functional import logsigmoid

from lpo_tts.bounds import above, at_least
from lpo_tts.logprobs import PairLogps
from lpo_tts.losses.base import Context, Loss, LossOutput
from lpo_tts.losses.log_ratios import log_ratios


@dataclass(frozen=True)
class AdaDPO(Loss):
    """`-log sigmoid(beta_w x1 - beta x2)` on sums, `beta_w = beta clamp(exp(lc / Nc - lr / Nr), 1 / clip, clip)`, detached.

    Taken from a review of the paper, not from its text. log 2 = 0.693 at initialisation.

    Attributes:
        beta: in (0, infinity); 0.1 (ours: DPO's).
        clip: bound of beta_w / beta, in [1, infinity), sensibly 1.5 to 2.5; 2 (paper). The floor 1 / clip is ours:
            whether the paper has one is not known to us.
    """

    beta: float = 0.1
    clip: float = 2.0

    bounds = {"beta": above(0), "clip": at_least(1)}
    paper = "arXiv 2605.28440"

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        x1, x2 = log_ratios(policy, reference, self.reduction)
        bound = math.log(self.clip)
        coefficient = torch.exp((policy.chosen.mean - policy.rejected.mean).detach().clamp(-bound, bound))
        losses = -logsigmoid(self.beta * (coefficient * x1 - x2))
        return LossOutput(losses, self.beta * x1.detach(), self.beta * x2.detach())
