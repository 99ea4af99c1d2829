"""Content and style apart (after DecoupledESC, arXiv 2505.16995): two losses, each on the pairs that differ in its aspect."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from lpo_tts.bounds import at_least
from lpo_tts.errors import ConfigError, ContractError
from lpo_tts.logprobs import PairLogps
from lpo_tts.losses.base import Context, Loss, LossOutput
from lpo_tts.losses.dpo import DPO
from lpo_tts.losses.wrapping import Composite, check_inner, pairs_inside

ASPECTS = ("content", "style")


@dataclass(frozen=True)
class Decoupled(Composite):
    """`content_weight L_content` on pairs that differ in content, `style_weight L_style` on pairs that differ in style.

    The paper trains a planner and a generator with DPO each, so that no pair mixes what is wrong with the plan and what
    with its realisation. In speech: words and pronunciation here, prosody and emotion there. `context.aspects` says of
    every pair which it is; one that differs in both belongs into neither.

    The log-probs are taken as they come. Restricting them to the tokens that carry the aspect (a plan of style or
    duration, the first codebook) is the work of the data's token weights. Every pair counts once: the mean over a batch
    weighs the two losses by how many pairs each has. At policy = reference a pair's loss is its aspect's weight times
    what that loss has there.

    Attributes:
        content: loss of the content pairs, any that takes single pairs and has no state; DPO is the paper's.
        style: loss of the style pairs, likewise.
        content_weight: in [0, infinity); 1 is the paper's (two separate trainings).
        style_weight: in [0, infinity); 1 likewise.
    """

    content: Loss = field(default_factory=DPO)
    style: Loss = field(default_factory=DPO)
    content_weight: float = 1.0
    style_weight: float = 1.0

    bounds = {"content_weight": at_least(0), "style_weight": at_least(0)}
    paper = "arXiv 2505.16995"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, loss in zip(ASPECTS, (self.content, self.style), strict=True):
            check_inner(f"Decoupled.{name}", loss, over_batch=False)
            if loss.initial_state():
                raise ConfigError(f"Decoupled.{name} = {type(loss).__name__} has a state, expected a loss without one")

    @property
    def inner_losses(self) -> Mapping[str, Loss]:
        """The two losses, by "content." and "style."."""
        return {"content.": self.content, "style.": self.style}

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        """One loss per pair; terms: "content" and "style", each 0 for the other's pairs."""
        aspects = _checked(context.aspects, len(policy.chosen.total))
        losses, weights = (self.content, self.style), (self.content_weight, self.style_weight)
        outputs, places = [], []
        for aspect, loss, weight in zip(ASPECTS, losses, weights, strict=True):
            rows = [i for i, found in enumerate(aspects) if found == aspect]
            if rows or not aspects:  # an empty batch still has outputs of the right kind
                index = torch.tensor(rows, dtype=torch.int64, device=policy.chosen.total.device)
                own = replace(
                    context,
                    margins={name: values[index] for name, values in context.margins.items()},
                    aspects=[aspect] * len(rows),
                )
                output = loss(pairs_inside(f"{aspect}.", _rows(policy, index)), reference and _rows(reference, index), own)
                outputs.append(replace(output, losses=weight * output.losses))
                places.append(index)
        back = torch.cat(places).argsort()
        whole = torch.cat([output.losses for output in outputs])[back]
        return LossOutput(
            losses=whole,
            chosen_rewards=torch.cat([output.chosen_rewards for output in outputs])[back],
            rejected_rewards=torch.cat([output.rejected_rewards for output in outputs])[back],
            terms={aspect: whole.detach() * torch.tensor([found == aspect for found in aspects]).to(whole) for aspect in ASPECTS},
        )


def _rows(pairs: PairLogps, index: Tensor) -> PairLogps:
    return PairLogps(pairs.chosen.rows(index), pairs.rejected.rows(index))


def _checked(aspects: Sequence[str], pairs: int) -> Sequence[str]:
    if len(aspects) != pairs:
        raise ContractError(
            f"Decoupled needs to know of each of the {pairs} pairs in what it differs, found {len(aspects)} aspects; "
            f"give every pair an aspect ({' or '.join(ASPECTS)})"
        )
    for place, aspect in enumerate(aspects):
        if aspect not in ASPECTS:
            raise ContractError(
                f"Decoupled: pair {place} of the batch has the aspect {aspect!r}, expected {' or '.join(ASPECTS)}; "
                "say in the pair in what its answers differ, or leave it out if they differ in both"
            )
    return aspects
