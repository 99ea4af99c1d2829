"""A model of frames with a depth decoder as a speech LM: the body gives codebook 0, the depth decoder the others (CSM)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from lpo_tts.lm import logps, models
from lpo_tts.lm.base import Allowed, DecoderName, Draw
from lpo_tts.lm.logps import Head, Rows, Wanted
from lpo_tts.lm.step_decoder import StepDecoder, StreamReader
from lpo_tts.lm.streams import StreamRows, forward_of, stream_logps
from lpo_tts.lm.transformer import TransformerLM
from lpo_tts.logprobs import Logps


@dataclass(frozen=True)
class DepthLM(TransformerLM):
    """A `CsmForConditionalGeneration`, bare or wrapped, as a `SpeechLM`; every code of every frame counts.

    A step of text stands in a row of streams as `lm.streams.text_steps` writes it; `rows` ids per codebook come before it.
    """

    @property
    def streams(self) -> int:
        """Codebooks."""
        return self._model.config.num_codebooks

    @property
    def rows(self) -> int:
        """Token ids of a codebook."""
        return self._model.config.vocab_size

    @property
    def vocabulary(self) -> tuple[int, ...]:
        """Token ids of each codebook; those of text stand in the first stream, behind its own."""
        return (self.rows + self._model.config.text_vocab_size, *(self.rows,) * (self.streams - 1))

    @property
    def hidden_size(self) -> int:
        """Width of the body's hidden states, which predict a whole frame."""
        return self._model.lm_head.weight.shape[1]

    @property
    def max_positions(self) -> int:
        """Steps of prompt and answer together."""
        return self._model.config.max_position_embeddings

    @property
    def _model(self) -> Any:
        return models.bare(self.module)

    def counted(self, answer: Tensor) -> None:
        """All."""

    def why_not_fused(self) -> str | None:
        """Why the fused heads cannot stand in for this model's own, or None."""
        head = self._model.lm_head
        return None if models.is_plain(head) else f"its head of codebook 0 is a {models.named(head)}, not a plain Linear"

    def logps(self, batch: Mapping[str, Any], wanted: Wanted = Wanted()) -> Logps:  # noqa: B008 (frozen)
        """Exact and differentiable log-probs of the answers of a batch; see `SpeechLM`."""
        return self._forward(batch, wanted)[0]

    @torch.no_grad()
    def frozen_rows(self, batch: Mapping[str, Any], head: Head = "fused") -> tuple[Logps, StreamRows]:
        """What losses over the whole vocabulary or over hidden states need of the frozen model."""
        return self._forward(batch, Wanted(tokens=True, hidden=True, head=head))

    def _forward(self, batch: Mapping[str, Any], wanted: Wanted) -> tuple[Logps, StreamRows]:
        model, targets, fused = self._model, batch["targets"], wanted.head == "fused"
        first, others = model.lm_head, model.depth_decoder.codebooks_head
        own_first, own_others = first.forward, others.forward
        seen: dict[str, Any] = {}

        def deep_heads(depth: Tensor, books: Tensor) -> Tensor:
            """The heads of codebooks 1 and up, from (places, streams - 1, width)."""
            seen["depth"] = depth
            return depth if fused else own_others(depth, books)

        def heads(hidden: Tensor) -> Tensor:
            """What the model takes for its logits: (1, places, streams) log-probs of the targets."""
            rows = hidden.reshape(-1, hidden.shape[-1]).index_select(0, batch["positions"])
            # The place in front is the hidden state's; codebook k is predicted where codebook k - 1 is read.
            read = pad(targets[:, :-1], (1, 0))
            with forward_of(others, deep_heads):
                deep = model.depth_decoder(input_ids=read, backbone_last_hidden_state=rows, use_cache=False).logits
            logits = None if fused else torch.cat([own_first(rows).unsqueeze(1), deep], 1)
            streams = [Rows(rows, first.weight, None)]
            streams += [Rows(seen["depth"][:, book], others.weight[book].t(), None) for book in range(self.streams - 1)]
            seen["rows"] = StreamRows(rows, first.weight, None, tuple(streams))
            values, seen["statistics"] = stream_logps(streams, targets, wanted, logits)
            return values.unsqueeze(0)

        with self._text_embedded(), forward_of(first, heads):
            values = self.module(input_ids=batch["tokens"], use_cache=False, **logps.packed_inputs(batch)).logits
        by_entry = seen["rows"].hidden.repeat_interleave(self.streams, 0) if wanted.hidden else None
        return logps.gathered(values.reshape(-1), batch, wanted, seen["statistics"], by_entry), seen["rows"]

    def _text_embedded(self) -> Any:
        """Lets the body's embedding take steps of text among the frames."""
        model, rows, audio = self._model, self.rows, self._model.backbone_model.embed_tokens.forward

        def embed(tokens: Tensor) -> Tensor:
            written = tokens[..., :1] >= rows
            text = model.embed_text_tokens((tokens[..., 0] - rows).clamp(min=0))
            return torch.where(written, text, audio(tokens.masked_fill(written, 0)))

        return forward_of(model.backbone_model.embed_tokens, embed)

    def decoder(self, name: DecoderName = "auto", allowed: Allowed | None = None) -> StepDecoder:
        """Makes a decoder; raises ComponentError when `name` is `fast`, of which this model has none."""
        return StepDecoder(_Reader(self, allowed), name)


class _Reader(StreamReader):
    """The model as `StepDecoder` reads it."""

    def __init__(self, lm: DepthLM, allowed: Allowed | None) -> None:
        super().__init__(lm.module, lm.max_positions, allowed)
        self.lm = lm

    def read(self, tokens: Tensor, **inputs: Any) -> tuple[Tensor, Any]:
        """The body's last hidden state, (rows, width), and the cache."""
        with self.lm._text_embedded():
            out = self.lm._model.backbone_model(input_ids=tokens, **inputs)
        return out.last_hidden_state[:, -1], out.past_key_values

    def draw(self, state: Tensor, step: int, ends: Tensor, draw: Draw) -> Tensor:
        """Draws codebook 0 from the body, then the others one after the other from the depth decoder."""
        model, cache = self.lm._model, None
        tokens = [self.drawn(0, model.lm_head(state), draw)]
        inputs = {"input_ids": pad(tokens[0][:, None], (1, 0)), "backbone_last_hidden_state": state}
        for book in range(1, self.lm.streams):
            out = model.depth_decoder(**inputs, past_key_values=cache, use_cache=True, logits_to_keep=1)
            cache = out.past_key_values
            tokens.append(self.drawn(book, out.logits[:, -1], draw))
            inputs = {"input_ids": tokens[-1][:, None]}
        return torch.stack(tokens, 1)
