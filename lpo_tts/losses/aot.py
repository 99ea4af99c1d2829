"""Alignment via Optimal Transport (Melnyk et al., arXiv 2406.05882): DPO on the sorted values of a whole batch."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from lpo_tts.bounds import above, at_least
from lpo_tts.logprobs import PairLogps
from lpo_tts.losses.base import Context, Loss, LossOutput
from lpo_tts.losses.log_ratios import counterpart, log_ratios
from lpo_tts.losses.pairs import PairLoss


@dataclass(frozen=True)
class Transport(Loss):
    """What the two forms share: `-(1 - e) log sigmoid(beta d) - e log sigmoid(-beta d)` of differences d of sorted values.

    The batch is that of all processes. A row meets the value that holds its own place in the other sorted list, so
    it has a gradient of its own; rows of equal value share their places. log 2 = 0.693 at initialisation.

    Attributes:
        beta: in (0, infinity); 0.1 (TRL).
        label_smoothing: e, in [0, 0.5); 0 (TRL).
    """

    beta: float = 0.1
    label_smoothing: float = 0.0

    bounds = {"beta": above(0), "label_smoothing": at_least(0).below(0.5)}
    over_batch = True
    paper = "arXiv 2406.05882"

    def cost(self, difference: Tensor) -> Tensor:
        """DPO's loss of a difference, with label smoothing; of any shape."""
        z = self.beta * difference
        e = self.label_smoothing
        return -(1 - e) * logsigmoid(z) - e * logsigmoid(-z)


@dataclass(frozen=True)
class AOT(Transport):
    """Paired: d between the sorted policy margins lc - lr and the sorted reference margins Rc - Rr."""

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        x1, x2 = log_ratios(policy, reference, self.reduction)
        chosen = counterpart(policy.chosen, reference and reference.chosen)
        rejected = counterpart(policy.rejected, reference and reference.rejected)
        # the policy margin against the reference margin of the same place; only the former has a gradient
        margin = policy.chosen.total - policy.rejected.total
        reference_margins = context.gather(chosen.total - rejected.total).sort().values
        places = _places(margin.detach(), context.gather(margin.detach()))
        losses = (places * self.cost(margin[:, None] - reference_margins)).sum(1)
        return LossOutput(losses, self.beta * x1.detach(), self.beta * x2.detach())


@dataclass(frozen=True)
class AOTUnpaired(Transport, PairLoss):
    """Unpaired: d between the sorted x1 and the sorted x2; which answers form a pair does not matter.

    Half of what the row's chosen answer costs and half of what its rejected one does, each at its place.
    """

    def per_pair(self, x1: Tensor, x2: Tensor, context: Context) -> Tensor:
        all_x1, all_x2 = context.gather(x1.detach()), context.gather(x2.detach())
        chosen = (_places(x1.detach(), all_x1) * self.cost(x1[:, None] - all_x2.sort().values)).sum(1)
        rejected = (_places(x2.detach(), all_x2) * self.cost(all_x1.sort().values - x2[:, None])).sum(1)
        # each difference stands here twice, once with the gradient of either side: halve the value, not the gradients
        return chosen + rejected - (chosen + rejected).detach() / 2


def _places(own: Tensor, everyone: Tensor) -> Tensor:
    """(rows, all rows): what share of each place in the sorted `everyone` the rows of `own` hold; each row sums to 1."""
    before = (everyone < own[:, None]).sum(1, keepdim=True)
    through = (everyone <= own[:, None]).sum(1, keepdim=True)
    places = torch.arange(len(everyone), device=own.device)
    held = (places >= before) & (places < through)
    return held.to(own.dtype) / (through - before)
