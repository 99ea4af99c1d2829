"""Sequence Likelihood Calibration, SLiC-HF (Zhao et al., arXiv 2305.10425): a hinge on log-probs, without a reference."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from lpo_tts.logprobs import PairLogps
from lpo_tts.losses.base import Context, LossOutput, Need, Preference
from lpo_tts.losses.log_ratios import check_range


@dataclass(frozen=True)
class Slic(Preference):
    """`max(0, delta - lc + lr) - lambda lc / Nc`: a margin of delta between whole answers, and likelihood as a tie.

    Has no fixed value at initialisation. Rewards are the log-probs themselves: the loss has no beta. Past the
    margin a pair is not pushed back, hence no `beyond_target`; that margin is one of log-probs, not of log-ratios,
    hence no `target_margin`.

    Attributes:
        delta: the margin, nats per answer, in [0, infinity); 1 (paper).
        nll_weight: lambda, in [0, infinity); 0.1 (HALOs).
    """

    delta: float = 1.0
    nll_weight: float = 0.1

    needs_reference: ClassVar[Need] = "none"
    paper: ClassVar[str] = "arXiv 2305.10425"

    def __post_init__(self) -> None:
        check_range(self, "delta", 0)
        check_range(self, "nll_weight", 0)

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        """One loss per pair; terms: "preference" and "nll"."""
        chosen, rejected = policy.chosen.total, policy.rejected.total
        preference = torch.relu(self.delta - chosen + rejected)
        nll = -self.nll_weight * policy.chosen.mean
        return LossOutput(
            losses=preference + nll,
            chosen_rewards=chosen.detach(),
            rejected_rewards=rejected.detach(),
            terms={"preference": preference.detach(), "nll": nll.detach()},
        )
