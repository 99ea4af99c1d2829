"""Audio codes, and the pure arithmetic between codes and LM token ids."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lpo_tts.errors import ContractError


@dataclass(frozen=True)
class Codes:
    """Codes of one recording: `levels[k]` is (frames_k,) int64; flat, parallel and multi-rate codecs alike."""

    levels: tuple[Tensor, ...]

    @property
    def num_frames(self) -> int:
        """Frames of level 0, the slowest one."""
        return int(self.levels[0].numel()) if self.levels else 0

    def first(self, num_frames: int) -> "Codes":
        """The first `num_frames` frames (of level 0), the other levels cut at the same time."""
        if num_frames < 0:
            raise ContractError(f"expected a number of frames of at least 0, found {num_frames}")
        if num_frames >= self.num_frames:
            return self
        ratios = [level.numel() // self.num_frames for level in self.levels]
        return Codes(tuple(level[: num_frames * ratio] for level, ratio in zip(self.levels, ratios, strict=True)))


@dataclass(frozen=True)
class Slot:
    """One token of a frame: which codebook level it comes from, which of that level's codes, and its first id."""

    level: int
    index: int  # 0 .. rate-1 within the frame, for levels with several codes per frame
    first_id: int
    size: int


@dataclass(frozen=True)
class TokenLayout:
    """A frame is a fixed run of slots; token id = slot.first_id + code.

    Level 0 has one code per frame; a slower level cannot be written down, a faster one has several slots
    (SNAC: 1, 2 and 4). The codes of one level within a frame are numbered by `Slot.index` in order of time.
    """

    slots: tuple[Slot, ...]

    def __post_init__(self) -> None:
        if not self.slots:
            raise ContractError("a token layout needs at least one slot, found none")
        for level in range(self.num_levels):
            indices = sorted(slot.index for slot in self.slots if slot.level == level)
            if indices != list(range(len(indices))) or not indices or (level == 0 and len(indices) != 1):
                expected = "exactly one slot, index 0" if level == 0 else "slots with indices 0, 1, ... once each"
                raise ContractError(f"token layout, level {level}: expected {expected}, found indices {indices}")
        if any(slot.size < 1 or slot.first_id < 0 or slot.level < 0 for slot in self.slots):
            raise ContractError("token layout: sizes must be at least 1, first ids and levels at least 0")

    @classmethod
    def flat(cls, first_id: int, size: int) -> "TokenLayout":
        """One codebook, one token per frame (X-Codec2, NeuCodec, the mini codec)."""
        return cls((Slot(0, 0, first_id, size),))

    @property
    def num_levels(self) -> int:
        """Codebook levels."""
        return 1 + max(slot.level for slot in self.slots)

    def rate(self, level: int) -> int:
        """Codes of this level per frame."""
        return sum(slot.level == level for slot in self.slots)

    def to_tokens(self, codes: Codes) -> Tensor:
        """Codes to token ids (num_frames * slots,) int64; raises ContractError for a code outside its codebook."""
        if len(codes.levels) < self.num_levels:
            raise ContractError(f"expected codes with {self.num_levels} level(s), found {len(codes.levels)}")
        frames = codes.num_frames
        columns = []
        for slot in self.slots:
            level = codes.levels[slot.level].to(torch.int64)
            rate = self.rate(slot.level)
            if level.numel() != frames * rate:
                raise ContractError(
                    f"codebook {slot.level}: expected {frames * rate} codes for {frames} frames, found {level.numel()}"
                )
            column = level.reshape(frames, rate)[:, slot.index]
            if frames and (int(column.min()) < 0 or int(column.max()) >= slot.size):
                bad = int(column[(column < 0) | (column >= slot.size)][0])
                raise ContractError(f"code {bad} lies outside codebook {slot.level} (size {slot.size})")
            columns.append(column + slot.first_id)
        return torch.stack(columns, 1).reshape(-1)

    def to_codes(self, token_ids: Tensor) -> Codes:
        """Token ids (num_frames * slots,) to codes; raises ContractError naming the first token out of place."""
        width = len(self.slots)
        if token_ids.numel() % width:
            raise ContractError(f"expected whole frames of {width} tokens, found {token_ids.numel()} tokens")
        frames = token_ids.to(torch.int64).reshape(-1, width)
        columns: dict[tuple[int, int], Tensor] = {}
        for position, slot in enumerate(self.slots):
            column = frames[:, position] - slot.first_id
            wrong = (column < 0) | (column >= slot.size)
            if bool(wrong.any()):
                frame = int(wrong.nonzero()[0])
                raise ContractError(
                    f"token {int(frames[frame, position])} at position {frame * width + position} is no code of slot {position} "
                    f"(ids {slot.first_id} to {slot.first_id + slot.size - 1})"
                )
            columns[slot.level, slot.index] = column
        levels = range(self.num_levels)
        return Codes(tuple(torch.stack([columns[level, i] for i in range(self.rate(level))], 1).reshape(-1) for level in levels))


def stack_levels(codes: Codes, num_codebooks: int, codebook_size: int) -> Tensor:
    """Codes as (num_frames, num_codebooks) int64.

    Raises:
        ContractError: another number of codebooks, levels of unequal length, or a code outside its codebook.
    """
    lengths = [level.numel() for level in codes.levels]
    if len(lengths) != num_codebooks or len(set(lengths)) != 1:
        raise ContractError(f"expected {num_codebooks} codebooks of equal length, found codebooks of {lengths} codes")
    columns = torch.stack([level.to(torch.int64).cpu() for level in codes.levels], 1)
    wrong = ((columns < 0) | (columns >= codebook_size)).nonzero()
    if len(wrong):
        frame, book = wrong[0].tolist()
        raise ContractError(f"code {int(columns[frame, book])} lies outside codebook {book} (size {codebook_size})")
    return columns
