"""Several losses at once, weighted: the Mixed Preference Optimization of InternVL (Wang et al., arXiv 2411.10442, eq. 2)."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from lpo_tts.errors import ConfigError
from lpo_tts.logprobs import Logps, PairLogps
from lpo_tts.losses import REGISTRY
from lpo_tts.losses.base import Context, Loss, LossOutput, Need, Preference, Reduction

NEEDS: tuple[Need, ...] = ("none", "logps", "tokens", "logits", "hidden")
LOGITS: tuple[Literal["none", "policy", "both"], ...] = ("none", "policy", "both")


@dataclass(frozen=True)
class Mixture(Preference):
    """`sum_i weights[i] parts[i]`, of losses on pairs; InternVL's is 0.8 `dpo` + 0.2 `bco` + 1.0 `sft`.

    It needs whatever a part needs. Part i finds its own vocabulary statistics, state and observed numbers, which
    outside carry the prefix "<i>/". Rewards and reduction are the first part's. At initialisation the weighted sum of
    the parts' values.

    Attributes:
        parts: the losses, at least one; any that takes pairs and brings no adversary (GANPO takes a mixture as its own
            inner loss instead).
        weights: one per part, each in [0, infinity); None gives each 1 (TRL).
    """

    parts: tuple[Loss, ...]
    weights: tuple[float, ...] | None = None

    paper: ClassVar[str] = "arXiv 2411.10442"

    def __post_init__(self) -> None:
        if not self.parts:
            raise ConfigError("Mixture.parts is empty; give it at least one loss")
        for index, part in enumerate(self._parts):
            where = f"Mixture.parts[{index}] = {type(part).__name__}"
            if part.data != "pair":
                raise ConfigError(f"{where} takes {part.data} data, expected a loss of pairs")
            if hasattr(part, "make_adversary"):
                raise ConfigError(f"{where} trains an adversary; set the mixture as its inner loss instead")
        if self.weights is not None and len(self.weights) != len(self.parts):
            raise ConfigError(f"Mixture has {len(self.parts)} parts but {len(self.weights)} weights; give one weight per part")
        for index, weight in enumerate(self.shares):
            if not 0 <= weight < math.inf:
                raise ConfigError(f"Mixture.weights[{index}] = {weight!r} lies outside [0, infinity)")

    @property
    def _parts(self) -> tuple[Any, ...]:
        return self.parts  # Any: `Loss` states less than every loss has from `Preference`

    @property
    def shares(self) -> tuple[float, ...]:
        """One weight per part."""
        return (1.0,) * len(self.parts) if self.weights is None else self.weights

    @property
    def needs_reference(self) -> Need:
        """The largest need of a part."""
        return max((part.needs_reference for part in self._parts), key=NEEDS.index)

    @property
    def reduction(self) -> Reduction:
        """The first part's, as the rewards are; the others keep their own."""
        return self.parts[0].reduction

    @property
    def needs_tokens(self) -> bool:
        """Whether a part does."""
        return any(part.needs_tokens for part in self._parts)

    @property
    def needs_logits(self) -> Literal["none", "policy", "both"]:
        """The largest need of a part."""
        return max((part.needs_logits for part in self._parts), key=LOGITS.index)

    @property
    def needs_margins(self) -> bool:
        """Whether a part does."""
        return any(part.needs_margins for part in self._parts)

    @property
    def takes_weights(self) -> bool:
        """Whether all parts do."""
        return all(part.takes_weights for part in self._parts)

    @property
    def over_batch(self) -> bool:
        """Whether a part's rows depend on each other."""
        return any(part.over_batch for part in self._parts)

    def over_vocabulary(self, logits: Tensor, reference_logits: Tensor | None, targets: Tensor) -> dict[str, Tensor]:
        """The statistics of every part, as "<i>/<name>"."""
        found: dict[str, Tensor] = {}
        for index, part in enumerate(self._parts):
            if part.needs_logits != "none":
                found |= _outside(index, part.over_vocabulary(logits, reference_logits, targets))
        return found

    def initial_state(self) -> dict[str, float]:
        """The state of every part, as "<i>/<name>"."""
        return _merged(_outside(index, part.initial_state()) for index, part in enumerate(self._parts))

    def next_state(self, state: Mapping[str, float], observed: Mapping[str, float]) -> dict[str, float]:
        """Every part's next state, from its own state and observations."""
        return _merged(
            _outside(index, part.next_state(_inside(index, state), _inside(index, observed)))
            for index, part in enumerate(self._parts)
        )

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        """One loss per pair; terms: every part's weighted loss, as "<i>-<name of the loss>"."""
        losses, terms, observed = [], {}, {}
        rewards: tuple[Tensor, Tensor] | None = None
        for index, (part, weight) in enumerate(zip(self.parts, self.shares, strict=True)):
            its_policy = PairLogps(_of_part(index, policy.chosen), _of_part(index, policy.rejected))
            output = part(its_policy, reference, replace(context, state=_inside(index, context.state)))
            losses.append(weight * output.losses)
            terms[f"{index}-{REGISTRY.name_of(type(part))}"] = losses[-1].detach()
            observed |= _outside(index, output.observed)
            rewards = rewards or (output.chosen_rewards, output.rejected_rewards)
        assert rewards is not None  # there is at least one part
        return LossOutput(torch.stack(losses).sum(0), *rewards, terms=terms, observed=observed)


def _outside(index: int, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{index}/{name}": value for name, value in values.items()}


def _inside(index: int, values: Mapping[str, Any]) -> dict[str, Any]:
    prefix = f"{index}/"
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}


def _of_part(index: int, logps: Logps) -> Logps:
    return replace(logps, vocabulary=_inside(index, logps.vocabulary))


def _merged(parts: Iterable[dict[str, float]]) -> dict[str, float]:
    return {name: value for values in parts for name, value in values.items()}
