"""What models of several streams share: steps of text among frames of codes, and log-probs stream by stream."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lpo_tts.lm.head import token_logps, vocabulary_statistics
from lpo_tts.lm.logps import Rows, Wanted


def text_steps(ids: Sequence[int], streams: int, first_text: int) -> Tensor:
    """Token ids of text as steps of a model of several streams: (steps, streams) int64.

    A step of text holds `first_text + id` in its first stream, which no code reaches, and 0 in the others.
    """
    steps = torch.zeros(len(ids), streams, dtype=torch.int64)
    steps[:, 0] = torch.tensor(list(ids), dtype=torch.int64) + first_text
    return steps


@contextmanager
def forward_of(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """Lets a part of a model compute something else, while the model is still called as a whole."""
    before = vars(module).get("forward")
    module.forward = forward
    try:
        yield
    finally:
        if before is None:
            del module.forward
        else:
            module.forward = before


@dataclass(frozen=True)
class StreamRows(Rows):
    """Hidden states at the places of a batch, (places, width), and for each stream the states and the head that predict it."""

    streams: tuple[Rows, ...]


def stream_logps(
    streams: Sequence[Rows], targets: Tensor, wanted: Wanted, logits: Tensor | None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Log-probs of each stream's targets under the softmax of its own head.

    Args:
        streams: per stream, (places, width) hidden states and the head they go through.
        targets: (places, streams) int64.
        wanted: may ask for a loss's statistics, and then holds the frozen model's `StreamRows`.
        logits: (places, streams, ids) by the model's own heads; None: the fused head makes them, a tile at a time.

    Returns:
        (places, streams) float32 nats, and (places * streams,) for every statistic.
    """
    columns, statistics = [], []
    for stream, (rows, ids) in enumerate(zip(streams, targets.unbind(1), strict=True)):
        if logits is None:
            columns.append(token_logps(rows.hidden, rows.weight, rows.bias, ids))
        else:
            columns.append(-cross_entropy(logits[:, stream].float(), ids, reduction="none"))
        if wanted.statistics is not None:
            other = None if wanted.reference is None else cast("StreamRows", wanted.reference).streams[stream]
            frozen = None if other is None else (other.hidden, other.weight, other.bias)
            head = cast("nn.Module", rows)  # of which weight and bias are read
            statistics.append(vocabulary_statistics(wanted.statistics, rows.hidden, head, frozen, ids))
    names = statistics[0] if statistics else {}
    return torch.stack(columns, 1), {name: torch.stack([one[name] for one in statistics], 1).flatten(0, 1) for name in names}
