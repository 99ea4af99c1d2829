"""In which order examples come: pairs of one prompt together, similar lengths together where rows are padded."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import Sampler

from lpo_tts.errors import ConfigError
from lpo_tts.training.examples import Example


class PromptSampler(Sampler[int]):
    """A seeded order of examples, to be cut into batches of `batch_size`.

    Examples of one prompt stay neighbours, and a batch is filled with whole prompts as far as they fit, so that answers
    can share them. With `window` > 1, prompts of similar length are brought together within so many batches, so that
    little is padded. The order of an epoch depends on `seed`, `batch_size` and the epoch alone, so a resumed run sees what
    the uninterrupted one saw.

    Args:
        examples: what is ordered.
        batch_size: examples per optimizer step, over all processes.
        seed: of the order.
        window: batches within which lengths are sorted; 1: not.
    """

    def __init__(self, examples: Sequence[Example], batch_size: int, seed: int, window: int = 1) -> None:
        if batch_size < 1 or window < 1:
            raise ConfigError(f"batch_size and window must be at least 1, found {batch_size} and {window}")
        groups: dict[bytes, list[int]] = {}
        for number, example in enumerate(examples):
            groups.setdefault(example.prompt_key, []).append(number)
        self.groups = list(groups.values())
        self.lengths = [max(examples[i].num_tokens for i in group) for group in self.groups]
        self.size = len(examples)
        self.batch_size = batch_size
        self.seed = seed
        self.window = window
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch whose order `iter` gives."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(len(self.groups), generator=generator).tolist()
        if self.window > 1:
            mean = self.size / max(len(self.groups), 1)
            span = max(1, round(self.batch_size * self.window / mean))
            order = [
                i
                for start in range(0, len(order), span)
                for i in sorted(order[start : start + span], key=self.lengths.__getitem__)
            ]
        batches = self._fill(order)
        # A batch that is not full comes last: the trainer cuts the order into equal pieces.
        full = [batch for batch in batches if len(batch) == self.batch_size]
        for i in torch.randperm(len(full), generator=generator).tolist():
            yield from full[i]
        for batch in batches:
            if len(batch) < self.batch_size:
                yield from batch

    def _fill(self, order: Sequence[int]) -> list[list[int]]:
        """Batches of whole prompts; the next few prompts are tried before one is divided."""
        coming = iter(order)
        near: list[list[int]] = []
        batches: list[list[int]] = [[]]
        while True:
            near += [self.groups[i] for i in itertools.islice(coming, LOOK_AHEAD - len(near))]
            if not near:
                return [batch for batch in batches if batch]
            if len(batches[-1]) == self.batch_size:
                batches.append([])
            room = self.batch_size - len(batches[-1])
            group = near.pop(next((k for k, one in enumerate(near) if len(one) <= room), 0))
            batches[-1] += group[:room]
            if len(group) > room:
                near.insert(0, group[room:])


def evaluation_order(example: Example) -> tuple[Any, ...]:
    """Sorts held-out examples so that those of one prompt are neighbours, whatever order they came in."""
    return example.prompt_ids.tolist(), example.prompt_key, example.num_tokens, example.id


LOOK_AHEAD = 32  # prompts tried for the last places of a batch
