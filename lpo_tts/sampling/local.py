"""In this process: candidates whose tokens depend on their own seed alone, not on order, neighbours or number of workers.

Every candidate draws one uniform number per token from its own generator, step by step and within a step stream by
stream; the next token is the one at which the cumulative distribution passes that number. What can still differ
between runs: the last bits of a matrix product depend on how many rows it has and on the kernels of the machine, so a
number that falls within rounding of a boundary may pick the neighbour there. Requests are therefore cut into fixed
blocks in the order of the file (`cut_blocks`), each block is decoded as one batch, and workers only decide who
decodes which block: same requests, model, settings and machine give the same tokens with any number of workers,
interrupted or not.
"""

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
import torch
from torch import Tensor

from lpo_tts.backbones.base import Backbone
from lpo_tts.bounds import at_least
from lpo_tts.errors import ConfigError, ContractError
from lpo_tts.lm.base import DecoderName, Draw, SpeechLM
from lpo_tts.sampling.base import Drawing, SampledAnswer, SampleRequest
from lpo_tts.sampling.drawing import draw, uniforms

REDRAWN = ("temperature", "top_p", "top_k", "max_tokens", "block_size")  # settings that a loaded model does not depend on


@dataclass(frozen=True)
class LocalSampler(Drawing):
    """Decodes in this process, in batches, with a fast decoder where it knows the model.

    Attributes:
        block_size: candidates decoded as one batch (a prompt's candidates are never divided).
        decoder: `auto` (the fast decoder where it knows the model), `fast`, or `transformers` (its own loop, any model).
    """

    block_size: int = 128
    decoder: DecoderName = "auto"

    bounds = {"block_size": at_least(1)}

    @property
    def part_size(self) -> int:
        """One batch."""
        return self.block_size

    def load(self, backbone: Backbone, device: str = "cpu", model: str | None = None) -> "LoadedLocalSampler":
        """Loads the weights and makes them ready to decode."""
        return LoadedLocalSampler(backbone.load(device, model), backbone.token_map(), self)


class Ends(Protocol):
    """What of a `TokenMap` the loop needs."""

    def ends(self, step: Tensor) -> Tensor:
        """(rows,) bool: whether an answer is over with this step, (rows, streams)."""
        ...

    def allowed(self) -> tuple[Tensor, ...]:
        """Per stream, ascending: the ids among which `restrict` draws."""
        ...


def cut_blocks(requests: Iterable[SampleRequest], block_size: int) -> Iterator[list[SampleRequest]]:
    """Cuts requests, in their order, into blocks of at most `block_size` candidates (at least one request each)."""
    block: list[SampleRequest] = []
    size = 0
    for request in requests:
        if block and size + len(request.seeds) > block_size:
            yield block
            block, size = [], 0
        block.append(request)
        size += len(request.seeds)
    if block:
        yield block


class LoadedLocalSampler:
    """Samples with one model.

    Args:
        lm: its module is in eval mode.
        ends: the token map, of which ends and allowed ids are read.
        settings: how tokens are drawn.

    Raises:
        ComponentError: `settings.decoder` is `fast`, with a model the fast decoder does not know.
    """

    def __init__(self, lm: SpeechLM, ends: Ends, settings: LocalSampler) -> None:
        self.settings = settings
        self.ends = ends
        self.streams = lm.streams
        self.device = next(lm.module.parameters()).device
        self.decoder = lm.decoder(settings.decoder, ends.allowed() if settings.restrict else None)

    def changed(self, **changes: Any) -> Self:
        """The same model drawn otherwise; raises ConfigError for a setting that the loaded decoder depends on."""
        fixed = [name for name in changes if name not in REDRAWN]
        if fixed:
            raise ConfigError(f"{fixed[0]} cannot be changed once the model is loaded; load it anew (free: {', '.join(REDRAWN)})")
        other = copy.copy(self)
        other.settings = replace(self.settings, **changes)
        return other

    def sample(self, requests: Iterable[SampleRequest]) -> Iterator[SampledAnswer]:
        """Decodes block after block; answers in the order of requests and seeds."""
        for block in cut_blocks((request for request in requests if request.seeds), self.settings.block_size):
            yield from self._sample(block)

    @torch.inference_mode()
    def _sample(self, block: Sequence[SampleRequest]) -> list[SampledAnswer]:
        """Decodes one block as one batch."""
        empty = next((request.prompt_id for request in block if not len(request.prompt.tokens)), None)
        if empty is not None:
            raise ContractError(f"prompt {empty}: expected at least one token, found none")
        seeds = [seed for request in block for seed in request.seeds]
        limit, streams = self.settings.max_tokens, self.streams
        numbers = torch.from_numpy(np.stack([uniforms(seed, limit * streams) for seed in seeds])).to(self.device)
        state = self.decoder.begin([request.prompt for request in block], [len(request.seeds) for request in block], limit)
        answers = torch.zeros(len(seeds), limit, streams, dtype=torch.int64, device=self.device)
        lengths = torch.full((len(seeds),), limit, dtype=torch.int64, device=self.device)
        ended = torch.zeros(len(seeds), dtype=torch.bool, device=self.device)
        rows = torch.arange(len(seeds), device=self.device)  # which candidate each row is
        for position in range(limit):
            tokens = state.step(self._drawing(numbers[rows, position * streams : (position + 1) * streams]))
            answers[rows, position] = tokens
            finished = self.ends.ends(tokens)
            if bool(finished.any()):
                ended[rows[finished]] = True
                lengths[rows[finished]] = position + 1
                rows = rows[state.drop(finished)]
            if not rows.numel():
                break
        return _collect(block, answers.cpu(), lengths.tolist(), ended.tolist())

    def _drawing(self, numbers: Tensor) -> Draw:
        """Draws one step with its numbers, (rows, streams)."""
        return lambda stream, logits: draw(logits, numbers[:, stream], self.settings)


def _collect(block: Sequence[SampleRequest], answers: Tensor, lengths: list[int], ended: list[bool]) -> list[SampledAnswer]:
    found = []
    for request in block:
        for index, seed in enumerate(request.seeds):
            row = len(found)
            tokens = answers[row, : lengths[row]].clone()
            found.append(SampledAnswer(request.prompt_id, index, seed, tokens, ended[row]))
    return found
