"""Losses around other losses: what they declare, and names that keep one inner loss's numbers from another's."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar, get_args

from torch import Tensor

from lpo_tts.errors import ConfigError
from lpo_tts.logprobs import Logps, PairLogps
from lpo_tts.losses.base import Logits, Loss, Need, Reduction
from lpo_tts.losses.dpo import DPO

NEEDS: tuple[Need, ...] = get_args(Need)
LOGITS: tuple[Logits, ...] = get_args(Logits)

Value = TypeVar("Value")


@dataclass(frozen=True)
class Composite(Loss):
    """A loss of pairs made of others: it needs whatever one of them needs, and keeps apart what they measure.

    Their statistics over the vocabulary, states and observed numbers carry the inner loss's prefix; `inside` takes it off.
    """

    @property
    @abstractmethod
    def inner_losses(self) -> Mapping[str, Loss]:
        """The losses by their prefixes, at least one."""

    @property
    def needs_reference(self) -> Need:
        """The largest need among them."""
        return NEEDS[max(NEEDS.index(loss.needs_reference) for loss in self.inner_losses.values())]

    @property
    def needs_logits(self) -> Logits:
        """The largest need among them."""
        return LOGITS[max(LOGITS.index(loss.needs_logits) for loss in self.inner_losses.values())]

    @property
    def needs_tokens(self) -> bool:
        """Whether one of them does."""
        return any(loss.needs_tokens for loss in self.inner_losses.values())

    @property
    def needs_margins(self) -> bool:
        """Whether one of them does."""
        return any(loss.needs_margins for loss in self.inner_losses.values())

    @property
    def over_batch(self) -> bool:
        """Whether one of them compares rows."""
        return any(loss.over_batch for loss in self.inner_losses.values())

    @property
    def takes_weights(self) -> bool:
        """Whether all of them do."""
        return all(loss.takes_weights for loss in self.inner_losses.values())

    @property
    def reduction(self) -> Reduction:
        """The first one's, as the rewards are; the others keep their own."""
        return next(iter(self.inner_losses.values())).reduction

    def over_vocabulary(self, logits: Tensor, reference_logits: Tensor | None, targets: Tensor) -> dict[str, Tensor]:
        """The statistics of all of them, under their prefixes."""
        found: dict[str, Tensor] = {}
        for prefix, loss in self.inner_losses.items():
            if loss.needs_logits != "none":
                found |= outside(prefix, loss.over_vocabulary(logits, reference_logits, targets))
        return found

    def initial_state(self) -> dict[str, float]:
        """The states of all of them, under their prefixes."""
        return {
            name: value
            for prefix, loss in self.inner_losses.items()
            for name, value in outside(prefix, loss.initial_state()).items()
        }

    def next_state(self, state: Mapping[str, float], observed: Mapping[str, float]) -> dict[str, float]:
        """Everyone's next state, from its own state and observations."""
        after: dict[str, float] = {}
        for prefix, loss in self.inner_losses.items():
            after |= outside(prefix, loss.next_state(inside(prefix, state), inside(prefix, observed)))
        return after


@dataclass(frozen=True)
class Wrapper(Composite):
    """A loss around a single one, `inner`."""

    inner: Loss = field(default_factory=DPO)

    @property
    def inner_losses(self) -> Mapping[str, Loss]:
        """The inner loss alone, without a prefix."""
        return {"": self.inner}


def outside(prefix: str, values: Mapping[str, Value]) -> dict[str, Value]:
    """An inner loss's numbers under the names they have outside."""
    return {f"{prefix}{name}": value for name, value in values.items()}


def inside(prefix: str, values: Mapping[str, Value]) -> dict[str, Value]:
    """Of all numbers those of one inner loss, under its own names."""
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}


def pairs_inside(prefix: str, pairs: PairLogps) -> PairLogps:
    """Log-probs as one inner loss sees them: with its own statistics over the vocabulary."""

    def own(answers: Logps) -> Logps:
        return replace(answers, vocabulary=inside(prefix, answers.vocabulary))

    return PairLogps(own(pairs.chosen), own(pairs.rejected))


def check_inner(where: str, loss: object, *, over_batch: bool) -> None:
    """Raises ConfigError, naming the setting `where`, unless a loss takes pairs, and single ones unless `over_batch`."""
    where = f"{where} = {type(loss).__name__}"
    if not isinstance(loss, Loss):
        raise ConfigError(f"{where} is no losses.base.Loss, so it is not known what it needs; let the class inherit that")
    if loss.data != "pair":
        raise ConfigError(f"{where} takes {loss.data} data, expected a loss of pairs")
    if loss.over_batch and not over_batch:
        raise ConfigError(f"{where} compares a pair with the rest of its batch, expected a loss of single pairs")
