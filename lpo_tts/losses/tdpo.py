"""Token-level Direct Preference Optimization (Zeng et al., arXiv 2404.11999), both forms."""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from lpo_tts.bounds import above, at_least
from lpo_tts.errors import ContractError
from lpo_tts.logprobs import PairLogps
from lpo_tts.losses.base import Context, Loss, LossOutput
from lpo_tts.losses.log_ratios import log_ratios, vocabulary_sum


@dataclass(frozen=True)
class _TDPO(Loss):
    beta: float = 0.1

    needs_reference = "logits"
    needs_logits = "both"
    bounds = {"beta": above(0)}

    def over_vocabulary(self, logits: Tensor, reference_logits: Tensor | None, targets: Tensor) -> dict[str, Tensor]:
        """{"kl": KL(reference || policy) of every next-token distribution}, with gradient to the policy's logits."""
        if reference_logits is None:
            raise ContractError(f"{type(self).__name__} measures a KL over the vocabulary, but no reference logits were given")
        ours, theirs = logits.log_softmax(-1), reference_logits.detach().log_softmax(-1)
        p = theirs.exp()
        # where p is 0 so is the summand, and an entry that both models exclude (-inf) would make it nan
        return {"kl": torch.where(p > 0, p * (theirs - ours), 0).sum(-1)}

    @abstractmethod
    def _penalty(self, chosen: Tensor, rejected: Tensor) -> Tensor:
        """(batch,) from the two answers' summed KL."""

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        """One loss per pair; rewards are beta times the log-ratios, without the KL."""
        x1, x2 = log_ratios(policy, reference, self.reduction)
        penalty = self._penalty(vocabulary_sum(policy.chosen, "kl"), vocabulary_sum(policy.rejected, "kl"))
        losses = -logsigmoid(self.beta * (x1 - x2 - penalty))
        return LossOutput(losses, self.beta * x1.detach(), self.beta * x2.detach())


@dataclass(frozen=True)
class TDPO1(_TDPO):
    """`-log sigmoid(beta (m - (Dr - Dc)))`, D being the sum over an answer's tokens of KL(reference || policy).

    The full distributions of both models are needed. log 2 where policy and reference agree. Both D carry gradient:
    the chosen answer's KL is pushed up, the rejected's down; `tdpo2` leaves the chosen's alone.

    Attributes:
        beta: in (0, infinity); 0.1 is the paper's.
    """

    paper = "arXiv 2404.11999, TDPO1"

    def _penalty(self, chosen: Tensor, rejected: Tensor) -> Tensor:
        return rejected - chosen


@dataclass(frozen=True)
class TDPO2(_TDPO):
    """`-log sigmoid(beta (m - alpha (Dr - sg(Dc))))`, D being the sum over an answer's tokens of KL(reference || policy).

    The full distributions of both models are needed. log 2 where policy and reference agree.

    Attributes:
        beta: in (0, infinity); 0.1 is the paper's.
        alpha: weight of the difference of the two KL, in [0, infinity), 0 being DPO; 0.5 is the authors' code.
    """

    alpha: float = 0.5

    bounds = {"alpha": at_least(0)}
    paper = "arXiv 2404.11999, TDPO2"

    def _penalty(self, chosen: Tensor, rejected: Tensor) -> Tensor:
        return self.alpha * (rejected - chosen.detach())
