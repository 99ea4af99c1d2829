"""Contrastive Preference Optimization (Xu et al., arXiv 2401.08417): DPO with a uniform reference, plus likelihood."""

from dataclasses import dataclass
from typing import ClassVar

from torch.nn.functional import logsigmoid

from lpo_tts.logprobs import PairLogps
from lpo_tts.losses.base import Context, LossOutput, Need, Preference
from lpo_tts.losses.log_ratios import check_range


@dataclass(frozen=True)
class Cpo(Preference):
    """`-log sigmoid(beta (lc - lr)) - alpha lc / Nc`; no fixed value at initialisation.

    The preference term is on sums, the likelihood per token (as in TRL), so a longer rejected answer has an easy
    margin from the start.

    Attributes:
        beta: in (0, infinity); 0.1 (paper, TRL).
        alpha: weight of the likelihood, in [0, infinity); 1 (paper, TRL).
    """

    beta: float = 0.1
    alpha: float = 1.0

    needs_reference: ClassVar[Need] = "none"
    paper: ClassVar[str] = "arXiv 2401.08417"

    def __post_init__(self) -> None:
        check_range(self, "beta", 0, open_low=True)
        check_range(self, "alpha", 0)

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        """One loss per pair; terms: "preference" and "nll"."""
        chosen, rejected = policy.chosen.total, policy.rejected.total
        preference = -logsigmoid(self.beta * (chosen - rejected))
        nll = -self.alpha * policy.chosen.mean
        return LossOutput(
            losses=preference + nll,
            chosen_rewards=self.beta * chosen.detach(),
            rejected_rewards=self.beta * rejected.detach(),
            terms={"preference": preference.detach(), "nll": nll.detach()},
        )
