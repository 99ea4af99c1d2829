"""A plain causal LM as a speech LM of one stream: what most codec language models are."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from lpo_tts.errors import ComponentError
from lpo_tts.lm import logps, models
from lpo_tts.lm.base import Allowed, DecoderName, Draw, PromptInputs, SpeechLM
from lpo_tts.lm.choices import Choices
from lpo_tts.lm.fast_decoder import FastDecoder
from lpo_tts.lm.logps import Head, Rows, Wanted
from lpo_tts.lm.plain_decoder import PlainDecoder
from lpo_tts.lm.transformer import TransformerLM
from lpo_tts.logprobs import Logps


@dataclass(frozen=True)
class CausalLM(TransformerLM):
    """A causal LM of transformers, bare or wrapped (DDP, FSDP, DeepSpeed, peft), as a `SpeechLM`; every token counts.

    Attributes:
        choices: what the outcomes of a step are, where they are not all tokens of the vocabulary.
    """

    choices: Choices | None = None

    @property
    def streams(self) -> int:
        """One."""
        return 1

    @property
    def vocabulary(self) -> tuple[int, ...] | None:
        """The config's size; None for a model without one."""
        size = getattr(getattr(self.module, "config", None), "vocab_size", None)
        return None if size is None else (size,)

    @property
    def hidden_size(self) -> int:
        """Width of what goes into the LM head."""
        return models.head_of(self.module).weight.shape[1]

    def fingerprint(self) -> str:
        """Of the weights, and of choices that change their log-probs."""
        weights = super().fingerprint()
        changed = self.choices is not None and (self.choices.merged or self.choices.restricted)
        return hashlib.sha256(f"{weights}\0{self.choices}".encode()).hexdigest() if changed else weights

    def counted(self, answer: Tensor) -> None:
        """All; raises ContractError for an answer that `choices` give no probability."""
        if self.choices is not None:
            self.choices.check(answer)

    def logps(self, batch: Mapping[str, Any], wanted: Wanted = Wanted()) -> Logps:  # noqa: B008 (frozen)
        """See `lm.logps.answer_logps`."""
        return logps.answer_logps(self.module, batch, wanted, self.choices)

    def frozen_rows(self, batch: Mapping[str, Any], head: Head = "fused") -> tuple[Logps, Rows]:
        """See `lm.logps.frozen_rows`."""
        return logps.frozen_rows(self.module, batch, head, self.choices)

    def why_not_fused(self) -> str | None:
        """See `lm.models.why_not_fused`."""
        return models.why_not_fused(self.module)

    def why_not_whole(self) -> str | None:
        """Losses over whole distributions read the head's whole vocabulary, which is not what `choices` choose among."""
        if self.choices is not None and (self.choices.merged or self.choices.restricted):
            return "merge_ends or restrict_logps make its distribution another one than its head's"
        return self.why_not_fused()

    def decoder(self, name: DecoderName = "auto", allowed: Allowed | None = None) -> "OneStreamDecoder":
        """Makes a decoder; raises ComponentError when `name` is `fast` and the fast decoder does not know the model."""
        choices = self.choices
        places = None if allowed is None else [place[0] for place in allowed]
        whole = None  # columns that the caller expects where the choices are fewer than all
        if allowed is None and choices is not None and choices.restricted:
            places = [choices.ids(place) for place in range(len(choices.slots))]
            whole = models.head_of(self.module).weight.shape[0]
        fast = None if name == "transformers" else FastDecoder.from_model(self.module, places)
        if fast is None and name == "fast":
            raise ComponentError(
                f"the fast decoder does not know {type(self.module).__name__} of this configuration; "
                "set `sampling.decoder: transformers`"
            )
        device = next(self.module.parameters()).device
        ends = choices.ends if choices is not None and choices.merged else ()
        columns = None if places is None else [ids.to(device) for ids in places]
        return OneStreamDecoder(fast or PlainDecoder(self.module, places), columns, ends, whole)


