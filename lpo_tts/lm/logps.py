"""Log-probs of answers under a causal LM: one function, used by the policy and by the reference alike.

A batch of answers is a dict with
    tokens: (rows, length, streams) int64; rows is 1 when packed.
    position_ids: (1, length) int64 when packed; an answer goes on where its prompt ends.
    layout: the Layout when packed.
    positions: (places,) int64 into the flattened (rows, length): where each answer step is predicted, the first one at its
        prompt's last step. The last places may be surplus, which point to 0.
    targets: (places, streams) int64, the answer's tokens at that step; 0 in the surplus.
    entries: (counted entries,) int64 into the flattened (places, streams): the entries that have log-probs, step by step
        and within a step stream by stream. Absent: the first `len(cells)` ones, that is, all but the surplus.
    cells: (counted entries,) int64 into a flattened (distinct answers, longest) grid.
    num_tokens: (distinct answers,) int64 counted entries; longest: the largest of them (int).
    index: (answers,) int64: where each answer, in order, stands among the distinct ones.
    weights: (answers, longest) float32 token weights of the counted entries, only where an answer has some.
    features, prompt_spans, answer_spans: only where prompts have features, see `training.batch.collate`.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lpo_tts.lm.choices import Choices
from lpo_tts.lm.head import few_logits, token_logps, vocabulary_statistics
from lpo_tts.lm.models import head_of
from lpo_tts.logprobs import Logps

Head = Literal["fused", "answers", "full"]


@dataclass(frozen=True)
class Wanted:
    """How log-probs are computed, and what of the forward pass is kept beside them.

    Attributes:
        tokens: log-probs token by token.
        hidden: the hidden states that predict the answer tokens.
        statistics: a loss's `over_vocabulary`.
        reference: with `statistics`, what `frozen_rows` returned for the same batch.
        accumulate: see `token_logps`.
        head: "fused": answer places alone reach the LM head, and logits exist a tile at a time (`lm.head`);
            "answers": answer places alone, all their logits at once; "full": the logits of all places.
    """

    tokens: bool = False
    hidden: bool = False
    statistics: Callable[..., dict[str, Tensor]] | None = None
    reference: "Rows | None" = None
    accumulate: bool = False
    head: Head = "fused"


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


def answer_logps(model: nn.Module, batch: Mapping[str, Any], wanted: Wanted = Wanted(), choices: Choices | None = None) -> Logps:
    """Log-probs of the answers of a batch under a causal LM of one stream.

    The token at place t + 1 is scored by the logits at place t; prompt and padding are not scored. Log-softmax and sums
    are float32 whatever the model computes in. Token weights, where the batch has some, weigh the sums.

    Args:
        model: a transformers causal LM, bare or wrapped (DDP, FSDP, DeepSpeed, peft); for a packed batch,
            `attention.install` was done.
        batch: on the model's device (see this module's caption).
        wanted: how they are computed, and what is kept beside them.
        choices: what the outcomes are, where they are not all tokens of the vocabulary.

    Returns:
        Logps of all answers of the examples, in their order (an answer that several name is computed once).
    """
    return _forward(model, batch, wanted, choices)[0]


def _forward(model: nn.Module, batch: Mapping[str, Any], wanted: Wanted, choices: Choices | None = None) -> "tuple[Logps, _Seen]":
    targets, head = batch["targets"].squeeze(-1), wanted.head
    with _head_sees(model, batch, targets, wanted, choices) as seen:
        out = model(**model_inputs(batch)).logits
    if head == "fused":
        values = out.reshape(-1)
    elif choices is not None:
        rows = out.reshape(-1, out.shape[-1])
        rows = rows if head == "answers" else rows.index_select(0, batch["positions"])
        values = _chosen_among(rows.float(), targets, places_of(batch, len(choices.slots)), choices)
    elif head == "answers":
        values = -cross_entropy(out.reshape(len(targets), -1).float(), targets, reduction="none")
    else:
        rows = out.reshape(-1, out.shape[-1]).float().log_softmax(-1)[batch["positions"]]
        values = rows.gather(1, targets.unsqueeze(1)).squeeze(1)
    return gathered(values, batch, wanted, seen.statistics, seen.rows), seen


def places_of(batch: Mapping[str, Any], num_places: int) -> Tensor:
    """(places,) int64: at which place of a frame each answer step of one stream stands; 0 in the surplus."""
    found = torch.zeros_like(batch["positions"])
    steps = batch["cells"] % batch["longest"]
    found[: len(steps)] = steps % num_places
    return found


def _chosen_among(logits: Tensor, targets: Tensor, places: Tensor, choices: Choices) -> Tensor:
    """(rows,) log-probs of targets from whole logits, (rows, vocabulary) float32."""
    if choices.restricted:
        barred = torch.ones(len(choices.slots), logits.shape[1], dtype=torch.bool, device=logits.device)
        for place in range(len(choices.slots)):
            barred[place, choices.ids(place).to(logits.device)] = False
        total = logits.masked_fill(barred[places], -torch.inf).logsumexp(-1)
    else:
        total = logits.logsumexp(-1)
    own = logits.gather(1, targets.unsqueeze(1)).squeeze(1)
    if choices.merged:
        ended = logits[:, list(choices.ends)].logsumexp(-1)
        own = torch.where(choices.is_end(targets), ended, own)
    return own - total


def _fused_among(rows: Tensor, head: Any, targets: Tensor, places: Tensor, choices: Choices, accumulate: bool) -> Tensor:
    """(rows,) log-probs of targets from hidden states, (rows, width), by the fused head."""
    if choices.restricted:
        found = torch.zeros(len(rows), device=rows.device)
        for place, ranges in enumerate(choices.ranges):
            at = (places == place).nonzero().squeeze(-1)
            if len(at):
                own = token_logps(rows[at], head.weight, head.bias, targets[at], ranges=ranges, accumulate=accumulate)
                found = found.index_copy(0, at, own)
    else:
        found = token_logps(rows, head.weight, head.bias, targets, accumulate=accumulate)
    if not choices.merged:
        return found
    # What an end token's log-prob lacks to that of all ends together: a product with few rows and few columns.
    at = choices.is_end(targets).nonzero().squeeze(-1)
    ids = torch.tensor(choices.ends, device=rows.device)
    ends = few_logits(rows[at], head.weight, head.bias, ids)
    own = ends.gather(1, (targets[at, None] == ids).int().argmax(1, keepdim=True)).squeeze(1)
    return found.index_add(0, at, ends.logsumexp(-1) - own)


def gathered(
    values: Tensor,
    batch: Mapping[str, Any],
    wanted: Wanted,
    statistics: Mapping[str, Tensor] | None = None,
    rows: Tensor | None = None,
) -> Logps:
    """Log-probs by place and stream as those of the examples' answers.

    Args:
        values: (places * streams,) float32, streams of a place side by side; what stands at entries that do not count,
            and in the surplus, is not read.
        batch: gives the entries that count, and who names which answer.
        wanted: whether tokens and hidden states are kept.
        statistics: the same for every statistic over the vocabulary.
        rows: (places * streams, width) hidden states.
    """
    cells, entries = batch["cells"], batch.get("entries")
    count, longest = len(batch["num_tokens"]), batch["longest"]

    def grid(values: Tensor) -> Tensor:
        taken = values[: len(cells)] if entries is None else values.index_select(0, entries)
        empty = values.new_zeros(count * longest, *values.shape[1:])
        return empty.index_copy(0, cells, taken).view(count, longest, *values.shape[1:])

    tokens = grid(values)
    distinct = Logps(
        total=tokens.sum(-1),
        num_tokens=batch["num_tokens"],
        tokens=tokens if wanted.tokens or "weights" in batch else None,
        vocabulary={name: grid(values) for name, values in (statistics or {}).items()},
        hidden=grid(rows) if wanted.hidden and rows is not None else None,
    )
    return weighted(distinct.rows(batch["index"]), batch.get("weights"))


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
def frozen_rows(
    model: nn.Module, batch: Mapping[str, Any], head: Head = "fused", choices: Choices | None = None
) -> tuple[Logps, Rows]:
    """What losses over the whole vocabulary or over hidden states need of the frozen model."""
    logps, seen = _forward(model, batch, Wanted(tokens=True, hidden=True, head=head), choices)
    module = head_of(model)
    assert seen.rows is not None
    return logps, Rows(seen.rows, module.weight, module.bias)


def model_inputs(batch: Mapping[str, Any]) -> dict[str, Any]:
    """What a transformers model of one stream is called with."""
    inputs = {"input_ids": batch["tokens"].squeeze(-1), "use_cache": False}
    return inputs | packed_inputs(batch)


def packed_inputs(batch: Mapping[str, Any]) -> dict[str, Any]:
    """What a transformers model is told of a packed row: positions, the layout, and a mask that says nothing."""
    if "layout" not in batch:
        return {}
    # A 4-dimensional mask is taken as it is, so transformers builds none; the layout says who sees whom.
    mask = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=batch["tokens"].device)
    return {"position_ids": batch["position_ids"], "packed_layout": batch["layout"], "attention_mask": mask}


@contextmanager
def _head_sees(
    model: nn.Module, batch: Mapping[str, Any], targets: Tensor, wanted: Wanted, choices: Choices | None
) -> Iterator[_Seen]:
    """Lets the LM head see only the hidden states of the batch's places, and do what `head` says with them.

    The model is still called as a whole: calling its parts by hand would bypass what DDP, FSDP and DeepSpeed do around
    `forward`, and whatever a model does to its logits.
    """
    module, seen, head = head_of(model), _Seen(), wanted.head
    positions = batch["positions"]

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
        rows = select(hidden)
        if choices is not None:
            places = places_of(batch, len(choices.slots))
            return _fused_among(rows, module, targets, places, choices, wanted.accumulate).unsqueeze(0)
        return token_logps(rows, module.weight, module.bias, targets, accumulate=wanted.accumulate).unsqueeze(0)

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
