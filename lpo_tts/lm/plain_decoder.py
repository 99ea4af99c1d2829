"""The decoder that works with any causal LM: a loop over the transformers model and its own growing cache."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class PlainDecoder:
    """Reads and feeds through the model itself.

    Args:
        model: a causal LM of transformers.
        allowed: per place of a frame, the ids whose logits are given; None = all, at every place.
    """

    def __init__(self, model: Any, allowed: Sequence[Tensor] | None = None) -> None:
        self.model = model
        self.allowed = None if allowed is None else [ids.to(model.device) for ids in allowed]

    def begin(self, prompts: Sequence[Tensor], counts: Sequence[int], max_tokens: int) -> tuple["PlainDecoding", Tensor]:
        """Reads the prompts, padded on the left, one row per candidate."""
        longest = max(prompt.numel() for prompt in prompts)
        ids = torch.zeros(len(prompts), longest, dtype=torch.int64)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, longest - prompt.numel() :] = prompt
            mask[row, longest - prompt.numel() :] = 1
        repeats = torch.tensor(list(counts))
        state = PlainDecoding(self, mask.repeat_interleave(repeats, 0).to(self.model.device))
        return state, state.forward(ids.repeat_interleave(repeats, 0).to(self.model.device))


class PlainDecoding:
    """Rows being decoded."""

    def __init__(self, decoder: PlainDecoder, mask: Tensor) -> None:
        self.decoder, self.mask = decoder, mask
        self.cache: Any = None
        self._steps = 0

    def forward(self, ids: Tensor) -> Tensor:
        """Feeds (rows, num_tokens) ids and returns the logits after the last: (rows, num_allowed) float32."""
        positions = (self.mask.cumsum(-1) - 1).clamp_(min=0)[:, -ids.shape[1] :]
        model = self.decoder.model
        out = model(
            input_ids=ids,
            attention_mask=self.mask,
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self.cache = out.past_key_values
        logits, allowed = out.logits[:, -1], self.decoder.allowed
        if allowed is not None:
            logits = logits[:, allowed[self._steps % len(allowed)]]
        self._steps += 1
        return logits.float()

    def step(self, token_ids: Tensor) -> Tensor:
        """Feeds one token per row (rows,) and returns the logits of the next: (rows, num_allowed) float32."""
        self.mask = torch.cat([self.mask, torch.ones_like(self.mask[:, :1])], 1)
        return self.forward(token_ids[:, None])

    def drop(self, finished: Tensor) -> Tensor:
        """Drops the rows where `finished` (rows,) is true; returns for each row left which row it was."""
        order = (~finished).nonzero().view(-1)
        self.mask = self.mask[order]
        self.cache.reorder_cache(order)  # which layers of convolutions (LFM2) have too, other than batch_select_indices
        return order
