"""Answers of one token stream: frames of slots, one token after the other, and then an end token."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lpo_tts.backbones.base import END, Answer, Codebooks, Places
from lpo_tts.codes import Codes, TokenLayout
from lpo_tts.errors import ContractError
from lpo_tts.lm.choices import Choices


class FlatAnswers:
    """The half of a flat token map that needs no tokenizer.

    Args:
        layout: codes <-> token ids.
        end_ids: token ids that end an answer; the first one is the one training writes.
        merged: see `Choices`, likewise restricted.
        restricted: see `Choices`.
    """

    streams = 1

    def __init__(self, layout: TokenLayout, end_ids: Sequence[int], *, merged: bool = False, restricted: bool = False) -> None:
        self.layout = layout
        self.end_ids = tuple(end_ids)
        slots = tuple((slot.first_id, slot.size) for slot in layout.slots)
        self.choices = Choices(slots, self.end_ids, merged, restricted)

    @property
    def num_slots(self) -> int:
        """Tokens of a frame."""
        return len(self.layout.slots)

    def answer(self, codes: Codes) -> Tensor:
        """Tokens of a finished answer, the first end token included: (num_frames * slots + 1, 1) int64."""
        return torch.cat([self.layout.to_tokens(codes).cpu(), torch.tensor(self.end_ids[:1])]).unsqueeze(-1)

    def parse(self, tokens: Tensor) -> Answer:
        """Codes of the whole frames before the first fault, and what the fault is; never raises."""
        ids = torch.as_tensor(tokens).detach().cpu().to(torch.int64).reshape(-1)
        finished = bool(ids.numel()) and int(ids[-1]) in self.end_ids
        if finished:
            ids = ids[:-1]
        if not ids.numel():
            return Answer(codes=None, finished=finished, status="empty")
        width = self.num_slots
        slots = torch.arange(ids.numel()) % width
        first = torch.tensor([slot.first_id for slot in self.layout.slots])[slots]
        size = torch.tensor([slot.size for slot in self.layout.slots])[slots]
        wrong = ((ids < first) | (ids >= first + size)).nonzero()
        whole = ids.numel() // width
        status = "ok"
        if wrong.numel():
            position = int(wrong[0])
            whole = position // width
            low, high = int(first[position]), int(first[position] + size[position] - 1)
            status = (
                f"token {int(ids[position])} at position {position} is no code of slot {position % width} (ids {low} to {high})"
            )
        elif ids.numel() % width:
            status = f"the last frame is incomplete: {ids.numel() % width} of {width} tokens"
        codes = self.layout.to_codes(ids[: whole * width]) if whole else None
        return Answer(codes=codes, finished=finished, status=status)

    def places(self, answer: Tensor) -> Places:
        """Every token is one slot of its frame, but for an end token in the last place."""
        at = torch.arange(len(answer)).unsqueeze(-1)
        frame, slot = at // self.num_slots, at % self.num_slots
        if len(answer) and int(answer[-1]) in self.end_ids:
            frame[-1] = slot[-1] = END
        return Places(frame, slot)

    def ends(self, step: Tensor) -> Tensor:
        """(rows,) bool: whether these tokens, (rows, 1), are ends."""
        return self.choices.is_end(step[:, 0])

    def allowed(self) -> tuple[tuple[Tensor], ...]:
        """Per place of a frame, ascending: the ids of its codes, and of the ends where a frame begins."""
        return tuple((self.choices.ids(place),) for place in range(self.num_slots))

    def check(self, codec: Codebooks) -> None:
        """Raises ContractError, with both sizes, when a codec's codebooks are not those the layout has slots for."""
        layout = self.layout
        expected = tuple(next(slot.size for slot in layout.slots if slot.level == level) for level in range(layout.num_levels))
        mixed = [slot for slot in layout.slots if slot.size != expected[slot.level]]
        if mixed or expected != tuple(codec.codebook_sizes):
            found = mixed[0].size if mixed else tuple(codec.codebook_sizes)
            raise ContractError(
                f"the language model writes {len(expected)} codebook(s) of sizes {expected}, the codec has sizes {found}; "
                "name the codec the model was trained with"
            )
