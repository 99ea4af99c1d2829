"""What training does across processes: sums, and rows gathered so that gradients come out as in one process."""

import gc
import importlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from lpo_tts.errors import LpoTtsError

Result = TypeVar("Result")


def launched() -> tuple[int, int]:
    """This process's number and how many there are, as torchrun or `accelerate launch` say, before any of them has met."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def together(device: str) -> Iterator[None]:
    """Joins the launched processes for its block; nothing where there is one.

    They part at its end, whatever ended it: a thread of a group that still stands when Python ends can abort the process,
    after the work is done, with an exit code that says it failed.
    """
    if launched()[1] == 1:
        yield
        return
    # Imported while a group stands, this module would keep it for ever, as a default of its functions.
    importlib.import_module("torch.distributed.nn")
    from accelerate import PartialState

    state = PartialState(cpu=device == "cpu")
    try:
        yield
    finally:
        state.destroy_process_group()
        gc.collect()  # a wrapped model in a cycle of references keeps the group's threads as well


def from_first(function: Callable[[], Result]) -> Result:
    """What `function` gives on the first process, on all of them; what a user can mend stops all of them with its message."""
    if world_size() == 1:
        return function()
    told: list[Any] = [None, None]
    if dist.get_rank() == 0:
        try:
            told[0] = function()
        except LpoTtsError as error:
            told[1] = error
    dist.broadcast_object_list(told)
    if told[1] is not None:
        raise told[1]
    return told[0]


def world_size() -> int:
    """Number of processes."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def summed(values: Tensor) -> Tensor:
    """The sum over all processes, without gradient."""
    if world_size() == 1:
        return values
    values = values.detach().clone()
    dist.all_reduce(values)
    return values


def summed_by_name(numbers: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """Rows of numbers under names, added up over all processes; a process may lack a name."""
    if world_size() == 1:
        return {name: list(row) for name, row in numbers.items()}
    parts: list[Any] = [None] * world_size()
    dist.all_gather_object(parts, {name: list(row) for name, row in numbers.items()})
    whole: dict[str, list[float]] = {}
    for part in parts:
        for name, row in part.items():
            whole[name] = [a + b for a, b in zip(whole.get(name, [0.0] * len(row)), row, strict=True)]
    return whole


def gathered(rows: Tensor) -> Tensor:
    """Rows of all processes, one after the other; processes may have different numbers of them.

    Gradients reach this process's rows alone, times the number of processes: DDP averages gradients over processes, and
    the average of these is the gradient of the whole.
    """
    count = world_size()
    if count == 1:
        return rows
    rank = dist.get_rank()
    sizes = torch.zeros(count, dtype=torch.int64, device=rows.device)
    sizes[rank] = len(rows)
    dist.all_reduce(sizes)
    longest = int(sizes.max())
    padded = rows.detach().new_zeros(longest, *rows.shape[1:])
    padded[: len(rows)] = rows.detach()
    parts = [torch.empty_like(padded) for _ in range(count)]
    dist.all_gather(parts, padded)
    whole = [part[:size] for part, size in zip(parts, sizes.tolist(), strict=True)]
    whole[rank] = rows.detach() + count * (rows - rows.detach())
    return torch.cat(whole)
