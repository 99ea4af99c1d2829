"""beta-DPO (Wu et al., arXiv 2407.08639): a beta for each batch by how wide its margins are, and outliers left out."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from lpo_tts.bounds import above, at_least
from lpo_tts.logprobs import PairLogps
from lpo_tts.losses.base import Context, Loss, LossOutput
from lpo_tts.losses.log_ratios import log_ratios


@dataclass(frozen=True)
class BetaDPO(Loss):
    """`-log sigmoid(beta_B m)`, `beta_B = max(0.001, beta (1 + a (mean m - M0)))`, over the pairs that are kept.

    Kept is the share `keep` of the pairs of all processes whose m lies nearest to M0; the others have loss 0, and the
    kept ones are scaled up so that the batch's mean is theirs. Pairs that are at most `TIE` nats farther than the last
    one kept stay as well: there is no order among equals, so that neither the order of rows nor float32 rounding decides.
    Where policy and reference agree, all pairs are equal and stay; the loss is log 2 = 0.693.

    The paper draws the pairs with the weights `exp(-(m - M0)^2 / (2 std^2))`. Taking those of the largest weights is
    ours: it needs no random numbers that processes must share, and it needs no std, which is kept to be logged.

    M0 and std are running means of m and of its standard deviation (the biased one, divided by the number of pairs).
    They move once per optimizer step, after its loss, by all rows of the step; the loss uses those of the steps before.
    The authors' code moves them before every forward pass, a held-out one too, and by the unbiased deviation. Ours gives
    all passes of a step the same M0. With `keep` 1 the authors' loss is ours with a sensitivity of `momentum` times
    theirs: 0.54 in place of 0.6.

    Attributes:
        beta: in (0, infinity); 0.1 (paper).
        sensitivity: the paper's alpha, the code's a, in [0, infinity); 0.6 (paper; the authors' code has 0).
        keep: the share of pairs kept, in (0, 1]; 0.8 (paper: a fifth is left out).
        momentum: share of the old M0 and std that a step keeps, in [0, 1]; 0.9 (paper).
    """

    beta: float = 0.1
    sensitivity: float = 0.6
    keep: float = 0.8
    momentum: float = 0.9

    MIN_BETA: ClassVar[float] = 1e-3  # authors' code
    TIE: ClassVar[float] = 1e-3  # nats; what rounding makes of an answer that both models find equally likely
    over_batch = True
    bounds = {"beta": above(0), "sensitivity": at_least(0), "keep": above(0).at_most(1), "momentum": at_least(0).at_most(1)}
    paper = "arXiv 2407.08639"

    def initial_state(self) -> dict[str, float]:
        """M0 and std, both 0: the margins of a policy that equals the reference."""
        return {"mean": 0.0, "std": 0.0}

    def next_state(self, state: Mapping[str, float], observed: Mapping[str, float]) -> dict[str, float]:
        """M0 and std move towards the step's mean margin and standard deviation."""
        mean = observed["margin"]
        std = math.sqrt(max(0.0, observed["margin_square"] - mean * mean))
        old = self.momentum
        return {"mean": old * state["mean"] + (1 - old) * mean, "std": old * state["std"] + (1 - old) * std}

    def weights(self, margins: Tensor, state: Mapping[str, float]) -> Tensor:
        """The paper's weight of each of (rows,) margins: 1 at M0, falling with the distance; 1 for all without a std."""
        std = state.get("std", 0.0)
        if std <= 0:
            return torch.ones_like(margins)
        return torch.exp(-0.5 * ((margins - state.get("mean", 0.0)) / std).square())

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        """One loss per pair; observed: "margin" and "margin_square"."""
        x1, x2 = log_ratios(policy, reference, self.reduction)
        margin = (x1 - x2).detach()
        margins = context.gather(margin)
        center = context.state.get("mean", 0.0)
        count = max(1, math.floor(self.keep * len(margins) + 1e-6))  # 0.8 * 5 is 4, whatever a float makes of it
        # by distance, which orders as the weights do: far from M0 those are all 0 in float32
        reach = (margins - center).abs().kthvalue(count).values + self.TIE
        kept = (margins - center).abs() <= reach
        deviation = margins[kept].mean() - center
        beta = (self.beta * (1 + self.sensitivity * deviation)).clamp(min=self.MIN_BETA)
        scale = ((margin - center).abs() <= reach) * (len(margins) / kept.sum())
        losses = scale * -logsigmoid(beta * (x1 - x2))
        return LossOutput(
            losses,
            self.beta * x1.detach(),
            self.beta * x2.detach(),
            observed={"margin": margin, "margin_square": margin.square()},
        )
