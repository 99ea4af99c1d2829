"""DPO with a likelihood term, the RPO of Pang et al. (Iterative Reasoning Preference Optimization, arXiv 2404.19733, eq. 1)."""

from dataclasses import dataclass
from typing import ClassVar

from torch.nn.functional import logsigmoid

from lpo_tts.logprobs import PairLogps
from lpo_tts.losses.base import Context, LossOutput, Preference
from lpo_tts.losses.log_ratios import check_range, log_ratios


@dataclass(frozen=True)
class DpoNll(Preference):
    """`-log sigmoid(beta m) - alpha lc / Nc`: DPO on sums plus the chosen answer's likelihood per token.

    At initialisation log 2 = 0.693 plus alpha times the chosen answer's negative log-likelihood.

    Attributes:
        beta: as in DPO, in (0, infinity); 0.1 (paper).
        alpha: weight of the likelihood, in [0, infinity); 1 (paper; CosyVoice's recipe too).
    """

    beta: float = 0.1
    alpha: float = 1.0

    paper: ClassVar[str] = "arXiv 2404.19733, eq. 1"

    def __post_init__(self) -> None:
        check_range(self, "beta", 0, open_low=True)
        check_range(self, "alpha", 0)

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        """One loss per pair; terms: "preference" and "nll"."""
        x1, x2 = log_ratios(policy, reference, self.reduction)
        preference = -logsigmoid(self.beta * (x1 - x2))
        nll = -self.alpha * policy.chosen.mean
        return LossOutput(
            losses=preference + nll,
            chosen_rewards=self.beta * x1.detach(),
            rejected_rewards=self.beta * x2.detach(),
            terms={"preference": preference.detach(), "nll": nll.detach()},
        )
