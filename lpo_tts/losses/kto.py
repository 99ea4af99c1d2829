"""Kahneman-Tversky Optimization (Ethayarajh et al., arXiv 2402.01306), on unpaired answers and on pairs."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lpo_tts.bounds import above
from lpo_tts.errors import ContractError
from lpo_tts.logprobs import PairLogps
from lpo_tts.losses.base import Context, Loss, LossOutput, Reduction
from lpo_tts.losses.log_ratios import log_ratio, log_ratios


@dataclass(frozen=True)
class KTO(Loss):
    """A desirable answer costs `lD (1 - S(beta (x - z0)))`, an undesirable one `lU (1 - S(beta (z0 - x)))`.

    S is the sigmoid, x the summed log-ratio, and z0 the reference point: how far the policy is from the reference
    anyhow, `max(0, mean log-ratio of answers under other rows' prompts)` over all processes, without gradient. Answers
    of both labels take part, as in TRL and in the authors' code; token weights of the data weigh x and z0 alike. The
    batch of one process needs more than one row, or there are no other rows' prompts.

    Each answer costs lD / 2 or lU / 2 where policy and reference agree. Losses: desirable first, then undesirable.

    Attributes:
        beta: steepness of the value, in (0, infinity); 0.1 is the paper's and TRL's.
        desirable_weight: lD, in (0, infinity); 1 is the paper's. Keep `lD nD : lU nU` between 1:1 and 4:3, where nD
            and nU are the numbers of desirable and undesirable answers in the data.
        undesirable_weight: lU, in (0, infinity); 1 is the paper's.
    """

    beta: float = 0.1
    desirable_weight: float = 1.0
    undesirable_weight: float = 1.0

    data = "unpaired"
    over_batch = True
    bounds = {"beta": above(0), "desirable_weight": above(0), "undesirable_weight": above(0)}
    paper = "arXiv 2402.01306"

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        """One loss per answer, desirable first; `chosen_rewards` has the desirable, `rejected_rewards` the others."""
        x1, x2 = log_ratios(policy, reference, self.reduction)
        z0 = reference_point(context, self.reduction, type(self).__name__)
        losses = torch.cat(
            [
                # 1 - S(z) as S(-z), which keeps its digits where S(z) is close to 1
                self.desirable_weight * torch.sigmoid(self.beta * (z0 - x1)),
                self.undesirable_weight * torch.sigmoid(self.beta * (x2 - z0)),
            ]
        )
        return LossOutput(losses, self.beta * x1.detach(), self.beta * x2.detach())


@dataclass(frozen=True)
class KTOPair(Loss):
    """KTO on pairs, as TRL once had it and the LPO repository has: each side's reference point is the other side's mean.

    `1/2 (1 - S(beta (x1 - KL2))) + 1/2 (1 - S(beta (KL1 - x2)))` with `KL1 = max(0, mean x1)` and `KL2 = max(0, mean x2)`
    over the batches of all processes. 0.5 per pair where policy and reference agree. No prompts need to be mismatched,
    but KL1 and KL2 are no estimates of a KL: the answers they are taken from are the preferred ones.

    Attributes:
        beta: in (0, infinity); 0.1 as in TRL.
        detach_kl: whether KL1 and KL2 are without gradient, as KTO's z0 is; true is ours. With false, as in the LPO
            repository, the chosen answers are also raised through KL1 (and, where mean x2 > 0, the rejected lowered
            through KL2).
    """

    beta: float = 0.1
    detach_kl: bool = True

    over_batch = True
    bounds = {"beta": above(0)}
    paper = "arXiv 2402.01306, pairs as in TRL's former kto_pair"

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        """One loss per pair, the mean of its two terms; terms: "chosen" and "rejected"."""
        x1, x2 = log_ratios(policy, reference, self.reduction)
        kl1, kl2 = (self._kl(x, context) for x in (x1, x2))
        chosen = torch.sigmoid(self.beta * (kl2 - x1)) / 2
        rejected = torch.sigmoid(self.beta * (x2 - kl1)) / 2
        return LossOutput(
            losses=chosen + rejected,
            chosen_rewards=self.beta * x1.detach(),
            rejected_rewards=self.beta * x2.detach(),
            terms={"chosen": chosen.detach(), "rejected": rejected.detach()},
        )

    def _kl(self, x: Tensor, context: Context) -> Tensor:
        return context.gather(x.detach() if self.detach_kl else x).mean().clamp(min=0)


def reference_point(context: Context, reduction: Reduction, name: str) -> Tensor:
    """KTO's z0, a scalar without gradient: the mean mismatched log-ratio over all processes, not below 0.

    Raises ContractError, naming the loss, when there are no mismatched log-probs or the two models counted other tokens.
    """
    if context.mismatched is None:
        raise ContractError(
            f"{name} takes its reference point from answers under other rows' prompts (context.mismatched), found none; "
            "score a batch of at least two rows with its answers exchanged, under policy and reference"
        )
    policy, reference = context.mismatched
    x = context.gather(log_ratio(policy, reference, reduction, "mismatched answers").detach())
    if not len(x):
        raise ContractError(f"{name}: the mismatched log-probs have no rows on any process; give it batches of at least two rows")
    return x.mean().clamp(min=0)
