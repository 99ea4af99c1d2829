"""Supervised fine-tuning on the chosen answers alone: the baseline a preference loss has to beat."""

from dataclasses import dataclass

from lpo_tts.logprobs import PairLogps
from lpo_tts.losses.base import Context, Loss, LossOutput
from lpo_tts.losses.log_ratios import log_ratios


@dataclass(frozen=True)
class SFT(Loss):
    """`-lc / Nc`: negative log-likelihood per token of the chosen answer; the rejected one gets no gradient.

    Rewards are log-ratios per token where reference log-probs are at hand, else log-probs per token.
    """

    needs_reference = "none"
    reduction = "mean"
    paper = "maximum likelihood; no paper of its own"

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        rewards = log_ratios(policy, reference, "mean") if reference else (policy.chosen.mean, policy.rejected.mean)
        return LossOutput(-policy.chosen.mean, rewards[0].detach(), rewards[1].detach())
