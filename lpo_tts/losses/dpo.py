"""Direct Preference Optimization (Rafailov et al., arXiv 2305.18290, eq. 7)."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch.nn.functional import logsigmoid

from lpo_tts.errors import ConfigError
from lpo_tts.losses.base import LossOutput, PairLogps
from lpo_tts.losses.log_ratios import check_range, log_ratios


@dataclass(frozen=True)
class Dpo:
    """`-log sigmoid(beta m)` on summed log-ratios.

    `label_smoothing` is the share e of pairs believed to be the wrong way round, in [0, 0.5):
    `-(1 - e) log sigmoid(beta m) - e log sigmoid(-beta m)` (conservative DPO).
    """

    beta: float = 0.1
    label_smoothing: float = 0.0

    needs_reference: ClassVar[Literal["none", "logps"]] = "logps"
    reduction: ClassVar[Literal["sum", "mean"]] = "sum"

    def __post_init__(self) -> None:
        check_range(self, "beta", 0, open_low=True)
        check_range(self, "label_smoothing", 0, 0.5)
        if self.label_smoothing == 0.5:
            raise ConfigError("Dpo.label_smoothing = 0.5 lies outside [0, 0.5): at 0.5 no pair says anything")

    def __call__(self, policy: PairLogps, reference: PairLogps | None) -> LossOutput:
        """One loss per pair."""
        x1, x2 = log_ratios(policy, reference, self.reduction)
        z = self.beta * (x1 - x2)
        losses = -logsigmoid(z)
        if self.label_smoothing:
            losses = (1 - self.label_smoothing) * losses - self.label_smoothing * logsigmoid(-z)
        return LossOutput(losses, self.beta * x1.detach(), self.beta * x2.detach())
