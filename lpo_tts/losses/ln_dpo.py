"""Length-normalised DPO: DPO (arXiv 2305.18290, eq. 7) on log-ratios per token, as in Tülu 3 and TRL's `sigmoid_norm`."""

from dataclasses import dataclass

from lpo_tts.losses.dpo import DPO


@dataclass(frozen=True)
class LNDPO(DPO):
    """`-log sigmoid(beta (x1 - x2))` with x1 and x2 per token; log 2 = 0.693 at initialisation.

    Attributes:
        beta: per token, in (0, infinity); 2 (ours: the low end of the 2 to 10 in use, the gentlest start).
        label_smoothing: as in DPO, in [0, 0.5); 0 (TRL).
    """

    beta: float = 2.0

    reduction = "mean"
    paper = "arXiv 2411.15124 (Tülu 3)"
