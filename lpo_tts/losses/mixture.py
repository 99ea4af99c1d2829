"""Several losses at once, weighted: the Mixed Preference Optimization of InternVL (Wang et al., arXiv 2411.10442, eq. 2)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from lpo_tts.bounds import at_least
from lpo_tts.errors import ConfigError
from lpo_tts.logprobs import PairLogps
from lpo_tts.losses import REGISTRY
from lpo_tts.losses.base import Context, Loss, LossOutput
from lpo_tts.losses.wrapping import Composite, check_inner, inside, outside, pairs_inside


@dataclass(frozen=True)
class Mixture(Composite):
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

    bounds = {"weights": at_least(0)}
    paper = "arXiv 2411.10442"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.parts:
            raise ConfigError("Mixture.parts is empty; give it at least one loss")
        for index, part in enumerate(self.parts):
            where = f"Mixture.parts[{index}]"
            check_inner(where, part, over_batch=True)
            if part.needs_adversary:
                raise ConfigError(
                    f"{where} = {type(part).__name__} trains an adversary; set the mixture as its inner loss instead"
                )
        if self.weights is not None and len(self.weights) != len(self.parts):
            raise ConfigError(f"Mixture has {len(self.parts)} parts but {len(self.weights)} weights; give one weight per part")

    @property
    def inner_losses(self) -> Mapping[str, Loss]:
        """The parts, by "<i>/"."""
        return {f"{index}/": part for index, part in enumerate(self.parts)}

    @property
    def shares(self) -> tuple[float, ...]:
        """One weight per part."""
        return (1.0,) * len(self.parts) if self.weights is None else self.weights

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        """One loss per pair; terms: every part's weighted loss, as "<i>-<name of the loss>"."""
        losses, terms, observed, outputs = [], {}, {}, []
        for index, ((prefix, part), weight) in enumerate(zip(self.inner_losses.items(), self.shares, strict=True)):
            own = replace(context, state=inside(prefix, context.state))
            output = part(pairs_inside(prefix, policy), reference, own)
            outputs.append(output)
            losses.append(weight * output.losses)
            terms[f"{index}-{REGISTRY.name_of(type(part))}"] = losses[-1].detach()
            observed |= outside(prefix, output.observed)
        return LossOutput(
            losses=torch.stack(losses).sum(0),
            chosen_rewards=outputs[0].chosen_rewards,
            rejected_rewards=outputs[0].rejected_rewards,
            terms=terms,
            observed=observed,
        )
