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
from lpo_tts.errors import ContractError
from lpo_tts.lm.base import DecoderName, Draw, SpeechLM
from lpo_tts.sampling.base import Drawing, SampledAnswer, SampleRequest, changed_settings
from lpo_tts.sampling.drawing import draw, uniforms
from lpo_tts.sampling.repetition import History, penalised, repeats

FIXED = ("restrict", "decoder")  # settings that a loaded model depends on


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

    def allowed(self) -> tuple[tuple[Tensor, ...], ...]:
        """Per place of a frame and stream, ascending: the ids among which `restrict` draws."""
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
        ConfigError: `settings.min_tokens`, with a model of several streams.
    """

    def __init__(self, lm: SpeechLM, ends: Ends, settings: LocalSampler) -> None:
        self.settings = settings
        self.ends = ends
        self.streams = lm.streams
        self.device = next(lm.module.parameters()).device
        allowed = ends.allowed() if settings.restrict else None
        self.decoder = lm.decoder(settings.decoder, allowed)
        self.places = _places(allowed, lm.vocabulary, self.device)
        settings.check_streams(self.streams)

    def changed(self, **changes: Any) -> Self:
        """The same model drawn otherwise; raises ConfigError for a setting that the loaded decoder depends on."""
        other = copy.copy(self)
        other.settings = changed_settings(self.settings, changes, FIXED)
        other.settings.check_streams(self.streams)
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
        prompts, counts = [request.prompt for request in block], [len(request.seeds) for request in block]
        limit, streams, settings = self.settings.max_tokens, self.streams, self.settings
        # Every draw has a number of its own; those for drawing again come behind, so that the first ones stay what they are.
        draws = 2 * limit if settings.ras_window else limit
        numbers = torch.from_numpy(np.stack([uniforms(seed, draws * streams) for seed in seeds])).to(self.device)
        numbers = numbers.view(len(seeds), draws, streams)
        state = self.decoder.begin(prompts, counts, limit)
        answers = torch.zeros(len(seeds), limit, streams, dtype=torch.int64, device=self.device)
        lengths = torch.full((len(seeds),), limit, dtype=torch.int64, device=self.device)
        ended = torch.zeros(len(seeds), dtype=torch.bool, device=self.device)
        rows = torch.arange(len(seeds), device=self.device)  # which candidate each row is
        looks_back = settings.repetition_penalty != 1 or settings.ras_window
        history = History(prompts, counts, answers) if looks_back else None
        for position in range(limit):
            tokens = state.step(self._drawing(numbers[rows, position::limit], position, rows, history))
            answers[rows, position] = tokens
            finished = self.ends.ends(tokens)
            if bool(finished.any()):
                ended[rows[finished]] = True
                lengths[rows[finished]] = position + 1
                rows = rows[state.drop(finished)]
            if not rows.numel():
                break
        return _collect(block, answers.cpu(), lengths.tolist(), ended.tolist())

    def _drawing(self, numbers: Tensor, step: int, rows: Tensor, history: History | None) -> Draw:
        """Draws one step.

        Args:
            numbers: (rows, 1 or 2, streams), the second ones for drawing again.
            step: counted from the answer's first.
            rows: (rows,) which candidate each row is.
            history: of the block; None where no setting looks back.
        """
        settings = self.settings

        def drawn(stream: int, logits: Tensor) -> Tensor:
            place = self.places[step % len(self.places)][stream]
            if history is not None and settings.repetition_penalty != 1:
                seen = history.seen(rows, step, stream, settings.repetition_window)
                logits = penalised(logits, place.columns(seen), settings)
            if step < settings.min_tokens:
                logits = logits.masked_fill(self._end_columns(place, logits.shape[-1]), -torch.inf)
            columns = draw(logits, numbers[:, 0, stream], settings)
            if history is None or not settings.ras_window:
                return columns
            last = place.columns(history.answered(rows, step, stream, settings.ras_window))
            again = draw(logits, numbers[:, 1, stream], replace(settings, top_k=0, top_p=1.0, min_p=0.0))
            return torch.where(repeats(columns, last, settings), again, columns)

        return drawn

    def _end_columns(self, place: "_Place", count: int) -> Tensor:
        """(columns,) bool: which columns are ends of a model of one stream."""
        ids = torch.arange(count, device=self.device) if place.ids is None else place.ids
        return self.ends.ends(ids.unsqueeze(-1))


@dataclass(frozen=True, eq=False)
class _Place:
    """Which ids the columns of one place and stream stand for; None: column and id are the same.

    Attributes:
        ids: (columns,) ascending.
        column_of: (highest id + 1,) the column of every id, -1 where it has none.
    """

    ids: Tensor | None = None
    column_of: Tensor | None = None

    def columns(self, ids: Tensor) -> Tensor:
        """The columns of token ids, -1 for ids without one."""
        if self.column_of is None:
            return ids
        known = (ids >= 0) & (ids < len(self.column_of))
        return torch.where(known, self.column_of[ids.clamp(0, len(self.column_of) - 1)], -1)


def _places(
    allowed: Sequence[Sequence[Tensor]] | None, vocabulary: Sequence[int] | None, device: torch.device
) -> list[list[_Place]]:
    """Per place of a frame and stream."""
    if allowed is None:
        return [[_Place()] * len(vocabulary or (0,))]
    found = []
    for place in allowed:
        found.append([])
        for ids in place:
            column_of = torch.full((int(ids.max()) + 1,), -1, dtype=torch.int64)
            column_of[ids] = torch.arange(len(ids))
            found[-1].append(_Place(ids.to(device), column_of.to(device)))
    return found


def _collect(block: Sequence[SampleRequest], answers: Tensor, lengths: list[int], ended: list[bool]) -> list[SampledAnswer]:
    found = []
    for request in block:
        for index, seed in enumerate(request.seeds):
            row = len(found)
            tokens = answers[row, : lengths[row]].clone()
            found.append(SampledAnswer(request.prompt_id, index, seed, tokens, ended[row]))
    return found
