"""Codes on a delayed grid: K codebooks written side by side, codebook k a further k steps behind the first.

With three codebooks, B for begin and E for end, frames a, b and c stand as

    step         0   1   2   3   4   5
    codebook 0   a0  b0  c0  E   E   E
    codebook 1   B   a1  b1  c1  E   E
    codebook 2   B   B   a2  b2  c2  E

A model draws the codes and the end of codebook 0. That end says where all the others end, and the begins are known
beforehand: those cells are no choice of the model, are put there by the decoder, and have no log-prob.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lpo_tts.codes import Codes, stack_levels
from lpo_tts.errors import ConfigError


@dataclass(frozen=True)
class DelayedGrid:
    """Shape of a delayed grid.

    Attributes:
        num_codebooks: columns of the grid.
        codebook_size: codes per codebook; they are their own ids, 0 .. codebook_size - 1.
        begin: id that stands before the first code of a codebook.
        end: id that stands behind the last code of a codebook.
    """

    num_codebooks: int
    codebook_size: int
    begin: int
    end: int

    def __post_init__(self) -> None:
        if self.num_codebooks < 1 or self.codebook_size < 1:
            raise ConfigError(
                f"a delayed grid needs codebooks and codes, found {self.num_codebooks} codebook(s) of {self.codebook_size}"
            )
        if min(self.begin, self.end) < self.codebook_size or self.begin == self.end:
            raise ConfigError(
                f"begin and end must differ and lie behind the codes 0 to {self.codebook_size - 1}, "
                f"found {self.begin} and {self.end}"
            )

    def write(self, codes: Codes) -> Tensor:
        """A finished grid, (num_frames + num_codebooks, num_codebooks) int64.

        Raises:
            ContractError: another number of codebooks, levels of unequal length, or a code outside its codebook.
        """
        columns = stack_levels(codes, self.num_codebooks, self.codebook_size)
        frames = len(columns)
        grid = torch.full((frames + self.num_codebooks, self.num_codebooks), self.end)
        for book in range(self.num_codebooks):
            grid[:book, book] = self.begin
            grid[book : book + frames, book] = columns[:, book]
        return grid

    def drawn(self, grid: Tensor) -> Tensor:
        """(steps, num_codebooks) bool: the cells that a model chose, for a grid (steps, num_codebooks)."""
        steps = torch.arange(len(grid))[:, None]
        books = torch.arange(self.num_codebooks)
        last = self.last_frame(grid)
        return (steps >= books) & (steps < last + books) | ((steps == last) & (books == 0))

    def last_frame(self, grid: Tensor) -> int:
        """The step at which codebook 0 ends, which is the number of frames; the number of steps when it does not."""
        ends = (grid[:, 0] == self.end).nonzero()
        return int(ends[0]) if len(ends) else len(grid)

    def read(self, grid: Tensor) -> tuple[Tensor, bool, str]:
        """Reads a grid (steps, num_codebooks), finished or cut off anywhere; never raises on what a model may sample.

        Returns:
            The whole frames before the first fault, (num_frames, num_codebooks); whether all codebooks have ended with the
            last step; and "ok", "empty" or what is wrong.
        """
        frames, steps, books = self.last_frame(grid), len(grid), self.num_codebooks
        whole = max(0, min(frames, steps - books + 1))
        finished = steps > 0 and bool((grid[-1] == self.end).all())
        number = torch.arange(steps)[:, None] - torch.arange(books)  # which frame a cell belongs to
        coded = (number >= 0) & (number < frames)
        due = torch.where(number < 0, self.begin, self.end)
        wrong = torch.where(coded, (grid < 0) | (grid >= self.codebook_size), grid != due)
        status = "ok" if whole else "empty"
        if steps > frames + books:
            status = f"{steps - frames - books} step(s) behind the end"
        if bool(wrong.any()):
            step, book = wrong.nonzero()[0].tolist()
            expected = f"a code (0 to {self.codebook_size - 1})" if coded[step, book] else f"{int(due[step, book])}"
            status = f"token {int(grid[step, book])} of codebook {book} at step {step} where {expected} is due"
            whole = min(whole, max(0, int(number[wrong].min())))
        return torch.stack([grid[book : book + whole, book] for book in range(books)], 1), finished, status
