"""A decoder for models of several streams: through the model itself, with a cache of transformers that grows."""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from lpo_tts.errors import ComponentError, ContractError
from lpo_tts.lm.base import Allowed, DecoderName, Draw, PromptInputs


class Reader(Protocol):
    """A model of several streams, read step by step: what `StepDecoder` asks of it."""

    module: nn.Module
    max_positions: int

    def read(self, tokens: Tensor, **inputs: Any) -> tuple[Tensor, Any]:
        """Reads (rows, length, streams); returns what predicts the next step, (rows, ...), and the cache."""
        ...

    def draw(self, state: Tensor, step: int, ends: Tensor, draw: Draw) -> Tensor:
        """Draws step number `step` of every row: (rows, streams).

        Args:
            state: what `read` returned.
            step: counted from the answer's first.
            ends: (rows,) int64, at which step a row's first end stands, -1 where there is none yet; is kept up to date.
            draw: see `Draw`.
        """
        ...


class StreamReader:
    """What readers of several streams share: the module, and drawing one stream among the ids that are allowed.

    Args:
        module: the model.
        max_positions: the longest prompt and answer together, in steps.
        allowed: the ids to draw among, at one place, since a step is a whole frame; None: all.
    """

    def __init__(self, module: nn.Module, max_positions: int, allowed: Allowed | None) -> None:
        device = next(module.parameters()).device
        self.module, self.max_positions = module, max_positions
        self.allowed = None if allowed is None else [ids.to(device) for ids in allowed[0]]

    def drawn(self, stream: int, logits: Tensor, draw: Draw) -> Tensor:
        """(rows,) ids of one stream, from its logits, (rows, ids)."""
        logits = logits.float()
        if self.allowed is None:
            return draw(stream, logits)
        return self.allowed[stream][draw(stream, logits[:, self.allowed[stream]])]


class StepDecoder:
    """Decodes through the model itself and a cache of transformers that grows; prompts are padded on the left.

    Raises ComponentError when `name` is `fast`: these models have no fast decoder.
    """

    def __init__(self, reader: Reader, name: DecoderName = "auto") -> None:
        if name == "fast":
            kind = type(reader.module).__name__
            raise ComponentError(f"there is no fast decoder for {kind}; set `sampling.decoder: transformers`")
        self.reader = reader

    def begin(self, prompts: Sequence[PromptInputs], counts: Sequence[int], max_steps: int) -> "StepDecoding":
        """Reads the prompts, each once, and opens `counts[i]` rows for prompt i, in order.

        Raises:
            ContractError: prompt and answer exceed the model's positions.
        """
        longest = max(len(prompt.tokens) for prompt in prompts)
        if longest + max_steps > self.reader.max_positions:
            raise ContractError(
                f"a prompt of {longest} steps and {max_steps} sampled ones exceed the model's {self.reader.max_positions} "
                "positions; lower max_tokens or shorten the text"
            )
        device = next(self.reader.module.parameters()).device
        tokens = torch.zeros(len(prompts), longest, prompts[0].tokens.shape[1], dtype=torch.int64)
        mask = torch.zeros(len(prompts), longest, dtype=torch.int64)
        for row, prompt in enumerate(prompts):
            tokens[row, longest - len(prompt.tokens) :] = prompt.tokens
            mask[row, longest - len(prompt.tokens) :] = 1
        rows = torch.repeat_interleave(torch.arange(len(prompts)), torch.tensor(list(counts))).to(device)
        return StepDecoding(self.reader, tokens.to(device), mask.to(device), rows)


class StepDecoding:
    """Rows being decoded: what predicts their next step, or the step that must be read to get it."""

    def __init__(self, reader: Reader, tokens: Tensor, mask: Tensor, rows: Tensor) -> None:
        self._reader, self._mask = reader, mask
        self._cache: Any = None
        state = self._read(tokens)
        self._state, self._mask = state[rows], mask[rows]
        self._cache.batch_select_indices(rows)
        self._tokens: Tensor | None = None
        self._ends = torch.full_like(rows, -1)
        self._written = 0

    def _read(self, tokens: Tensor) -> Tensor:
        positions = (self._mask.cumsum(-1) - 1).clamp_(min=0)[:, -tokens.shape[1] :]
        state, self._cache = self._reader.read(
            tokens, attention_mask=self._mask, position_ids=positions, past_key_values=self._cache, use_cache=True
        )
        return state

    def step(self, draw: Draw) -> Tensor:
        """Draws the next step of every row, stream by stream: (rows, streams)."""
        if self._tokens is not None:
            self._mask = torch.cat([self._mask, torch.ones_like(self._mask[:, :1])], 1)
            self._state = self._read(self._tokens[:, None])
        self._tokens = self._reader.draw(self._state, self._written, self._ends, draw)
        self._written += 1
        return self._tokens

    def drop(self, finished: Tensor) -> Tensor:
        """Drops the rows where `finished` (rows,) is true; returns for each row left which row it was."""
        order = (~finished).nonzero().view(-1)
        self._mask, self._ends, self._state = self._mask[order], self._ends[order], self._state[order]
        self._tokens = None if self._tokens is None else self._tokens[order]
        self._cache.batch_select_indices(order)
        return order
