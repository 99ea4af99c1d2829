"""A model of K streams on a delayed grid as a speech LM: one hidden state a step, K heads (Higgs v2 and its like)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lpo_tts.lm import logps, models
from lpo_tts.lm.base import Allowed, DecoderName, Draw
from lpo_tts.lm.delayed import DelayedGrid
from lpo_tts.lm.logps import Head, Rows, Wanted
from lpo_tts.lm.step_decoder import StepDecoder, StreamReader
from lpo_tts.lm.streams import StreamRows, forward_of, stream_logps
from lpo_tts.lm.transformer import TransformerLM
from lpo_tts.logprobs import Logps


@dataclass(frozen=True)
class DelayLM(TransformerLM):
    """A `HiggsAudioV2ForConditionalGeneration`, bare or wrapped, as a `SpeechLM`.

    A step of text stands in a row of streams as `lm.streams.text_steps` writes it; `rows` ids per codebook come before it.
    What the model chooses are the codes and the end of codebook 0 (see `lm.delayed`), under the whole softmax of each head.
    """

    grid: DelayedGrid

    @property
    def streams(self) -> int:
        """Codebooks."""
        return self.grid.num_codebooks

    @property
    def rows(self) -> int:
        """Token ids of a codebook: codes, begin, end and whatever else its head has."""
        return models.bare(self.module).config.codebook_size

    @property
    def vocabulary(self) -> tuple[int, ...]:
        """Token ids of each codebook; those of text stand in the first stream, behind its own."""
        return (self.rows + models.bare(self.module).config.vocab_size, *(self.rows,) * (self.streams - 1))

    @property
    def hidden_size(self) -> int:
        """Width of what goes into the heads."""
        return self._head.weight.shape[1]

    @property
    def max_positions(self) -> int:
        """Steps of prompt and answer together."""
        return models.bare(self.module).config.max_position_embeddings

    @property
    def _head(self) -> Any:
        return models.bare(self.module).audio_lm_head

    def counted(self, answer: Tensor) -> Tensor:
        """(steps, streams) bool: the cells that the model chose."""
        return self.grid.drawn(answer)

    def why_not_fused(self) -> str | None:
        """Why the fused heads cannot stand in for this model's own, or None."""
        return None if models.is_plain(self._head) else f"its audio head is a {models.named(self._head)}, not a plain Linear"

    def logps(self, batch: Mapping[str, Any], wanted: Wanted = Wanted()) -> Logps:  # noqa: B008 (frozen)
        """Exact and differentiable log-probs of the answers of a batch; see `SpeechLM`."""
        return self._forward(batch, wanted)[0]

    @torch.no_grad()
    def frozen_rows(self, batch: Mapping[str, Any], head: Head = "fused") -> tuple[Logps, StreamRows]:
        """What losses over the whole vocabulary or over hidden states need of the frozen model."""
        return self._forward(batch, Wanted(tokens=True, hidden=True, head=head))

    def _forward(self, batch: Mapping[str, Any], wanted: Wanted) -> tuple[Logps, StreamRows]:
        head, own, targets = self._head, self._head.forward, batch["targets"]
        seen: dict[str, Any] = {}

        def heads(hidden: Tensor) -> Tensor:
            """What the model takes for its logits: (1, places, streams) log-probs of the targets."""
            rows = hidden.reshape(-1, hidden.shape[-1]).index_select(0, batch["positions"])
            parts = [slice(book * self.rows, (book + 1) * self.rows) for book in range(self.streams)]
            streams = [Rows(rows, head.weight[at], None if head.bias is None else head.bias[at]) for at in parts]
            seen["rows"] = StreamRows(rows, head.weight, head.bias, tuple(streams))
            logits = None if wanted.head == "fused" else own(rows).view(-1, self.streams, self.rows)
            values, seen["statistics"] = stream_logps(streams, targets, wanted, logits)
            return values.unsqueeze(0)

        with forward_of(head, heads):
            values = self.module(**self._inputs(batch["tokens"]), use_cache=False, **logps.packed_inputs(batch)).logits
        by_entry = seen["rows"].hidden.repeat_interleave(self.streams, 0) if wanted.hidden else None
        return logps.gathered(values.reshape(-1), batch, wanted, seen["statistics"], by_entry), seen["rows"]

    def _inputs(self, tokens: Tensor) -> dict[str, Tensor]:
        """What the model is called with for (rows, length, streams): a placeholder for every frame, and the frames."""
        spoken = tokens[..., 0] < self.rows
        place = models.bare(self.module).config.audio_token_id
        return {"input_ids": torch.where(spoken, place, tokens[..., 0] - self.rows), "audio_input_ids": tokens[spoken][None]}

    def decoder(self, name: DecoderName = "auto", allowed: Allowed | None = None) -> StepDecoder:
        """Makes a decoder; raises ComponentError when `name` is `fast`, of which this model has none."""
        return StepDecoder(_Reader(self, allowed), name)


class _Reader(StreamReader):
    """The model as `StepDecoder` reads it."""

    def __init__(self, lm: DelayLM, allowed: Allowed | None) -> None:
        super().__init__(lm.module, lm.max_positions, allowed)
        self.lm, self.grid = lm, lm.grid

    def read(self, tokens: Tensor, **inputs: Any) -> tuple[Tensor, Any]:
        """Logits of the next step, (rows, streams, ids of a codebook), and the cache."""
        out = self.module(**self.lm._inputs(tokens), logits_to_keep=1, **inputs)
        return out.logits[:, -1].float().view(len(tokens), self.lm.streams, -1), out.past_key_values

    def draw(self, state: Tensor, step: int, ends: Tensor, draw: Draw) -> Tensor:
        """Draws the codebooks that have begun; begins, and ends once codebook 0 has ended, are put in their places."""
        found = torch.full((len(state), self.lm.streams), self.grid.begin, device=state.device)
        for book in range(min(step + 1, self.lm.streams)):
            drawn = self.drawn(book, state[:, book], draw)
            over = (ends >= 0) & (step >= ends + max(book, 1))
            found[:, book] = torch.where(over, self.grid.end, drawn)
            if book == 0:
                ends[(ends < 0) & (found[:, 0] == self.grid.end)] = step
        return found
