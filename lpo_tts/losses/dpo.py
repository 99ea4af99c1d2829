"""Direct Preference Optimization (Rafailov et al., arXiv 2305.18290, eq. 7)."""

from dataclasses import dataclass
from typing import ClassVar

from torch.nn.functional import logsigmoid

from lpo_tts.logprobs import PairLogps
from lpo_tts.losses.base import Context, LossOutput, Preference
from lpo_tts.losses.log_ratios import check_range, log_ratios


@dataclass(frozen=True)
class Dpo(Preference):
    """`-(1 - e) log sigmoid(beta m) - e log sigmoid(-beta m)` on summed log-ratios; e = 0 is the paper's loss.

    log 2 = 0.693 at initialisation.

    Attributes:
        beta: strength of the tie to the reference, in (0, infinity); 0.1 (paper, TRL).
        label_smoothing: e, the share of pairs believed to be the wrong way round, in [0, 0.5); 0 (paper).
            Above 0 this is conservative DPO, which `cdpo` offers under its own name.
    """

    beta: float = 0.1
    label_smoothing: float = 0.0

    paper: ClassVar[str] = "arXiv 2305.18290, eq. 7"

    def __post_init__(self) -> None:
        check_range(self, "beta", 0, open_low=True)
        check_range(self, "label_smoothing", 0, 0.5, open_high=True)  # at 0.5 no pair says anything

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        """One loss per pair."""
        x1, x2 = log_ratios(policy, reference, self.reduction)
        z = self.beta * (x1 - x2)
        losses = -logsigmoid(z)
        if self.label_smoothing:
            losses = (1 - self.label_smoothing) * losses - self.label_smoothing * logsigmoid(-z)
        return LossOutput(losses, self.beta * x1.detach(), self.beta * x2.detach())
