"""Conservative DPO (Mitchell, "A note on DPO with noisy preferences and its relationship to IPO", 2023)."""

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from lpo_tts.losses.dpo import Dpo
from lpo_tts.losses.log_ratios import check_range


@dataclass(frozen=True)
class Cdpo(Dpo):
    """`-(1 - e) log sigmoid(beta m) - e log sigmoid(-beta m)`: DPO that believes a share e of the pairs to be swapped.

    Unlike DPO it has a finite target, the margin at which sigmoid(beta m) = 1 - e. log 2 = 0.693 at initialisation.

    Attributes:
        beta: as in DPO, in (0, infinity); 0.1 (TRL as long as it had it).
        label_smoothing: e, in (0, 0.5); 0.1 (the note's example).
    """

    label_smoothing: float = 0.1

    paper: ClassVar[str] = "Mitchell 2023, a note without arXiv number"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "label_smoothing", 0, 0.5, open_low=True, open_high=True)

    @property
    def target_margin(self) -> float:
        """log((1 - e) / e) / beta, nats per answer."""
        return math.log((1 - self.label_smoothing) / self.label_smoothing) / self.beta

    def beyond_target(self, x1: Tensor, x2: Tensor) -> Tensor:
        """(batch,) bool: which pairs have passed the target."""
        return x1 - x2 > self.target_margin
