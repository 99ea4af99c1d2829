"""What every preference loss takes and gives: typed log-probs in, one loss per pair out."""

from dataclasses import Field, dataclass, field
from typing import Any, ClassVar, Literal, Protocol

from torch import Tensor


@dataclass(frozen=True)
class Logps:
    """Log-probs one model gives to a batch of answers (prompt and padding excluded).

    `total` is the sum over answer tokens and `mean` the average per token: two attributes, so that a sum
    is never mistaken for a mean.
    """

    total: Tensor  # (batch,) float32, nats
    num_tokens: Tensor  # (batch,) int64

    @property
    def mean(self) -> Tensor:
        """(batch,) nats per token."""
        return self.total / self.num_tokens


@dataclass(frozen=True)
class PairLogps:
    """One model's log-probs of the chosen and of the rejected answers of a batch of pairs."""

    chosen: Logps
    rejected: Logps


@dataclass(frozen=True)
class LossOutput:
    """losses, chosen_rewards, rejected_rewards: (batch,); rewards are beta * log-ratio, detached.

    `terms` holds named parts of the loss, (batch,) detached, for logging (the gamma term apart, say).
    """

    losses: Tensor
    chosen_rewards: Tensor
    rejected_rewards: Tensor
    terms: dict[str, Tensor] = field(default_factory=dict)


class Loss(Protocol):
    """A preference loss: a frozen dataclass of its hyper-parameters that is called on log-probs."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    needs_reference: ClassVar[Literal["none", "logps"]]

    @property
    def reduction(self) -> Literal["sum", "mean"]:
        """Over the tokens of an answer: which log-ratio the loss is defined on."""
        ...

    def __call__(self, policy: PairLogps, reference: PairLogps | None) -> LossOutput:
        """One loss per pair."""
        ...
