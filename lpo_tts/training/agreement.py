"""What must agree before a run may begin: policy and reference on the first batch, packed and plain log-probs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from lpo_tts.errors import TrainingError
from lpo_tts.lm.base import SpeechLM
from lpo_tts.lm.logps import Head, Wanted
from lpo_tts.lm.models import frozen, layers_beside_attention
from lpo_tts.training.batch import collate, moved
from lpo_tts.training.examples import Example

TOLERANCE = {"fp32": 1e-3, "bf16": 2e-2}  # nats per token, by the arithmetic or the weights; ours: rounding, and no more
LONGEST = 32  # tokens of prompts and answers that are compared
NARROW_TOLERANCE = 5e-2  # nats per token between two ways to compute a model whose weights are bf16


def why_not_packed(lm: SpeechLM, examples: Sequence[Example], head: Head, share: bool) -> str | None:
    """Why answers of this model must stand on padded rows, or None: two small prompt groups are computed both ways.

    Args:
        lm: with `take_packs` done, before anything wraps its module.
        examples: of the training data.
        head: see `Wanted`.
        share: see `collate`.
    """
    longest = max(example.num_tokens for example in examples)
    window = lm.window
    if window is not None and window < longest:
        return f"has a sliding window of {window} tokens and the longest sequence {longest}"
    beside = layers_beside_attention(lm.module)
    if beside is not None:  # numbers alone may be too near to tell
        return f"has layers of kind {beside}, which hear their neighbours over the borders of packed answers"
    groups: dict[bytes, list[Example]] = {}
    for example in examples[:256]:
        groups.setdefault(example.prompt_key, []).append(example)
    short = sorted(groups.values(), key=lambda group: max(e.num_tokens for e in group))[:2]
    # One sequence alone could not tell a layout from none. Cut short, since the plain way holds all logits.
    group = [_cut(example) for part in short for example in part[:2]]
    first = next(lm.module.parameters())
    ways: tuple[tuple[bool, Head], ...] = ((True, head), (False, "full"))
    means = []
    with frozen(lm.module):
        for pack, way in ways:
            batch = moved(collate(group, pack=pack, share=share, counted=lm.counted), first.device)
            try:
                means.append(lm.logps(batch, Wanted(head=way)).mean.float())
            except (TypeError, ValueError, RuntimeError, IndexError) as error:  # knows no such argument or mask
                if not pack:
                    raise
                return f"does not take packed answers ({type(error).__name__}: {error})"
    apart = float((means[0] - means[1]).abs().max())
    narrow = first.dtype != torch.float32
    if apart > (NARROW_TOLERANCE if narrow else TOLERANCE["fp32"]):
        return f"gives other log-probs to packed answers than to plain ones ({apart:.3g} nats per token apart)"
    return None


def _cut(example: Example) -> Example:
    # Without weights, which may all lie beyond the cut.
    short = example.unweighted().with_answers([answer[:LONGEST] for answer in example.answers])
    if example.features:  # which may stand beside the prompt's tokens
        return short
    return replace(short, prompt_ids=example.prompt_ids[-LONGEST:])


def arithmetic(module: nn.Module, precision: str) -> str:
    """The arithmetic of a module: bf16 where any weight is narrow, as frozen ones in bfloat16 under LoRA are."""
    narrow = any(weight.dtype in (torch.bfloat16, torch.float16) for weight in module.parameters())
    return "bf16" if narrow else precision


def check_first(log_ratios: Tensor | None, inputs: Mapping[str, Any], precision: str) -> None:
    """Raises TrainingError, naming the worst pair, unless policy = reference within TOLERANCE.

    Args:
        log_ratios: (answers,) nats per token in the order of the examples' answers; None passes.
        inputs: the batch, for its ids and sizes.
        precision: "bf16" or "fp32", see `arithmetic`.
    """
    if log_ratios is None:
        return
    ratios = log_ratios.abs()
    worst = int(ratios.argmax())
    limit = TOLERANCE[precision]
    if ratios[worst] > limit:
        owner = [one for one, size in zip(inputs["ids"], inputs["sizes"], strict=True) for _ in range(size)][worst]
        raise TrainingError(
            f"policy and reference must agree before the first step, but differ by {ratios[worst]:.3g} nats per token on "
            f"pair {owner} (at most {limit:g} with {precision}): the reference log-probs are of another "
            "model, tokenization or precision; make them anew, or set check_reference: false if they differ on purpose"
        )
