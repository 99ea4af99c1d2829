"""Contrastive Preference Optimization (Xu et al., arXiv 2401.08417): DPO with a uniform reference, plus likelihood."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import logsigmoid

from lpo_tts.bounds import above, at_least
from lpo_tts.logprobs import PairLogps
from lpo_tts.losses.base import Context, LossOutput
from lpo_tts.losses.pairs import PairLoss, with_likelihood


@dataclass(frozen=True)
class CPO(PairLoss):
    """`-log sigmoid(beta (lc - lr)) - alpha lc / Nc`; no fixed value at initialisation.

    The preference term is on sums, the likelihood per token (as in TRL), so a longer rejected answer has an easy
    margin from the start.

    Attributes:
        beta: in (0, infinity); 0.1 (paper, TRL).
        alpha: weight of the likelihood, in [0, infinity); 1 (paper, TRL).
    """

    beta: float = 0.1
    alpha: float = 1.0

    needs_reference = "none"
    bounds = {"beta": above(0), "alpha": at_least(0)}
    paper = "arXiv 2401.08417"

    def per_pair(self, x1: Tensor, x2: Tensor, context: Context) -> Tensor:
        return -logsigmoid(self.beta * (x1 - x2))

    def __call__(self, policy: PairLogps, reference: PairLogps | None, context: Context = Context()) -> LossOutput:
        """One loss per pair; terms: "preference" and "nll"."""
        return with_likelihood(super().__call__(policy, reference, context), self.alpha, policy.chosen)
