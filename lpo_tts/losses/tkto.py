"""Token-level KTO (TKTO, arXiv 2510.05799): KTO's value token by token, with a weight for every token."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lpo_tts.bounds import above
from lpo_tts.errors import ConfigError, ContractError
from lpo_tts.logprobs import Logps, PairLogps
from lpo_tts.losses.base import Context, Loss, LossOutput
from lpo_tts.losses.kto import reference_point
from lpo_tts.losses.log_ratios import log_ratios, token_log_ratio


def token_weights(log_ratio: Tensor, mu: float, low: float, high: float) -> Tensor:
    """`exp(mu clamp(log pi+ / pi-, low, high))`, the importance of every token, of the shape of `log_ratio`.

    The result is what the columns `chosen_importance`, `rejected_importance` and `answer_importance` of the data take.

    Args:
        log_ratio: log-probs token by token of a KTO model trained on the labels, less those of one trained on the
            flipped labels.
        mu: above 0 for desirable answers, where tokens typical of good speech then count more; below 0 for undesirable.
        low: lowest log-ratio that still makes a difference, nats.
        high: highest.

    The paper's mu, low and high are not known to us.
    """
    if not low <= high:
        raise ConfigError(f"token_weights: low = {low!r} lies above high = {high!r}")
    return torch.exp(mu * log_ratio.clamp(low, high))


@dataclass(frozen=True)
class TKTO(Loss):
    """KTO with `lD mean_t w_t (1 - S(beta (x_t - z0)))` for a desirable answer, `lU mean_t w_t (1 - S(beta (z0 - x_t)))` else.

    x_t is the log-ratio of one token, w_t its importance, and z0 that of KTO but per token:
    `max(0, mean log-ratio per token of answers under other rows' prompts)`, over all processes, without gradient.

    w_t comes with the data, since it is made by two models that are no longer there while this one trains:
    `context.importance`, (batch, longest) per side, from the columns `answer_importance`, or `chosen_importance` and
    `rejected_importance`; 1 where there are none, which is plain KTO per token. `token_weights` is the paper's formula
    for it; no step of a recipe trains the two models. The mu, L and U the paper used are not known to us, nor whether
    it shares z0 among tokens; the mean over tokens is ours, so that long answers count no more than short ones.

    Each answer costs lD / 2 or lU / 2 where policy and reference agree and all w_t are 1. Segment weights of the data
    (`answer_weights` and the like) do not go with this loss: the trainer refuses them.

    Attributes:
        beta: in (0, infinity), per token; 0.1 is KTO's. The paper's is not known to us.
        desirable_weight: lD, in (0, infinity); 1 is KTO's.
        undesirable_weight: lU, in (0, infinity); 1 is KTO's.
    """

    beta: float = 0.1
    desirable_weight: float = 1.0
    undesirable_weight: float = 1.0

    needs_reference = "tokens"
    reduction = "mean"
    needs_tokens = True
    takes_weights = False
    takes_importance = True
    data = "unpaired"
    over_batch = True
    bounds = {"beta": above(0), "desirable_weight": above(0), "undesirable_weight": above(0)}
    paper = "arXiv 2510.05799"

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        """One loss per answer, desirable first; `chosen_rewards` has the desirable, `rejected_rewards` the others."""
        x1, x2 = log_ratios(policy, reference, self.reduction)
        z0 = reference_point(context, self.reduction, type(self).__name__)
        desirable, undesirable = context.importance or (None, None)
        chosen = self._cost(policy.chosen, reference and reference.chosen, desirable, z0, -1)
        rejected = self._cost(policy.rejected, reference and reference.rejected, undesirable, z0, 1)
        losses = torch.cat([self.desirable_weight * chosen, self.undesirable_weight * rejected])
        return LossOutput(losses, self.beta * x1.detach(), self.beta * x2.detach())

    def _cost(self, policy: Logps, reference: Logps | None, importance: Tensor | None, z0: Tensor, sign: int) -> Tensor:
        name = type(self).__name__
        costs = torch.sigmoid(sign * self.beta * (token_log_ratio(policy, reference, name) - z0))
        if importance is not None:
            if importance.shape != costs.shape:
                raise ContractError(
                    f"{name}: the importance of tokens has shape {tuple(importance.shape)}, the tokens have "
                    f"{tuple(costs.shape)}; give one factor per token"
                )
            costs = importance * costs
        # padding has log-ratio 0, but a cost all the same
        inside = torch.arange(costs.shape[1], device=costs.device) < policy.num_tokens.unsqueeze(1)
        return costs.masked_fill(~inside, 0).sum(1) / policy.num_tokens
