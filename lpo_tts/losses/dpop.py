"""DPO-Positive (Pal et al., "Smaug", arXiv 2402.13228, eq. 3): DPO that penalises a falling chosen answer."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from lpo_tts.bounds import above, at_least
from lpo_tts.losses.base import Context
from lpo_tts.losses.pairs import PairLoss


@dataclass(frozen=True)
class DPOP(PairLoss):
    """`-log sigmoid(beta (m - lambda max(0, -x1)))` on summed log-ratios; log 2 = 0.693 at initialisation.

    Attributes:
        beta: as in DPO, in (0, infinity); 0.3 (the paper's Smaug runs, from memory).
        penalty: the paper's lambda, in [0, infinity), sensibly 5 to 500; 50 (the paper's Smaug runs, from memory).
    """

    beta: float = 0.3
    penalty: float = 50.0

    bounds = {"beta": above(0), "penalty": at_least(0)}
    paper = "arXiv 2402.13228, eq. 3"

    def per_pair(self, x1: Tensor, x2: Tensor, context: Context) -> Tensor:
        return -logsigmoid(self.beta * (x1 - x2 - self.penalty * torch.relu(-x1)))
