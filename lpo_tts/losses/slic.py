"""Sequence Likelihood Calibration, SLiC-HF (Zhao et al., arXiv 2305.10425): a hinge on log-probs, without a reference."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lpo_tts.bounds import at_least
from lpo_tts.logprobs import PairLogps
from lpo_tts.losses.base import Context, LossOutput
from lpo_tts.losses.pairs import PairLoss, with_likelihood


@dataclass(frozen=True)
class SLiC(PairLoss):
    """`max(0, delta - lc + lr) - lambda lc / Nc`: a margin of delta between whole answers, and likelihood as a tie.

    Has no fixed value at initialisation. Rewards are the log-probs themselves: the loss has no beta. Past the
    margin a pair is not pushed back; that margin is one of log-probs, not of log-ratios, hence `target_margin` is
    None.

    Attributes:
        delta: the margin, nats per answer, in [0, infinity); 1 (paper).
        nll_weight: lambda, in [0, infinity); 0.1 (HALOs).
    """

    delta: float = 1.0
    nll_weight: float = 0.1

    needs_reference = "none"
    bounds = {"delta": at_least(0), "nll_weight": at_least(0)}
    paper = "arXiv 2305.10425"

    def per_pair(self, x1: Tensor, x2: Tensor, context: Context) -> Tensor:
        return torch.relu(self.delta - x1 + x2)

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        """One loss per pair; terms: "preference" and "nll"."""
        return with_likelihood(super().__call__(policy, reference, context), self.nll_weight, policy.chosen)
