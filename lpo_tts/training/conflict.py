"""How much the gradients of chosen and rejected answers pull at the same weights, and the r2 that follows.

Let g1 and g2 be the gradients of the mean log-probs of chosen and rejected answers and c their cosine. A small step that
raises the chosen with weight r1 and lowers the rejected with weight r2 moves them by

    dx1 ~ r1 |g1|^2 - r2 c |g1||g2|        dx2 ~ r1 c |g1||g2| - r2 |g2|^2

so the rejected falls only for r2/r1 > c |g1|/|g2|, and the chosen rises only for r2/r1 < |g1| / (c |g2|). Between the two
lies the window in which LPO does what it promises; answers of the same model to the same prompt have a high c and a narrow
window. Plain gradient steps are meant: an optimizer that scales coordinates (AdamW) shifts the window, not its shape.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lpo_tts.errors import ContractError
from lpo_tts.training.attention import takes_layouts
from lpo_tts.training.batch import collate
from lpo_tts.training.examples import PairExample
from lpo_tts.training.logps import answer_logps, autocast, split_pairs, why_not_fused
from lpo_tts.training.reference import moved


@dataclass(frozen=True)
class Conflict:
    """Cosine and ratio of norms |g1|/|g2| of the two gradients, over the pairs of one batch or several."""

    cosine: float
    ratio: float

    @property
    def window(self) -> tuple[float, float]:
        """r2/r1 between which the rejected falls and the chosen rises; (0, inf) where the gradients do not conflict."""
        if self.cosine <= 0:
            return 0.0, math.inf
        return self.cosine * self.ratio, self.ratio / self.cosine

    @property
    def r2(self) -> float:
        """What we would set r2/r1 to (ours): a quarter of the window's way up on a log scale, where the chosen gains most.

        Without a conflict it is the ratio of norms, which moves both answers alike.
        """
        return self.ratio * math.sqrt(max(self.cosine, 0.0)) if self.cosine > 0.05 else self.ratio


def measure(
    model: Any, pairs: Sequence[PairExample], batch_size: int, precision: str = "fp32"
) -> tuple[Conflict, list[Conflict]]:
    """Measures the conflict on pairs.

    Args:
        model: the model before training; its weights and gradients are left alone.
        pairs: of the training data, in batches of `batch_size`; a last, smaller batch is left out.
        batch_size: pairs per batch.
        precision: "fp32" or "bf16".

    Returns:
        The conflict of the gradients summed over all batches, and of each batch alone.

    Raises:
        ContractError: fewer pairs than one batch.
    """
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    sums: list[list[Tensor]] = [[torch.zeros_like(w, dtype=torch.float32) for w in weights] for _ in range(2)]
    alone = []
    head = "answers" if why_not_fused(model) else "fused"
    for start in range(0, len(pairs) - batch_size + 1, batch_size):
        batch = collate(pairs[start : start + batch_size], pack=takes_layouts(model))
        with autocast(model, precision):
            logps = split_pairs(answer_logps(model, moved(batch, weights[0].device), head))
        parts = logps.chosen.mean.mean(), logps.rejected.mean.mean()
        found = [torch.autograd.grad(part, weights, retain_graph=part is parts[0], allow_unused=True) for part in parts]
        grads = [[torch.zeros_like(w) if g is None else g for w, g in zip(weights, one, strict=True)] for one in found]
        alone.append(_conflict(*grads))
        for total, one in zip(sums, grads, strict=True):
            torch._foreach_add_(total, [g.float() for g in one])
    if not alone:
        raise ContractError(f"{len(pairs)} pairs do not make one batch of {batch_size}; build more pairs or take smaller batches")
    return _conflict(*sums), alone


def _conflict(one: Sequence[Tensor], other: Sequence[Tensor]) -> Conflict:
    product = sum(float((a.float() * b.float()).sum()) for a, b in zip(one, other, strict=True))
    norms = [math.sqrt(sum(float(g.float().square().sum()) for g in grads)) for grads in (one, other)]
    if 0 in norms or not all(map(math.isfinite, norms)):
        raise ContractError(f"the gradients of chosen and rejected have norms {norms}; look at the pairs and the model")
    return Conflict(product / (norms[0] * norms[1]), norms[0] / norms[1])


def lines(whole: Conflict, alone: Sequence[Conflict], batch_size: int) -> list[str]:
    """What the command prints."""
    cosines = [one.cosine for one in alone]
    low, high = whole.window
    spread = f" (single batches {min(cosines):.3f} to {max(cosines):.3f}, median {statistics.median(cosines):.3f})"
    return [
        f"{len(alone)} batches of {batch_size} pairs; g1, g2: gradients of the chosen and rejected answers' log-probs per token",
        f"cosine of g1 and g2: {whole.cosine:.3f}{spread}",
        f"|g1| / |g2|: {whole.ratio:.3f}",
        f"the rejected falls for r2/r1 above {low:.2f}, the chosen rises for r2/r1 below {high:.2f}",
        f"a good r2 (with r1 = 1): {whole.r2:.2f}",
    ]