def speech_lm(model: "nn.Module | SpeechLM") -> SpeechLM:
    """A model as a speech LM: a bare causal LM is read as one stream."""
    return CausalLM(model) if isinstance(model, nn.Module) else model


class LogitsDecoder(Protocol):
    """A decoder that gives logits and is told tokens: what the decoders of one stream are inside."""

    def begin(self, prompts: Sequence[Tensor], counts: Sequence[int], max_tokens: int) -> "tuple[LogitsDecoding, Tensor]":
        """Reads the prompts, (num_tokens,) each; returns the state and the logits of every row's first token."""
        ...


class LogitsDecoding(Protocol):
    """Rows of a `LogitsDecoder`."""

    def step(self, token_ids: Tensor) -> Tensor:
        """Feeds one token per row (rows,) and returns the logits of the next: (rows, columns) float32."""
        ...

    def drop(self, finished: Tensor) -> Tensor:
        """Drops rows; returns for each row left which row it was."""
        ...


@dataclass(frozen=True)
class OneStreamDecoder:
    """A decoder of one stream, from one that gives logits.

    Attributes:
        inner: gives the logits of place t at step t, modulo the number of places.
        allowed: per place, the token ids of its columns; None = all.
        merged: ends that are one outcome, of which the first one is drawn; () = none.
        whole: size of the vocabulary, whose ids are drawn among although those of `allowed` alone have a probability;
            None = the columns are those of `allowed`.
    """

    inner: LogitsDecoder
    allowed: Sequence[Tensor] | None
    merged: tuple[int, ...] = ()
    whole: int | None = None

    def begin(self, prompts: Sequence[PromptInputs], counts: Sequence[int], max_steps: int) -> "OneStreamDecoding":
        """Reads the prompts."""
        state, logits = self.inner.begin([prompt.tokens.squeeze(-1) for prompt in prompts], counts, max_steps)
        return OneStreamDecoding(self, state, logits)


class OneStreamDecoding:
    """Rows being decoded: holds the logits of the next step, or the tokens that must be fed to get them."""

    def __init__(self, decoder: OneStreamDecoder, state: LogitsDecoding, logits: Tensor) -> None:
        self._decoder, self._state, self._logits = decoder, state, logits
        self._tokens: Tensor | None = None
        self._steps = 0
        ids = torch.tensor(decoder.merged, dtype=torch.int64, device=logits.device)
        self._ends = [_columns(ids, place) for place in decoder.allowed or [None]]  # per place, their columns

    def step(self, draw: Draw) -> Tensor:
        """Draws one token per row: (rows, 1)."""
        if self._tokens is not None:
            self._logits = self._state.step(self._tokens)
        logits, ends = self._logits, self._ends[self._steps % len(self._ends)]
        if len(ends):
            logits = _merged(logits, ends)
        allowed, whole = self._decoder.allowed, self._decoder.whole
        ids = None if allowed is None else allowed[self._steps % len(allowed)]
        if ids is not None and whole is not None:
            logits = logits.new_full((len(logits), whole), -torch.inf).index_copy_(1, ids, logits)
            ids = None
        columns = draw(0, logits)
        self._tokens = tokens = columns if ids is None else ids[columns]
        self._steps += 1
        return tokens.unsqueeze(-1)

    def drop(self, finished: Tensor) -> Tensor:
        """Drops rows; returns for each row left which row it was."""
        order = self._state.drop(finished)
        if self._tokens is not None:
            self._tokens = self._tokens[order]
        return order


def _columns(ids: Tensor, place: Tensor | None) -> Tensor:
    """The columns of token ids at a place, without those that it has not."""
    if place is None:
        return ids
    found = torch.searchsorted(place, ids).clamp(max=len(place) - 1)
    return found[place[found] == ids]


def _merged(logits: Tensor, ends: Tensor) -> Tensor:
    """Logits whose ends are one outcome, in the column of the first: the others are out of the question."""
    together = logits[:, ends].logsumexp(-1)
    logits = logits.index_fill(1, ends, -torch.inf)
    logits[:, ends[0]] = together
    return logits
