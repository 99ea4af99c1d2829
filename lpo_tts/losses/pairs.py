"""Losses of pairs that are one formula on two numbers per pair: what stands around the formula."""

from abc import abstractmethod
from dataclasses import replace
from typing import ClassVar

from torch import Tensor

from lpo_tts.logprobs import Logps, PairLogps
from lpo_tts.losses.base import Context, Loss, LossOutput
from lpo_tts.losses.log_ratios import log_ratios


class PairLoss(Loss):
    """A loss of single pairs, given by `per_pair`; the rewards are beta times the two numbers it is given.

    Attributes:
        beta: scale of the rewards, and whatever else the loss makes of it; 1 for a loss that has none.
    """

    beta: ClassVar[float] = 1.0

    @abstractmethod
    def per_pair(self, x1: Tensor, x2: Tensor, context: Context) -> Tensor:
        """The loss of each pair, (batch,).

        Args:
            x1: (batch,) log-ratios of the chosen answers in the loss's reduction; of a loss that needs no reference, log-probs.
            x2: of the rejected answers.
            context: what else the loss declares a need for.
        """

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        """One loss per pair."""
        if self.needs_reference != "none":
            x1, x2 = log_ratios(policy, reference, self.reduction)
        elif self.reduction == "sum":
            x1, x2 = policy.chosen.total, policy.rejected.total
        else:
            x1, x2 = policy.chosen.mean, policy.rejected.mean
        return LossOutput(self.per_pair(x1, x2, context), self.beta * x1.detach(), self.beta * x2.detach())


def with_likelihood(output: LossOutput, weight: float, chosen: Logps) -> LossOutput:
    """Adds `-weight lc / Nc`, the chosen answer's negative log-likelihood per token; terms: "preference" and "nll"."""
    nll = -weight * chosen.mean
    terms = {"preference": output.losses.detach(), "nll": nll.detach()}
    return replace(output, losses=output.losses + nll, terms=terms)
