"""Content and style apart (after DecoupledESC, arXiv 2505.16995): two losses, each on the pairs that differ in its aspect."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from lpo_tts.errors import ConfigError, ContractError
from lpo_tts.logprobs import Logps, PairLogps
from lpo_tts.losses.base import Context, Loss, LossOutput, Need, Preference, Reduction
from lpo_tts.losses.dpo import Dpo
from lpo_tts.losses.log_ratios import check_range
from lpo_tts.losses.wpo import check_inner

ASPECTS = ("content", "style")
NEEDS: tuple[Need, ...] = ("none", "logps", "tokens", "logits", "hidden")
LOGITS: tuple[Literal["none", "policy", "both"], ...] = ("none", "policy", "both")


@dataclass(frozen=True)
class Decoupled(Preference):
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

    content: Loss = field(default_factory=Dpo)
    style: Loss = field(default_factory=Dpo)
    content_weight: float = 1.0
    style_weight: float = 1.0

    paper: ClassVar[str] = "arXiv 2505.16995"

    def __post_init__(self) -> None:
        check_range(self, "content_weight", 0)
        check_range(self, "style_weight", 0)
        for name, loss in self._parts.items():
            check_inner(self, name, over_batch=False)
            if loss.initial_state():
                raise ConfigError(f"Decoupled.{name} = {type(loss).__name__} has a state, expected a loss without one")

    @property
    def _parts(self) -> dict[str, Any]:
        return {"content": self.content, "style": self.style}  # Any: `Loss` states less than `Preference`

    @property
    def needs_reference(self) -> Need:
        """The larger of the two losses' needs."""
        return max((loss.needs_reference for loss in self._parts.values()), key=NEEDS.index)

    @property
    def reduction(self) -> Reduction:
        """The content loss's; the style loss may have another."""
        return self.content.reduction

    @property
    def needs_tokens(self) -> bool:
        """Whether either loss does."""
        return any(loss.needs_tokens for loss in self._parts.values())

    @property
    def needs_margins(self) -> bool:
        """Whether either loss does."""
        return any(loss.needs_margins for loss in self._parts.values())

    @property
    def takes_weights(self) -> bool:
        """Whether both losses do."""
        return all(loss.takes_weights for loss in self._parts.values())

    @property
    def needs_logits(self) -> Literal["none", "policy", "both"]:
        """The larger of the two losses' needs."""
        return max((loss.needs_logits for loss in self._parts.values()), key=LOGITS.index)

    def over_vocabulary(self, logits: Tensor, reference_logits: Tensor | None, targets: Tensor) -> dict[str, Tensor]:
        """Both losses' statistics, as "content.<name>" and "style.<name>"."""
        return {
            f"{part}.{name}": values
            for part, loss in self._parts.items()
            if loss.needs_logits != "none"
            for name, values in loss.over_vocabulary(logits, reference_logits, targets).items()
        }

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        """One loss per pair; terms: "content" and "style", each 0 for the other's pairs."""
        aspects = _checked(context.aspects, len(policy.chosen.total))
        outputs, places = {}, {}
        for part, loss in self._parts.items():
            rows = [i for i, aspect in enumerate(aspects) if aspect == part]
            if rows or not aspects:  # an empty batch still has outputs of the right kind
                index = torch.tensor(rows, dtype=torch.int64, device=policy.chosen.total.device)
                places[part] = index
                outputs[part] = loss(
                    _part(policy, index, part),
                    None if reference is None else _part(reference, index, part),
                    replace(
                        context,
                        margins={name: values[index] for name, values in context.margins.items()},
                        aspects=[part] * len(rows),
                    ),
                )
        back = torch.cat(list(places.values())).argsort()
        weights = {"content": self.content_weight, "style": self.style_weight}
        losses = torch.cat([weights[part] * output.losses for part, output in outputs.items()])[back]
        return LossOutput(
            losses=losses,
            chosen_rewards=torch.cat([output.chosen_rewards for output in outputs.values()])[back],
            rejected_rewards=torch.cat([output.rejected_rewards for output in outputs.values()])[back],
            terms={
                part: losses.detach() * torch.tensor([aspect == part for aspect in aspects]).to(losses) for part in self._parts
            },
        )


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


def _part(logps: PairLogps, index: Tensor, part: str) -> PairLogps:
    """Some of the pairs, with the statistics over the vocabulary that are of one loss under their own names."""

    def select(answers: Logps) -> Logps:
        return replace(answers.rows(index), vocabulary=_own(answers.rows(index).vocabulary, f"{part}."))

    return PairLogps(select(logps.chosen), select(logps.rejected))


def _own(vocabulary: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): values for name, values in vocabulary.items() if name.startswith(prefix)}
