"""Weighted Preference Optimization (WPO, Zhou et al., arXiv 2406.11827): pairs the policy might itself say count more."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from lpo_tts.bounds import above
from lpo_tts.logprobs import Logps, PairLogps
from lpo_tts.losses.base import Context, Logits, LossOutput
from lpo_tts.losses.log_ratios import vocabulary_sum
from lpo_tts.losses.wrapping import Wrapper, check_inner


@dataclass(frozen=True)
class WPO(Wrapper):
    """`sg(w_c w_r) L`, L being another loss of single pairs, and `w = exp(mean_t (log p_t - log sum_v p_t(v)^2))`.

    w is an answer's probability per token beside that of answers the policy samples: 1 on average on-policy, and close
    to 0 for an answer the policy would never give. At policy = reference the loss is `min(1, w_c w_r)` times L's.

    Attributes:
        inner: L; DPO is the paper's.
        max_weight: w_c w_r is at most this, in (0, infinity); 1 is the authors' code. None, no limit, is TRL's
            `use_weighting`: on answers that are nearly greedy its loss is up to twice the authors'.
    """

    max_weight: float | None = 1.0

    MAX_EXPONENT: ClassVar[float] = 20.0  # ours: keeps exp finite; real distributions stay below half the log of the vocabulary
    bounds = {"max_weight": above(0)}
    paper = "arXiv 2406.11827"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_inner("WPO.inner", self.inner, over_batch=False)

    @property
    def needs_logits(self) -> Logits:
        """The policy's; both if the inner loss needs both."""
        return "both" if self.inner.needs_logits == "both" else "policy"

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
