"""Length-desensitised DPO (LD-DPO, Liu et al., arXiv 2409.06411): what exceeds the shorter answer counts less."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from lpo_tts.bounds import above, at_least
from lpo_tts.logprobs import Logps, PairLogps
from lpo_tts.losses.base import Context, Loss, LossOutput
from lpo_tts.losses.log_ratios import token_log_ratio


@dataclass(frozen=True)
class LDDPO(Loss):
    """DPO whose log-ratios weigh the tokens beyond the length of the pair's shorter answer by alpha, in both models.

    `-log sigmoid(beta (X1 - X2))`, `X = sum_{t < n} x_t + alpha sum_{t >= n} x_t`, n = min(Nc, Nr). Made for answers that
    run on: their surplus, which decides a sum, says nothing about what both answers speak. log 2 where policy and
    reference agree. Rewards are `beta X`. Segment weights of the data do not go with this loss, since the
    places of tokens count; the trainer refuses them.

    Attributes:
        beta: in (0, infinity); 0.1 is DPO's.
        alpha: weight of the surplus, in [0, 1]: 1 is DPO, 0 cuts both answers to one length. 0.5 is ours: TRL
            (`ld_alpha`) has no default, and 0.3 to 0.6 is what the authors are remembered to have found best.
    """

    beta: float = 0.1
    alpha: float = 0.5

    needs_reference = "tokens"
    needs_tokens = True
    takes_weights = False
    bounds = {"beta": above(0), "alpha": at_least(0).at_most(1)}
    paper = "arXiv 2409.06411"

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        shorter = torch.minimum(policy.chosen.num_tokens, policy.rejected.num_tokens)
        x1 = self._log_ratio(policy.chosen, reference and reference.chosen, shorter, "chosen answers")
        x2 = self._log_ratio(policy.rejected, reference and reference.rejected, shorter, "rejected answers")
        return LossOutput(-logsigmoid(self.beta * (x1 - x2)), self.beta * x1.detach(), self.beta * x2.detach())

    def _log_ratio(self, policy: Logps, reference: Logps | None, shorter: Tensor, answers: str) -> Tensor:
        x = token_log_ratio(policy, reference, type(self).__name__, answers)
        common = torch.arange(x.shape[1], device=x.device) < shorter.unsqueeze(1)
        return torch.where(common, x, self.alpha * x).sum(1)
