"""Who sees whom in a packed row: causal segments, and crossings from answers to the prompt that they share."""

import functools
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """Who sees whom in a packed row of `length` tokens.

    Attributes:
        length: tokens of the row, padding at its end included.
        segments: (start, length), causal within themselves; they do not overlap.
        crossings: (query start, query length, key start, key length): queries that also see all of these keys, which
            stand in another segment.
    """

    length: int
    segments: tuple[tuple[int, int], ...]
    crossings: tuple[tuple[int, int, int, int], ...] = ()

    @functools.cached_property
    def mask(self) -> Tensor:
        """(length, length) bool: True where a query (row) sees a key (column); padding sees itself."""
        mask = torch.eye(self.length, dtype=torch.bool)
        for start, length in self.segments:
            mask[start : start + length, start : start + length] = torch.ones(length, length, dtype=torch.bool).tril()
        for start, length, first, count in self.crossings:
            mask[start : start + length, first : first + count] = True
        return mask

    @functools.cached_property
    def rounds(self) -> tuple[tuple[tuple[int, int, int, int], ...], ...]:
        """The crossings in groups within which no query and no key stands twice; one group, as packs are made."""
        rounds: list[list[tuple[int, int, int, int]]] = []
        for one in self.crossings:
            free = (some for some in rounds if not any(_meet(one, other) for other in some))
            some = next(free, None)
            if some is None:
                rounds.append(some := [])
            some.append(one)
        return tuple(map(tuple, rounds))

    def kept(self, name: Hashable, make: Callable[[], Any]) -> Any:
        """What `make` makes of this layout, made once under a name: every layer of a model asks for the same."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    @functools.cached_property
    def _made(self) -> dict[Hashable, Any]:
        return {}

    @property
    def longest(self) -> int:
        """The most tokens any query sees."""
        longest = max(length for _, length in self.segments)
        within = dict(self.segments)
        for start, length, _, count in self.crossings:
            longest = max([longest, *(count + n for s, n in within.items() if start <= s < start + length)])
        return longest


def _meet(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    """Whether two crossings share queries or keys."""
    return any(one[i] < other[i] + other[i + 1] and other[i] < one[i] + one[i + 1] for i in (0, 2))
