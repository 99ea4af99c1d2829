"""DPO weighted pair by pair by the score margin: common practice without a paper of its own, after arXiv 2305.18290, eq. 7."""

from dataclasses import dataclass
from typing import ClassVar

from torch.nn.functional import logsigmoid

from lpo_tts.logprobs import PairLogps
from lpo_tts.losses.base import Context, LossOutput, Preference
from lpo_tts.losses.log_ratios import check_range, log_ratios
from lpo_tts.losses.margins import margins_of


@dataclass(frozen=True)
class WeightedDpo(Preference):
    """`-w log sigmoid(beta m)` on summed log-ratios, w = the pair's margin in the metric, clamped to [0, 1].

    w log 2 at initialisation. Scale a metric whose margins are large before using it here: all weights would be 1.

    Attributes:
        beta: as in DPO, in (0, infinity); 0.1 (ours: DPO's).
        metric: whose margin is the weight; "wer" (ours).
    """

    beta: float = 0.1
    metric: str = "wer"

    needs_margins: ClassVar[bool] = True
    paper: ClassVar[str] = "after arXiv 2305.18290, eq. 7; weights ours"

    def __post_init__(self) -> None:
        check_range(self, "beta", 0, open_low=True)

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        """One loss per pair."""
        x1, x2 = log_ratios(policy, reference, self.reduction)
        weight = margins_of(self, context, self.metric).clamp(0, 1)
        losses = -weight * logsigmoid(self.beta * (x1 - x2))
        return LossOutput(losses, self.beta * x1.detach(), self.beta * x2.detach())
