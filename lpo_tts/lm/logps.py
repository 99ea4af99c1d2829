"""Log-probs of answers under a causal LM: one function, used by the policy and by the reference alike."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lpo_tts.lm.head import token_logps, vocabulary_statistics
from lpo_tts.lm.models import head_of
from lpo_tts.logprobs import ListLogps, Logps, PairLogps

Head = Literal["fused", "answers", "full"]


@dataclass(frozen=True)
class Wanted:
    """What of a forward pass is kept beside the log-probs.

    Attributes:
        tokens: log-probs token by token.
        hidden: the hidden states that predict the answer tokens.
        statistics: a loss's `over_vocabulary`.
        reference: with `statistics`, what `frozen_rows` returned for the same batch.
        accumulate: see `token_logps`.
    """

    tokens: bool = False
    hidden: bool = False
    statistics: Callable[..., dict[str, Tensor]] | None = None
    reference: "Rows | None" = None
    accumulate: bool = False


@dataclass(frozen=True)
class Rows:
    """Hidden states at the places of a batch, (places, width), and the head they go through."""

    hidden: Tensor
    weight: Tensor
    bias: Tensor | None


@dataclass
class _Seen:
    rows: Tensor | None = None
    statistics: dict[str, Tensor] = field(default_factory=dict)


def answer_logps(model: nn.Module, batch: Mapping[str, Any], head: Head = "fused", wanted: Wanted | None = None) -> Logps:
    """Log-probs of the answers of a batch made by `training.batch.collate`.

    The token at place t + 1 is scored by the logits at place t; prompt and padding are not scored. Log-softmax and sums
    are float32 whatever the model computes in. Token weights, where the batch has some, weigh the sums.

    Args:
        model: a transformers causal LM, bare or wrapped (DDP, FSDP, DeepSpeed, peft); for a packed batch,
            `attention.install` was done.
        batch: what `collate` returns, on the model's device.
        head: "fused": answer places alone reach the LM head, and logits exist a tile at a time (`lm.head`);
            "answers": answer places alone, all their logits at once; "full": the logits of all places.
        wanted: what to keep beside the log-probs.

    Returns:
        Logps of all answers of the examples, in their order (an answer that several name is computed once).
    """
    return _forward(model, batch, head, wanted or Wanted())[0]


def _forward(model: nn.Module, batch: Mapping[str, Any], head: Head, wanted: Wanted) -> "tuple[Logps, _Seen]":
    targets, slots = batch["targets"], batch["slots"]
    count, longest = len(batch["num_tokens"]), batch["longest"]
    with _head_sees(model, batch, head, wanted) as seen:
        out = model(**_inputs(batch)).logits
    if head == "fused":
        values = out.reshape(-1)
    elif head == "answers":
        values = -cross_entropy(out.reshape(len(targets), -1).float(), targets, reduction="none")
    else:
        rows = out.reshape(-1, out.shape[-1]).float().log_softmax(-1)[batch["positions"]]
        values = rows.gather(1, targets.unsqueeze(1)).squeeze(1)

    def grid(values: Tensor) -> Tensor:
        empty = values.new_zeros(count * longest, *values.shape[1:])
        return empty.index_copy(0, slots, values[: len(slots)]).view(count, longest, *values.shape[1:])

    tokens = grid(values)
    distinct = Logps(
        total=tokens.sum(-1),
        num_tokens=batch["num_tokens"],
        tokens=tokens if wanted.tokens or "weights" in batch else None,
        vocabulary={name: grid(values) for name, values in seen.statistics.items()},
        hidden=grid(seen.rows) if wanted.hidden and seen.rows is not None else None,
    )
    return weighted(distinct.rows(batch["index"]), batch.get("weights")), seen


def weighted(logps: Logps, weights: Tensor | None) -> Logps:
    """Log-probs whose sums weigh each token; `weights` is (answers, longest) or None."""
    if weights is None:
        return logps
    assert logps.tokens is not None
    shares: Tensor = weights[:, : logps.tokens.shape[1]].to(logps.tokens)
    tokens = logps.tokens * shares
    vocabulary = {name: values * shares for name, values in logps.vocabulary.items()}
    return Logps(tokens.sum(-1), shares.sum(-1), tokens, vocabulary, logps.hidden)


@torch.no_grad()
def frozen_rows(model: nn.Module, batch: Mapping[str, Any], head: Head = "fused") -> tuple[Logps, Rows]:
    """What losses over the whole vocabulary or over hidden states need of the frozen model."""
    logps, seen = _forward(model, batch, head, Wanted(tokens=True, hidden=True))
    module = head_of(model)
    assert seen.rows is not None
    return logps, Rows(seen.rows, module.weight, module.bias)


def _inputs(batch: Mapping[str, Any]) -> dict[str, Any]:
    inputs = {"input_ids": batch["input_ids"], "use_cache": False}
    if "layout" in batch:
        # A 4-dimensional mask is taken as it is, so transformers builds none; the layout says who sees whom.
        mask = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=batch["input_ids"].device)
        inputs |= {"position_ids": batch["position_ids"], "packed_layout": batch["layout"], "attention_mask": mask}
    return inputs


def split_pairs(logps: Logps) -> PairLogps:
    """Parts the answers of pairs, which come in twos."""
    return PairLogps(logps.rows(slice(0, None, 2)), logps.rows(slice(1, None, 2)))


def arrange(logps: Logps, batch: Mapping[str, Any], kind: str) -> PairLogps | ListLogps:
    """Answers in the order of the examples, as a loss of this kind takes them."""
    if kind == "list":
        return ListLogps(logps, batch["sizes"])
    if "desirable" in batch:
        return PairLogps(logps.rows(batch["desirable"]), logps.rows(~batch["desirable"]))
    return split_pairs(logps)


def sides(rows: Tensor, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Parts what a batch says of its answers, (answers, ...), into chosen and rejected, as `arrange` does log-probs."""
    if "desirable" in batch:
        return rows[batch["desirable"]], rows[~batch["desirable"]]
    return rows[0::2], rows[1::2]


@contextmanager
def _head_sees(model: nn.Module, batch: Mapping[str, Any], head: Head, wanted: Wanted) -> Iterator[_Seen]:
    """Lets the LM head see only the hidden states of the batch's places, and do what `head` says with them.

    The model is still called as a whole: calling its parts by hand would bypass what DDP, FSDP and DeepSpeed do around
    `forward`, and whatever a model does to its logits.
    """
    module, seen = head_of(model), _Seen()
    positions, targets = batch["positions"], batch["targets"]

    def select(hidden: Tensor) -> Tensor:
        rows = hidden.reshape(-1, hidden.shape[-1]).index_select(0, positions)
        if wanted.hidden:
            seen.rows = rows
        if wanted.statistics is not None:
            frozen = (
                None if wanted.reference is None else (wanted.reference.hidden, wanted.reference.weight, wanted.reference.bias)
            )
            seen.statistics = vocabulary_statistics(wanted.statistics, rows, module, frozen, targets)
        return rows

    def fused(hidden: Tensor) -> Tensor:
        return token_logps(select(hidden), module.weight, module.bias, targets, accumulate=wanted.accumulate).unsqueeze(0)

    def before(_module: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor] | None:
        rows = select(arguments[0])
        return (rows.unsqueeze(0),) if head == "answers" else None

    if head == "fused":
        module.forward = fused
        try:
            yield seen
        finally:
            del module.forward
        return
    handle = module.register_forward_pre_hook(before)
    try:
        yield seen
    finally:
        handle.remove()
