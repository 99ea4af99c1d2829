"""Keys and values of what rows have written, kept as the products of attention read them fastest."""

import torch
from torch import Tensor

_BLOCK = 16  # ours: steps of room added at a time; products of attention run over all the room there is


class RowCache:
    """Per layer, the keys and values of rows that all have written equally many tokens.

    Keys lie (rows, kv_heads, head_dim, room) and values (rows, kv_heads, room, head_dim), without gaps: other strides make
    matrix products of bfloat16 copy them at every step. What has room but is not written is zero.

    Args:
        layers: how many.
        heads: key/value heads.
        head_dim: of keys and values.
        rows: how many at first.
        max_tokens: the most tokens of a row.
        like: of the dtype and device.
    """

    def __init__(self, layers: int, heads: int, head_dim: int, rows: int, max_tokens: int, like: Tensor) -> None:
        self.keys = [like.new_zeros(rows, heads, head_dim, 0) for _ in range(layers)]
        self.values = [like.new_zeros(rows, heads, 0, head_dim) for _ in range(layers)]
        self._max_tokens = max_tokens
        self.written = 0

    @property
    def room(self) -> int:
        """Steps there is room for."""
        return self.keys[0].shape[-1]

    def advance(self, rows: int) -> None:
        """Begins a step of the first `rows` rows, and makes room for it; the others are forgotten when room is made."""
        self.written += 1
        if self.written <= self.room:
            return
        more = max(1, min(_BLOCK, self._max_tokens - self.room))
        for index, (keys, values) in enumerate(zip(self.keys, self.values, strict=True)):  # one layer at a time, for memory
            self.keys[index] = torch.nn.functional.pad(keys[:rows], (0, more))
            self.values[index] = torch.nn.functional.pad(values[:rows], (0, 0, 0, more))

    def write(self, layer: int, pair: Tensor) -> None:
        """Writes keys and values of the step begun last: (rows, 2, kv_heads, head_dim)."""
        rows, now = pair.shape[0], self.written - 1
        self.keys[layer][:rows, :, :, now] = pair[:, 0]
        self.values[layer][:rows, :, now] = pair[:, 1]

    def read(self, layer: int, rows: int) -> tuple[Tensor, Tensor]:
        """Keys (rows * kv_heads, head_dim, room) and values (rows * kv_heads, room, head_dim)."""
        return self.keys[layer][:rows].flatten(0, 1), self.values[layer][:rows].flatten(0, 1)

    def move(self, sources: Tensor, targets: Tensor) -> None:
        """Copies rows over others."""
        if sources.numel():
            for held in (*self.keys, *self.values):
                held[targets] = held[sources]
