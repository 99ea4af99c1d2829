"""Odds Ratio Preference Optimization (Hong et al., arXiv 2403.07691, eq. 6 and 7): likelihood and log odds, no reference."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from lpo_tts.bounds import at_least
from lpo_tts.logprobs import PairLogps
from lpo_tts.losses.base import Context, Loss, LossOutput


@dataclass(frozen=True)
class ORPO(Loss):
    """`-p_c - lambda log sigmoid(odds(p_c) - odds(p_r))`, p = log-prob per token, `odds(p) = p - log(1 - exp(p))`.

    Has no fixed value at initialisation. The likelihood covers the answer alone (paper; TRL counts the prompt too).

    Attributes:
        ratio_weight: lambda, in [0, infinity); 0.1 (paper, TRL). It takes beta's place in the rewards, as in TRL.
    """

    ratio_weight: float = 0.1

    MAX_LOGP: ClassVar[float] = -1e-6  # ours: an answer of probability 1 has infinite odds
    needs_reference = "none"
    reduction = "mean"
    bounds = {"ratio_weight": at_least(0)}
    paper = "arXiv 2403.07691, eq. 6"

    def log_odds(self, logp: Tensor) -> Tensor:
        """log(p / (1 - p)) of (batch,) log-probs per token."""
        logp = logp.clamp(max=self.MAX_LOGP)
        return logp - torch.log(-torch.expm1(logp))

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        """One loss per pair; terms: "nll" and "odds"."""
        chosen, rejected = policy.chosen.mean, policy.rejected.mean
        odds = -self.ratio_weight * logsigmoid(self.log_odds(chosen) - self.log_odds(rejected))
        return LossOutput(
            losses=odds - chosen,
            chosen_rewards=self.ratio_weight * chosen.detach(),
            rejected_rewards=self.ratio_weight * rejected.detach(),
            terms={"nll": -chosen.detach(), "odds": odds.detach()},
        )
