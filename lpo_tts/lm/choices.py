"""Among what a model of one stream chooses, where that is not simply its whole vocabulary, token by token."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from lpo_tts.errors import ContractError

FEW = 8  # ours: up to here comparing with one end after the other is faster than a search


@dataclass(frozen=True)
class Choices:
    """What the outcomes of a step are, and over which of them probabilities add up to 1.

    Attributes:
        slots: first id and number of codes at each place of a frame.
        ends: ids that end an answer.
        merged: whether the ends are one outcome, whose probability is the sum of theirs.
        restricted: whether probabilities add up to 1 over what may stand at a place: its codes, and the ends where a frame
            begins. Else over the whole vocabulary.
    """

    slots: tuple[tuple[int, int], ...]
    ends: tuple[int, ...]
    merged: bool = False
    restricted: bool = False

    @cached_property
    def ranges(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """Per place, the ids that may stand there as ascending ranges [start, stop) that neither meet nor overlap."""
        found = []
        for place, (first, size) in enumerate(self.slots):
            ids = [(first, first + size), *((end, end + 1) for end in (self.ends if place == 0 else ()))]
            joined: list[tuple[int, int]] = []
            for start, stop in sorted(ids):
                if joined and start <= joined[-1][1]:
                    joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
                else:
                    joined.append((start, stop))
            found.append(tuple(joined))
        return tuple(found)

    def ids(self, place: int) -> Tensor:
        """(ids,) ascending: what may stand at a place."""
        return torch.cat([torch.arange(start, stop) for start, stop in self.ranges[place]])

    def is_end(self, ids: Tensor) -> Tensor:
        """Which of these ids are ends, of the same shape."""
        if len(self.ends) > FEW:
            return torch.isin(ids, torch.tensor(self.ends, device=ids.device))
        found = ids == self.ends[0]
        for end in self.ends[1:]:
            found |= ids == end
        return found

    def check(self, answer: Tensor) -> None:
        """Raises ContractError where an answer, (steps, 1), holds what cannot stand at its place and so has no probability."""
        if not self.restricted:
            return
        places = torch.arange(len(answer)) % len(self.slots)
        for place in range(len(self.slots)):
            ids = answer[places == place, 0]
            wrong = ~torch.isin(ids, self.ids(place))
            if bool(wrong.any()):
                step = int(wrong.nonzero()[0]) * len(self.slots) + place
                raise ContractError(
                    f"token {int(answer[step, 0])} at step {step} of an answer cannot stand there, and has no log-prob under "
                    "`restrict_logps`; sample with `restrict: true`, or set `restrict_logps: false`"
                )
