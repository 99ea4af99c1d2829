"""Sampling: candidates whose tokens hang on their own seed alone, not on order, neighbours or number of workers.

Every candidate draws one uniform number per token from its own generator, step by step and within a step stream by
stream; the next token is the one at which the cumulative distribution passes that number. What can still differ
between runs: the last bits of a matrix product depend on how many rows it has and on the kernels of the machine, so a
number that falls within rounding of a boundary may pick the neighbour there. Requests are therefore cut into fixed
blocks in the order of the file (`cut_blocks`), each block is decoded as one batch, and workers only decide who
decodes which block: same requests, model, settings and machine give the same tokens with any number of workers,
interrupted or not.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
import torch
from torch import Tensor

from lpo_tts.config import check_range
from lpo_tts.errors import ConfigError, ContractError
from lpo_tts.lm.base import DecoderName, Draw, PromptInputs, SpeechLM

DECODERS = ("auto", "fast", "transformers")


@dataclass(frozen=True)
class SamplingSettings:
    """How tokens are drawn.

    Attributes:
        temperature: divides the logits; 0 takes the most probable token.
        top_p: keeps the fewest most probable tokens that reach this probability; 1 = all.
        top_k: keeps this many most probable tokens (before top_p); 0 = all.
        max_tokens: an answer is cut after this many steps (of one token per stream), and then is not finished.
        restrict: draw among codes and end tokens only. Faster (a smaller head) and a trained model puts next to no
            probability elsewhere; training takes log-probabilities of the unmasked model all the same.
        block_size: candidates decoded as one batch (a prompt's candidates are never divided).
        decoder: `auto` (the fast decoder where it knows the model), `fast`, or `transformers` (its own loop, any model).
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_tokens: int = 2048
    restrict: bool = True
    block_size: int = 128
    decoder: str = "auto"

    def __post_init__(self) -> None:
        check_range("temperature", self.temperature, 0.0, 100.0)
        check_range("top_p", self.top_p, 0.0, 1.0, open_low=True)
        check_range("top_k", self.top_k, 0)
        check_range("max_tokens", self.max_tokens, 1)
        check_range("block_size", self.block_size, 1)
        if self.decoder not in DECODERS:
            raise ConfigError(f"decoder must be {', '.join(DECODERS)}, found {self.decoder!r}")


@dataclass(frozen=True)
class SampleRequest:
    """One prompt and the seeds of its candidates: candidate k is drawn with seeds[k]."""

    prompt_id: str
    prompt: PromptInputs
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class SampledAnswer:
    """One sampled answer."""

    prompt_id: str
    index: int
    seed: int
    tokens: Tensor  # (steps, streams) int64 on the CPU, the end included when there is one
    finished: bool  # the model ended it by itself


class Ends(Protocol):
    """What of a `TokenMap` sampling needs."""

    def ends(self, step: Tensor) -> Tensor:
        """(rows,) bool: whether an answer is over with this step, (rows, streams)."""
        ...

    def allowed(self) -> tuple[Tensor, ...]:
        """Per stream, ascending: the ids among which `restrict` draws."""
        ...


def candidate_seed(base_seed: int, candidate_id: str) -> int:
    """A seed from a candidate's id, the same on every machine; below 2**53 so that any JSON reader keeps it exact."""
    digest = hashlib.sha256(f"{base_seed}\n{candidate_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 11


def uniforms(seed: int, count: int) -> np.ndarray:
    """The numbers of one candidate: (count,) float64 in [0, 1), from Philox keyed by the seed."""
    return np.random.Generator(np.random.Philox(key=seed)).random(count)


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


def draw(logits: Tensor, numbers: Tensor, settings: SamplingSettings) -> Tensor:
    """Picks one column per row by the inverse of the cumulative distribution, columns in the order of token ids.

    Args:
        logits: (rows, columns) float32.
        numbers: (rows,) float64 in [0, 1).
        settings: temperature, top_p, top_k.

    Returns:
        (rows,) int64 columns.

    Raises:
        ContractError: when a row's logits are not finite.
    """
    if settings.temperature == 0:
        best, columns = logits.max(-1)
        _check_finite(best)
        return columns
    probabilities = (logits if settings.temperature == 1 else logits / settings.temperature).softmax(-1)
    if settings.top_k or settings.top_p < 1:
        probabilities = probabilities * _kept(probabilities, settings)
    cumulative = probabilities.cumsum(-1, dtype=torch.float64)
    total = cumulative[:, -1:]
    _check_finite(total)
    columns = torch.searchsorted(cumulative, numbers[:, None] * total, right=True)
    return columns.view(-1).clamp_(max=logits.shape[-1] - 1)


def _kept(probabilities: Tensor, settings: SamplingSettings) -> Tensor:
    """(rows, columns) bool: the tokens top_k and top_p keep."""
    columns = probabilities.shape[-1]
    limit = min(settings.top_k or columns, columns)
    values, places = probabilities.sort(dim=-1, descending=True, stable=True)
    values = values[:, :limit]
    # A token stays while the probability before it has not reached top_p (of what top_k left); the first always does.
    before = values.cumsum(-1) - values
    keep = before < settings.top_p * values.sum(-1, keepdim=True)
    return torch.zeros_like(probabilities, dtype=torch.bool).scatter_(-1, places[:, :limit], keep)


def _check_finite(values: Tensor) -> None:
    if not bool(torch.isfinite(values).all()):
        raise ContractError("the model's logits are not finite; the checkpoint is damaged or its dtype too narrow")


class Sampler:
    """Samples blocks of requests with one model.

    Args:
        lm: its module is in eval mode.
        ends: the token map, of which ends and allowed ids are read.
        settings: how tokens are drawn.

    Raises:
        ComponentError: `settings.decoder` is `fast`, with a model the fast decoder does not know.
    """

    def __init__(self, lm: SpeechLM, ends: Ends, settings: SamplingSettings) -> None:
        self.settings = settings
        self.ends = ends
        self.streams = lm.streams
        self.device = next(lm.module.parameters()).device
        name = cast("DecoderName", settings.decoder)
        self.decoder = lm.decoder(name, ends.allowed() if settings.restrict else None)

    @torch.inference_mode()
    def sample(self, block: Sequence[SampleRequest]) -> list[SampledAnswer]:
        """Decodes one block as one batch; answers in the order of requests and seeds."""
        block = [request for request in block if request.seeds]
        if not block:
            return []
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
