"""Linear Preference Optimization (LPO, arXiv 2508.14947) in its five published forms.

Every form measures the distance of the margin m = x1 - x2 to an offset o = 1 / (2 beta), and adds
gamma * max(0, -x1), which holds the chosen answer up where it fell below the reference. The forms of the
authors' code are twice the paper's in value; `lpo-ste` has the paper's gradient when r1 = r2.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from lpo_tts.bounds import above, at_least
from lpo_tts.errors import ConfigError
from lpo_tts.logprobs import PairLogps
from lpo_tts.losses.base import Context, Loss, LossOutput, Reduction
from lpo_tts.losses.log_ratios import log_ratios

Overshoot = Literal["reflect", "stop", "reject_only"]

BETA = 0.2  # the paper's, in nats per token
GAMMA = 10.0  # every released run script of the authors


@dataclass(frozen=True)
class Linear(Loss):
    """What the five forms share: the offset, the gamma term, and what happens beyond the offset.

    At initialisation (x1 = x2 = 0) the paper's form is 1 and the authors' forms are 2, for every beta.

    Attributes:
        beta: 1 / (2 * offset), in (0, infinity); 0.2 unless `margin` is given (paper and authors' code).
        margin: the offset itself, in (0, infinity), nats per token ("mean") or per answer ("sum"); another way to
            give beta (ours: it is the quantity one can read off a run).
        gamma: weight of max(0, -x1), in [0, infinity); 10 unless `gamma_ratio` is given (every released run script
            of the authors; their code's default is 5).
        gamma_ratio: gamma as a multiple of the preference gradient on x1, in [0, infinity), sensibly 3 to 15;
            another way to give gamma (ours: a larger beta needs a larger gamma, which this does by itself).
        overshoot: beyond the offset, "reflect" pushes chosen down and rejected up at full strength (paper),
            "stop" ends the preference gradient, "reject_only" corrects through the rejected answer alone (both ours).
        reduction: whether x1 and x2 are per token ("mean": paper) or per answer ("sum").
    """

    beta: float | None = None
    gamma: float | None = None
    margin: float | None = None
    gamma_ratio: float | None = None
    overshoot: Overshoot = "reflect"
    reduction: Reduction = "mean"

    bounds = {"beta": above(0), "margin": above(0), "gamma": at_least(0), "gamma_ratio": at_least(0)}
    paper = "arXiv 2508.14947"

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        if self.beta is not None and self.margin is not None and abs(2 * self.beta * self.margin - 1) > 1e-6:
            raise ConfigError(
                f"{name}: beta = {self.beta:g} means margin = {0.5 / self.beta:g}, but margin = {self.margin:g} is given; "
                "give one of them"
            )
        if self.gamma is not None and self.gamma_ratio is not None:
            raise ConfigError(f"{name}: gamma and gamma_ratio are two ways to say one thing; give one of them")

    @property
    def strength(self) -> float:
        """Beta, whichever way it was given."""
        if self.beta is not None:
            return self.beta
        return BETA if self.margin is None else 0.5 / self.margin

    @property
    def target_margin(self) -> float:
        """The offset o = 1 / (2 beta)."""
        return 0.5 / self.strength if self.margin is None else self.margin

    @property
    def floor_weight(self) -> float:
        """Gamma, whichever way it was given."""
        if self.gamma_ratio is not None:
            return self.gamma_ratio * self.chosen_gradient()
        return GAMMA if self.gamma is None else self.gamma

    @abstractmethod
    def chosen_gradient(self) -> float:
        """Size of the preference term's gradient on x1 below the offset (at the start, where it changes)."""

    @abstractmethod
    def distance(self, x1: Tensor, x2: Tensor) -> Tensor:
        """The preference term, (batch,)."""

    def measure(self, z: Tensor, z_rejected: Tensor) -> Tensor:
        """Distance of z to 0 by the rule for overshoot; `z_rejected` equals z but has x2's gradient alone."""
        if self.overshoot == "stop":
            return torch.relu(-z)
        if self.overshoot == "reject_only":
            return torch.where(z > 0, z_rejected, -z)
        return z.abs()

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        """One loss per pair; terms: "preference" and "floor" (the gamma term)."""
        x1, x2 = log_ratios(policy, reference, self.reduction)
        preference = self.distance(x1, x2)
        floor = self.floor_weight * torch.relu(-x1)
        return LossOutput(
            losses=preference + floor,
            chosen_rewards=self.strength * x1.detach(),
            rejected_rewards=self.strength * x2.detach(),
            terms={"preference": preference.detach(), "floor": floor.detach()},
        )


@dataclass(frozen=True)
class LPOPaper(Linear):
    """`2 beta |m - o| + gamma max(0, -x1)`, as the paper writes it."""

    def chosen_gradient(self) -> float:
        """2 beta."""
        return 2 * self.strength

    def distance(self, x1: Tensor, x2: Tensor) -> Tensor:
        """2 beta |m - o|."""
        o = self.target_margin
        return 2 * self.strength * self.measure(x1 - x2 - o, x1.detach() - x2 - o)


@dataclass(frozen=True)
class LPO(Linear):
    """`4 beta |m - o| + gamma max(0, -x1)`, as the authors' code has it: twice the paper."""

    def chosen_gradient(self) -> float:
        """4 beta."""
        return 4 * self.strength

    def distance(self, x1: Tensor, x2: Tensor) -> Tensor:
        """4 beta |m - o|."""
        o = self.target_margin
        return 4 * self.strength * self.measure(x1 - x2 - o, x1.detach() - x2 - o)


@dataclass(frozen=True)
class Weighted(Linear):
    """A form with separate weights for the chosen and the rejected answer.

    Attributes:
        r1: weight of the chosen answer, in (0, infinity); 1 (authors' code).
        r2: weight of the rejected answer, in [0, infinity); 0.2 (authors' run scripts; their code's default is 0.8).
            0.2 to 0.4 for the model's own samples, 1 to 3 for answers that are clearly broken,
            with a gamma_ratio of at least 2.2 r2 / r1 - 1.
    """

    r1: float = 1.0
    r2: float = 0.2

    bounds = {"r1": above(0), "r2": at_least(0)}


@dataclass(frozen=True)
class LPOR(Weighted):
    """`4 beta |r1 x1 - r2 x2 - o| + gamma max(0, -x1)`: the weights move the kink too."""

    def chosen_gradient(self) -> float:
        """4 beta r1."""
        return 4 * self.strength * self.r1

    def beyond_target(self, x1: Tensor, x2: Tensor) -> Tensor:
        """(batch,) bool: r1 x1 - r2 x2 > o."""
        return self.r1 * x1 - self.r2 * x2 > self.target_margin

    def distance(self, x1: Tensor, x2: Tensor) -> Tensor:
        """4 beta |r1 x1 - r2 x2 - o|."""
        o = self.target_margin
        z = self.r1 * x1 - self.r2 * x2 - o
        return 4 * self.strength * self.measure(z, self.r1 * x1.detach() - self.r2 * x2 - o)


@dataclass(frozen=True)
class LPOSTE(Weighted):
    """LPO with the two gradients apart (straight-through): r1 scales the chosen's, r2 the rejected's.

    `F (r1 |x1 - sg(x2) - o| + r2 |sg(x1) - x2 - o|) + gamma max(0, -x1)`, `F = 4 beta / (r1 + r2)`.
    The value does not depend on r1 and r2. This is the form of the authors' released runs.
    """

    def chosen_gradient(self) -> float:
        """4 beta r1 / (r1 + r2)."""
        return 4 * self.strength * self.r1 / (self.r1 + self.r2)

    def distance(self, x1: Tensor, x2: Tensor) -> Tensor:
        """The two straight-through distances, weighted."""
        return _straight_through(self, x1, x2, self.r1, self.r2)


@dataclass(frozen=True)
class LPOSTEDynamic(Linear):
    """`lpo-ste` with r1 = 1 and `r2 = sg(exp(x2 - x1))`: the rejected's push fades as the margin grows."""

    MAX_EXPONENT: ClassVar[float] = 20.0  # ours: keeps exp finite; per token it is never reached

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reduction != "mean":
            raise ConfigError("LPOSTEDynamic.reduction must be 'mean': exp(x2 - x1) of whole answers over- or underflows")

    def chosen_gradient(self) -> float:
        """2 beta, at the start (r2 = 1)."""
        return 2 * self.strength

    def distance(self, x1: Tensor, x2: Tensor) -> Tensor:
        """The two straight-through distances, weighted pair by pair."""
        r2 = torch.exp((x2 - x1).detach().clamp(-self.MAX_EXPONENT, self.MAX_EXPONENT))
        return _straight_through(self, x1, x2, 1.0, r2)


def _straight_through(loss: Linear, x1: Tensor, x2: Tensor, r1: float, r2: float | Tensor) -> Tensor:
    """F (r1 |x1 - sg(x2) - o| + r2 |sg(x1) - x2 - o|), (batch,)."""
    o = loss.target_margin
    moves_chosen, moves_rejected = x1 - x2.detach() - o, x1.detach() - x2 - o
    chosen = loss.measure(moves_chosen, moves_rejected)
    rejected = loss.measure(moves_rejected, moves_rejected)
    return 4 * loss.strength / (r1 + r2) * (r1 * chosen + r2 * rejected)
