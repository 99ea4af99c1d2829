"""Log-probs of answers under a causal LM: one function, used by the policy and by the reference alike."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lpo_tts.errors import ComponentError
from lpo_tts.losses.base import Logps, PairLogps


def answer_logps(model: nn.Module, batch: Mapping[str, Any]) -> Logps:
    """Log-probs of the answers of a batch made by `training.batch.collate`.

    The token at place t + 1 is scored by the logits at place t; prompt and padding are not scored. Only the places
    that predict an answer token reach the LM head: a vocabulary of 200,000 makes logits of all places the largest
    tensor of the step. Log-softmax and sums are float32 whatever the model computes in.

    Args:
        model: a transformers causal LM, bare or wrapped (DDP, FSDP, DeepSpeed, peft).
        batch: what `collate` returns, on the model's device.

    Returns:
        Logps of all 2 * pairs sequences, chosen first.
    """
    positions, slots, num_tokens = batch["positions"], batch["slots"], batch["num_tokens"]
    with _head_sees(model, positions):
        logits = model(input_ids=batch["input_ids"], use_cache=False).logits
    token_logps = -cross_entropy(logits.reshape(len(positions), -1).float(), batch["targets"], reduction="none")
    grid = token_logps.new_zeros(len(num_tokens), batch["longest"])
    grid = grid.view(-1).index_copy(0, slots, token_logps[: len(slots)]).view_as(grid)
    return Logps(total=grid.sum(-1), num_tokens=num_tokens)


def split_pairs(logps: Logps) -> PairLogps:
    """Parts the sequences of a batch into chosen (first half) and rejected (second half)."""
    half = len(logps.num_tokens) // 2
    return PairLogps(
        Logps(logps.total[:half], logps.num_tokens[:half]),
        Logps(logps.total[half:], logps.num_tokens[half:]),
    )


@contextmanager
def _head_sees(model: nn.Module, positions: Tensor) -> Iterator[None]:
    """Lets the LM head see only the hidden states at `positions` of the flattened batch.

    A hook on the head, and the model is still called as a whole: calling its parts by hand would bypass what DDP,
    FSDP and DeepSpeed do around `forward`, and whatever a model does to its logits.
    """
    bare = model
    while isinstance(getattr(bare, "module", None), nn.Module):
        bare = bare.module
    head = bare.get_output_embeddings() if hasattr(bare, "get_output_embeddings") else None
    if head is None:
        raise ComponentError(f"{type(bare).__name__} has no LM head (get_output_embeddings); a causal LM is needed")

    def select(_module: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor]:
        hidden = arguments[0]
        return (hidden.reshape(-1, hidden.shape[-1]).index_select(0, positions).unsqueeze(0),)

    handle = head.register_forward_pre_hook(select)
    try:
        yield
    finally:
        handle.remove()


def autocast(model: nn.Module, precision: str) -> Any:
    """The context both models compute in: bf16 autocast for "bf16", plain float32 for "fp32"."""
    device = next(model.parameters()).device.type
    return torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bf16")
