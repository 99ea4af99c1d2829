"""Conservative DPO (Mitchell, "A note on DPO with noisy preferences and its relationship to IPO", 2023)."""

import math
from dataclasses import dataclass

from lpo_tts.bounds import above
from lpo_tts.losses.dpo import DPO


@dataclass(frozen=True)
class CDPO(DPO):
    """`-(1 - e) log sigmoid(beta m) - e log sigmoid(-beta m)`: DPO that believes a share e of the pairs to be swapped.

    Unlike DPO it has a finite target, the margin at which sigmoid(beta m) = 1 - e. log 2 = 0.693 at initialisation.

    Attributes:
        beta: as in DPO, in (0, infinity); 0.1 (TRL as long as it had it).
        label_smoothing: e, in (0, 0.5); 0.1 (the note's example).
    """

    label_smoothing: float = 0.1

    bounds = {"label_smoothing": above(0).below(0.5)}
    paper = "Mitchell 2023, a note without arXiv number"

    @property
    def target_margin(self) -> float:
        """log((1 - e) / e) / beta, nats per answer."""
        return math.log((1 - self.label_smoothing) / self.label_smoothing) / self.beta
