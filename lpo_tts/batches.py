"""Batches by length: what is of one length, or of like length, goes through a network together."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

Result = TypeVar("Result")


def of_equal_length(lengths: Sequence[Hashable], batch_size: int) -> list[list[int]]:
    """Indices in batches of one length each, for networks that hear the padding of their batch mates.

    Lengths come in the order in which they are first met, indices of one length in their own order.
    """
    groups: dict[Hashable, list[int]] = {}
    for index, length in enumerate(lengths):
        groups.setdefault(length, []).append(index)
    return [batch for group in groups.values() for batch in consecutive(group, batch_size)]


def of_like_length(lengths: Sequence[float], batch_size: int, chosen: Iterable[int] | None = None) -> list[list[int]]:
    """Indices in batches of like length, shortest first, so that little is spent on padding.

    Args:
        lengths: of everything, in any unit; what is equally long keeps its order.
        batch_size: indices of a batch, at most.
        chosen: the indices to take; None: all.
    """
    return consecutive(sorted(range(len(lengths)) if chosen is None else chosen, key=lambda index: lengths[index]), batch_size)


def consecutive(indices: Sequence[int], batch_size: int) -> list[list[int]]:
    """Indices in batches, in the order in which they come."""
    return [list(indices[start : start + batch_size]) for start in range(0, len(indices), batch_size)]


def map_batches(batches: Iterable[list[int]], compute: Callable[[list[int]], Iterable[Result]]) -> dict[int, Result]:
    """Index -> its result, of a function that takes a batch of indices and gives one result for each of them."""
    found: dict[int, Result] = {}
    for batch in batches:
        found.update(zip(batch, compute(batch), strict=True))
    return found
