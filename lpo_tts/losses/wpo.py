"""Weighted Preference Optimization (WPO, Zhou et al., arXiv 2406.11827): pairs the policy might itself say count more."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from lpo_tts.errors import ConfigError
from lpo_tts.logprobs import Logps, PairLogps
from lpo_tts.losses.base import Context, Loss, LossOutput, Need, Preference, Reduction
from lpo_tts.losses.dpo import Dpo
from lpo_tts.losses.log_ratios import check_range
from lpo_tts.losses.tdpo import vocabulary_sum


def check_inner(outer: object, name: str, *, over_batch: bool) -> None:
    """Raises ConfigError unless the loss in field `name` takes pairs, and single ones unless `over_batch`."""
    inner: Any = getattr(outer, name)
    where = f"{type(outer).__name__}.{name} = {type(inner).__name__}"
    if not isinstance(inner, Preference):
        raise ConfigError(f"{where} is no losses.base.Preference, so it is not known what it needs; let the class inherit that")
    if inner.data != "pair":
        raise ConfigError(f"{where} takes {inner.data} data, expected a loss of pairs")
    if inner.over_batch and not over_batch:
        raise ConfigError(f"{where} compares a pair with the rest of its batch, expected a loss of single pairs")


class Wrapper(Preference):
    """A loss around another one, `inner`: it declares what the inner loss declares, and keeps its state."""

    inner: Loss

    @property
    def _inner(self) -> Any:
        return self.inner  # `Loss` states less than every loss has from `Preference`

    @property
    def needs_reference(self) -> Need:
        """The inner loss's."""
        return self.inner.needs_reference

    @property
    def reduction(self) -> Reduction:
        """The inner loss's."""
        return self.inner.reduction

    @property
    def needs_tokens(self) -> bool:
        """The inner loss's."""
        return self._inner.needs_tokens

    @property
    def needs_margins(self) -> bool:
        """The inner loss's."""
        return self._inner.needs_margins

    @property
    def takes_weights(self) -> bool:
        """The inner loss's."""
        return self._inner.takes_weights

    @property
    def needs_logits(self) -> Literal["none", "policy", "both"]:
        """The inner loss's."""
        return self._inner.needs_logits

    def over_vocabulary(self, logits: Tensor, reference_logits: Tensor | None, targets: Tensor) -> dict[str, Tensor]:
        """The inner loss's."""
        return self._inner.over_vocabulary(logits, reference_logits, targets)

    def initial_state(self) -> dict[str, float]:
        """The inner loss's."""
        return self._inner.initial_state()

    def next_state(self, state: Mapping[str, float], observed: Mapping[str, float]) -> dict[str, float]:
        """The inner loss's."""
        return self._inner.next_state(state, observed)


@dataclass(frozen=True)
class Wpo(Wrapper):
    """`sg(w_c w_r) L`, L being another loss of single pairs, and `w = exp(mean_t (log p_t - log sum_v p_t(v)^2))`.

    w is an answer's probability per token beside that of answers the policy samples: 1 on average on-policy, and close
    to 0 for an answer the policy would never give. At policy = reference the loss is `min(1, w_c w_r)` times L's.

    Attributes:
        inner: L; DPO is the paper's.
        max_weight: w_c w_r is at most this, in (0, infinity); 1 is the authors' code. None, no limit, is TRL's
            `use_weighting`: on answers that are nearly greedy its loss is up to twice the authors'.
    """

    inner: Loss = field(default_factory=Dpo)
    max_weight: float | None = 1.0

    paper: ClassVar[str] = "arXiv 2406.11827"
    MAX_EXPONENT: ClassVar[float] = 20.0  # ours: keeps exp finite; real distributions stay below half the log of the vocabulary

    def __post_init__(self) -> None:
        check_range(self, "max_weight", 0, open_low=True)
        check_inner(self, "inner", over_batch=False)

    @property
    def needs_logits(self) -> Literal["none", "policy", "both"]:
        """The policy's; both if the inner loss needs both."""
        return "both" if self._inner.needs_logits == "both" else "policy"

    def over_vocabulary(self, logits: Tensor, reference_logits: Tensor | None, targets: Tensor) -> dict[str, Tensor]:
        """{"collision": log sum_v p(v)^2}, without gradient, and the inner loss's."""
        with torch.no_grad():
            collision = torch.logsumexp(2 * logits.log_softmax(-1), -1)
        return {**super().over_vocabulary(logits, reference_logits, targets), "collision": collision}

    def _exponent(self, logps: Logps) -> Tensor:
        return (logps.total.detach() - vocabulary_sum(logps, "collision")) / logps.num_tokens

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        """One loss per pair; the rewards are the inner loss's, the terms are weighted like the loss."""
        exponent = self._exponent(policy.chosen) + self._exponent(policy.rejected)
        weight = torch.exp(exponent.clamp(-self.MAX_EXPONENT, self.MAX_EXPONENT)).clamp(max=self.max_weight or float("inf"))
        output = self.inner(policy, reference, context)
        return replace(
            output,
            losses=weight * output.losses,
            terms={name: weight * term for name, term in output.terms.items()},
        )
