"""Hinge on DPO's margin (Liu et al., "RSO", arXiv 2309.06657, hinge-norm): SLiC's loss with a reference."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lpo_tts.bounds import above
from lpo_tts.losses.base import Context
from lpo_tts.losses.pairs import PairLoss


@dataclass(frozen=True)
class Hinge(PairLoss):
    """`max(0, 1 - beta m)` on summed log-ratios; 1 at initialisation.

    Past its target a pair gets no gradient, but is not pushed back either; hence no pair is `beyond_target`, whose
    share is watched because of the push back.

    Attributes:
        beta: 1 / target margin, in (0, infinity); 0.1 (TRL).
    """

    beta: float = 0.1

    bounds = {"beta": above(0)}
    paper = "arXiv 2309.06657"

    @property
    def target_margin(self) -> float:
        """1 / beta, nats per answer."""
        return 1 / self.beta

    def beyond_target(self, x1: Tensor, x2: Tensor) -> None:
        """No pair is ever pushed back."""

    def per_pair(self, x1: Tensor, x2: Tensor, context: Context) -> Tensor:
        return torch.relu(1 - self.beta * (x1 - x2))
