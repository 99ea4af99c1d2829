"""Losses of ranked lists: Plackett-Luce DPO (arXiv 2305.18290, appendix A.3) and LiPO-lambda (Liu et al., arXiv 2402.01878)."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from lpo_tts.bounds import above
from lpo_tts.errors import ContractError
from lpo_tts.logprobs import ListLogps, PairLogps
from lpo_tts.losses.base import Context, Loss, LossOutput
from lpo_tts.losses.log_ratios import log_ratios


@dataclass(frozen=True)
class _Listwise(Loss):
    beta: float = 0.1

    data = "list"
    bounds = {"beta": above(0)}

    @abstractmethod
    def _labels(self, x: Tensor, context: Context) -> Tensor:
        """(rows,) what the data says of each answer; `x` has the shape and device."""

    @abstractmethod
    def _list_loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        """A scalar from one list's `beta x` and labels, (answers,) each."""

    def __call__(self, policy: ListLogps, reference: ListLogps | None, context: Context = Context()) -> LossOutput:
        """One loss per list; chosen_rewards are those of each list's best answer, rejected_rewards of its worst."""
        ours = PairLogps(policy.answers, policy.answers)
        x, _ = log_ratios(ours, reference and PairLogps(reference.answers, reference.answers), self.reduction)
        name = type(self).__name__
        if sum(policy.sizes) != len(x) or min(policy.sizes, default=1) < 1:
            raise ContractError(f"{name}: lists of sizes {list(policy.sizes)} do not make up the {len(x)} answers given")
        if reference is not None and reference.sizes != policy.sizes:
            raise ContractError(f"{name}: the policy scored lists of {policy.sizes} answers, the reference {reference.sizes}")
        scores = (self.beta * x).split(policy.sizes)
        labels = self._labels(x, context).split(policy.sizes)
        losses = [self._list_loss(*one) for one in zip(scores, labels, strict=True)]
        rewards = [one.detach() for one in scores]
        return LossOutput(
            losses=torch.stack(losses) if losses else x.sum().expand(0),
            chosen_rewards=torch.stack([one[0] for one in rewards]) if rewards else x.detach(),
            rejected_rewards=torch.stack([one[-1] for one in rewards]) if rewards else x.detach(),
        )


@dataclass(frozen=True)
class PlackettLuce(_Listwise):
    """`-sum_k log softmax(beta x_k ... beta x_K)_k`: how likely beta x makes the order of the data, best to worst.

    DPO for lists of two. log K! for a list of K where policy and reference agree, so longer lists weigh more. Only the
    order counts, not by how much an answer is better.

    Attributes:
        beta: in (0, infinity); 0.1 is DPO's.
    """

    paper = "arXiv 2305.18290, appendix A.3"

    def _labels(self, x: Tensor, context: Context) -> Tensor:
        return x.detach()  # the order itself is the label

    def _list_loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        size = len(scores)
        taken = torch.ones(size, size, dtype=torch.bool, device=scores.device).tril(-1)  # row k: answers chosen before k
        return (scores.expand(size, size).masked_fill(taken, -torch.inf).logsumexp(-1) - scores).sum()


@dataclass(frozen=True)
class LiPO(_Listwise):
    """`-sum_{psi_i > psi_j} |G_i - G_j| |1/D_i - 1/D_j| log sigmoid(beta x_i - beta x_j)`, LiPO-lambda.

    psi are the labels (`context.scores`), G = 2^psi - 1, and D = log(1 + rank) with the rank, from 1, that beta x gives
    an answer now (without gradient; equal ones in the order of the data). So a pair counts by how far apart its labels
    are and by what exchanging the two would change at the top of the list. Answers with equal labels are not compared.

    Labels are used as given, so their scale matters: 2^psi of labels in [0, 1], as in the paper, goes from 1 to 2, of
    word error rates in percent beyond all bounds. They must lie in [0, 64], higher being better.

    Attributes:
        beta: in (0, infinity); 0.1 is DPO's.
    """

    paper = "arXiv 2402.01878, LiPO-lambda"
    MAX_LABEL: ClassVar[float] = 64.0  # ours: 2^psi stays far within float32

    def _labels(self, x: Tensor, context: Context) -> Tensor:
        if context.scores is None:
            raise ContractError("LiPO weighs answers by their labels (context.scores, one per answer), found none; score them")
        labels = context.scores.to(x)
        if labels.shape != x.shape:
            raise ContractError(f"LiPO: {tuple(labels.shape)} scores for {tuple(x.shape)} answers; give one per answer")
        bad = ~((labels >= 0) & (labels <= self.MAX_LABEL))  # nan is bad too
        if bool(bad.any()):
            at = int(bad.nonzero()[0])
            raise ContractError(
                f"LiPO: the score of answer {at} is {labels[at].item():g}, expected [0, {self.MAX_LABEL:g}]; scale the scores, "
                "to [0, 1] best of all, and leave out answers without one"
            )
        return labels

    def _list_loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        best_first = scores.detach().argsort(descending=True, stable=True)
        ranks = torch.empty_like(best_first).scatter(0, best_first, torch.arange(1, len(scores) + 1, device=scores.device))
        gains, discounts = torch.exp2(labels) - 1, 1 / torch.log1p(ranks.to(labels))
        weights = (gains.unsqueeze(1) - gains).abs() * (discounts.unsqueeze(1) - discounts).abs()
        better = labels.unsqueeze(1) > labels
        return -(weights * better * logsigmoid(scores.unsqueeze(1) - scores)).sum()
