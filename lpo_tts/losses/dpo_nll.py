"""DPO with a likelihood term, the RPO of Pang et al. (Iterative Reasoning Preference Optimization, arXiv 2404.19733, eq. 1)."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import logsigmoid

from lpo_tts.bounds import above, at_least
from lpo_tts.logprobs import PairLogps
from lpo_tts.losses.base import Context, LossOutput
from lpo_tts.losses.pairs import PairLoss, with_likelihood


@dataclass(frozen=True)
class DPONLL(PairLoss):
    """`-log sigmoid(beta m) - alpha lc / Nc`: DPO on sums plus the chosen answer's likelihood per token.

    At initialisation log 2 = 0.693 plus alpha times the chosen answer's negative log-likelihood.

    Attributes:
        beta: as in DPO, in (0, infinity); 0.1 (paper).
        alpha: weight of the likelihood, in [0, infinity); 1 (paper; CosyVoice's recipe too).
    """

    beta: float = 0.1
    alpha: float = 1.0

    bounds = {"beta": above(0), "alpha": at_least(0)}
    paper = "arXiv 2404.19733, eq. 1"

    def per_pair(self, x1: Tensor, x2: Tensor, context: Context) -> Tensor:
        return -logsigmoid(self.beta * (x1 - x2))

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        """One loss per pair; terms: "preference" and "nll"."""
        return with_likelihood(super().__call__(policy, reference, context), self.alpha, policy.chosen)
