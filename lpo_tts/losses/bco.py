"""Binary Classifier Optimization (Jung et al., arXiv 2404.04656) on pairs: chosen and rejected told apart by a threshold."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor
from torch.nn.functional import logsigmoid

from lpo_tts.bounds import above, at_least
from lpo_tts.logprobs import PairLogps
from lpo_tts.losses.base import Context, LossOutput
from lpo_tts.losses.pairs import PairLoss


@dataclass(frozen=True)
class BCO(PairLoss):
    """`-log sigmoid(beta x1 - delta) - log sigmoid(-(beta x2 - delta))` on summed log-ratios.

    delta is the running mean of all rewards; it starts at 0, where the loss is TRL's `bco_pair` and has the value
    2 log 2 = 1.386.

    Attributes:
        beta: in (0, infinity); 0.1 (TRL).
        momentum: share of the old delta that a step keeps, in [0, 1]; 0.9 (ours: the paper says a running mean; an
            exponential one forgets the start, where all rewards are 0). 1 keeps delta at 0, which is `bco_pair`.
    """

    beta: float = 0.1
    momentum: float = 0.9

    bounds = {"beta": above(0), "momentum": at_least(0).at_most(1)}
    paper = "arXiv 2404.04656"

    def initial_state(self) -> dict[str, float]:
        """A delta of 0: the mean reward of a policy that equals the reference."""
        return {"delta": 0.0}

    def next_state(self, state: Mapping[str, float], observed: Mapping[str, float]) -> dict[str, float]:
        """The delta, moved towards the step's mean reward."""
        return {"delta": self.momentum * state["delta"] + (1 - self.momentum) * observed["reward"]}

    def per_pair(self, x1: Tensor, x2: Tensor, context: Context) -> Tensor:
        delta = context.state.get("delta", 0.0)
        return -logsigmoid(self.beta * x1 - delta) - logsigmoid(delta - self.beta * x2)

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        """One loss per pair; observed: "reward", the mean of the two rewards."""
        output = super().__call__(policy, reference, context)
        return replace(output, observed={"reward": (output.chosen_rewards + output.rejected_rewards) / 2})
