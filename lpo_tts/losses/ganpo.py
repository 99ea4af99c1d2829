"""GANPO (arXiv 2601.22083): a preference loss, and two discriminators that hold the hidden states near the reference's."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, distributed, nn
from torch.nn.functional import softplus
from torch.nn.utils.parametrizations import spectral_norm

from lpo_tts.errors import ConfigError, ContractError
from lpo_tts.losses.base import Context, Logps, Loss, LossOutput, Need, PairLogps, Preference, Reduction
from lpo_tts.losses.dpo import Dpo
from lpo_tts.losses.log_ratios import check_range
from lpo_tts.losses.wpo import check_inner

MOMENTUM = 0.9  # of the running mean scores, the authors' code
OWN, REFERENCE, OTHER = 0, 1, 2  # a discriminator's three inputs: see `discriminator_loss`


def discriminator_loss(scores: Tensor, means: Tensor) -> Tensor:
    """(rows,) from scores (3, rows) and mean scores (3,): reference above policy, policy above the reference's other side.

    In the order OWN (the policy on this discriminator's side, chosen or rejected), REFERENCE (the frozen model on the
    same side), OTHER (the frozen model on the other side).
    """
    own, reference, other = scores - means[[REFERENCE, OWN, OWN]].unsqueeze(1)
    above_other = scores[OWN] - means[OTHER]
    # BCE with logits: softplus(-z) for the target 1, softplus(z) for 0
    return (softplus(-reference) + softplus(own) + softplus(-above_other) + softplus(other)) / 4


def generator_loss(score: Tensor, reference_mean: Tensor) -> Tensor:
    """(rows,): how far the policy's score lies below the reference's mean score."""
    return softplus(reference_mean - score)


def moved_means(old: Tensor, new: Tensor) -> Tensor:
    """The running mean scores after a batch whose mean scores are `new`."""
    return MOMENTUM * old + (1 - MOMENTUM) * new


@dataclass(frozen=True)
class GanPo(Preference):
    """`L + weight / 2 (BCE(C(h_c) - m_Hc, 1) + BCE(Q(h_r) - m_Hr, 1))`, h being the policy's hidden states, H the reference's.

    C (of chosen answers) and Q (of rejected) score an answer's final hidden states. They learn to score the reference
    above the policy, and the policy above the reference's states of the other side; the policy learns to be scored like
    the reference, whose running mean scores are m. `context.adversary` is what `make_adversary` returns; `update` it on
    every batch before the loss is called. Needs the reference's hidden states; only tokens of the answer are pooled (the
    authors' code pools prompt and padding too). Segment weights of the data do not go with this loss.

    Attributes:
        inner: L, a loss of pairs; DPO with beta 0.1 is the authors' code.
        weight: lambda, in [0, infinity); 1 is the paper's.
        model_width, layers, heads, feedforward: size of a discriminator, whole numbers from 1; 512, 2, 8 and 2048 are the
            authors' code.
        max_positions: of hidden states seen, from 1; what follows is not looked at. 2048 is the authors' code.
        dropout: in a discriminator while it learns, in [0, 1]; 0.1 is the authors' code.
        stride: every how many tokens one is looked at, from 1; 1 is ours. Codec answers of several thousand tokens want more:
            the discriminators see `stride * max_positions` tokens at most, and cost by the square of what they see.
        discriminator_learning_rate_ratio: of the discriminators' learning rate to the policy's, in (0, infinity); 0.5 is
            the authors' code.
        max_grad_norm: of a discriminator's gradient, in (0, infinity); 1 is ours, the authors' code clips nothing.
    """

    inner: Loss = field(default_factory=Dpo)
    weight: float = 1.0
    model_width: int = 512
    layers: int = 2
    heads: int = 8
    feedforward: int = 2048
    max_positions: int = 2048
    dropout: float = 0.1
    stride: int = 1
    discriminator_learning_rate_ratio: float = 0.5
    max_grad_norm: float = 1.0

    needs_reference: ClassVar[Need] = "hidden"
    over_batch: ClassVar[bool] = True
    paper: ClassVar[str] = "arXiv 2601.22083"

    def __post_init__(self) -> None:
        check_range(self, "weight", 0)
        check_range(self, "dropout", 0, 1)
        for name in ("model_width", "layers", "heads", "feedforward", "max_positions", "stride"):
            check_range(self, name, 1)
        for name in ("discriminator_learning_rate_ratio", "max_grad_norm"):
            check_range(self, name, 0, open_low=True)
        if self.model_width % self.heads:
            raise ConfigError(f"GanPo.model_width = {self.model_width} is no multiple of heads = {self.heads}")
        check_inner(self, "inner", over_batch=True)
