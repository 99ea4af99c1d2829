"""Log-probs that a model gives to answers: one class each for a batch of answers, of pairs and of lists."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class Logps:
    """Log-probs one model gives to a batch of answers (prompt and padding excluded).

    `total` is the sum over answer tokens and `mean` the average per token: two attributes, so that a sum
    is never mistaken for a mean. The rest is there for the losses that declare a need for it.
    """

    total: Tensor  # (batch,) float32, nats
    num_tokens: Tensor  # (batch,) int64; with token weights, the sum of an answer's weights
    tokens: Tensor | None = None  # (batch, longest) float32, nats; 0 past the end of an answer
    vocabulary: Mapping[str, Tensor] = field(default_factory=dict)  # (batch, longest) each; see `Loss.over_vocabulary`
    hidden: Tensor | None = None  # (batch, longest, width): final hidden states that predict the answer tokens

    @property
    def mean(self) -> Tensor:
        """(batch,) nats per token."""
        return self.total / self.num_tokens

    def rows(self, index: Tensor | slice) -> "Logps":
        """Some of the answers."""
        return Logps(
            self.total[index],
            self.num_tokens[index],
            None if self.tokens is None else self.tokens[index],
            {name: values[index] for name, values in self.vocabulary.items()},
            None if self.hidden is None else self.hidden[index],
        )


@dataclass(frozen=True)
class PairLogps:
    """One model's log-probs of the chosen and of the rejected answers of a batch of pairs.

    For unpaired data: of the desirable and of the undesirable answers, whose numbers may differ.
    """

    chosen: Logps
    rejected: Logps


@dataclass(frozen=True)
class ListLogps:
    """One model's log-probs of lists of answers, each list from best to worst, one list after the other.

    `sizes`: how many answers each list has, (lists,) as plain ints; they add up to the rows of `answers`.
    """

    answers: Logps
    sizes: tuple[int, ...]
