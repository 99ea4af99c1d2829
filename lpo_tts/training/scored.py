"""Batches of examples scored by a frozen model: the unit of work of reference log-probs, here or in a worker."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from lpo_tts.lm.base import SpeechLM
from lpo_tts.lm.logps import Head, Wanted
from lpo_tts.lm.models import autocast, frozen
from lpo_tts.training.batch import collate, moved
from lpo_tts.training.examples import Example


class BatchLogps(NamedTuple):
    """Log-probs of the answers of a batch, float32 on the CPU.

    `total`, `num_tokens`: (answers,), the answers of the examples one after the other; `tokens`: (all counted answer
    tokens,), or None.
    """

    total: Tensor
    num_tokens: Tensor
    tokens: Tensor | None


@dataclass(frozen=True)
class Scorer:
    """Scores batches, one forward pass each.

    Attributes:
        lm: the model, in evaluation mode while it scores, the adapters of a peft model off. Where it takes packs, a batch
            is packed.
        precision: "fp32" or "bf16" (autocast).
        tokens: whether log-probs token by token are kept as well.
        head: see `Wanted`; "fused" where the model has one.
        share: see `collate`.
    """

    lm: SpeechLM
    precision: str = "fp32"
    tokens: bool = False
    head: Head = "fused"
    share: bool = True

    def __call__(self, examples: Sequence[Example]) -> BatchLogps:
        """Log-probs of one batch."""
        lm = self.lm
        head: Head = "answers" if self.head == "fused" and lm.why_not_fused() is not None else self.head
        batch = collate(examples, pack=lm.takes_packs, share=self.share, counted=lm.counted)
        batch.pop("weights", None)  # kept unweighted; the trainer weighs policy and reference alike
        device = next(lm.module.parameters()).device
        with frozen(lm.module), autocast(lm.module, self.precision):
            logps = lm.logps(moved(batch, device), Wanted(tokens=self.tokens, head=head))
        tokens = None
        if logps.tokens is not None:
            rows = zip(logps.tokens, logps.num_tokens.tolist(), strict=True)
            tokens = torch.cat([row[:count] for row, count in rows]).float().cpu()
        return BatchLogps(logps.total.float().cpu(), logps.num_tokens.cpu(), tokens)
