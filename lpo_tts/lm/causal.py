"""A plain causal LM as a speech LM of one stream: what most codec language models are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from lpo_tts.errors import ComponentError
from lpo_tts.lm import logps, models
from lpo_tts.lm.base import DecoderName, Draw, PromptInputs, SpeechLM
from lpo_tts.lm.fast_decoder import FastDecoder
from lpo_tts.lm.logps import Head, Rows, Wanted
from lpo_tts.lm.plain_decoder import PlainDecoder
from lpo_tts.lm.transformer import TransformerLM
from lpo_tts.logprobs import Logps


@dataclass(frozen=True)
class CausalLM(TransformerLM):
    """A causal LM of transformers, bare or wrapped (DDP, FSDP, DeepSpeed, peft), as a `SpeechLM`; every token counts."""

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

    def counted(self, answer: Tensor) -> None:
        """All."""

    def logps(self, batch: Mapping[str, Any], wanted: Wanted = Wanted()) -> Logps:  # noqa: B008 (frozen)
        """See `lm.logps.answer_logps`."""
        return logps.answer_logps(self.module, batch, wanted)

    def frozen_rows(self, batch: Mapping[str, Any], head: Head = "fused") -> tuple[Logps, Rows]:
        """See `lm.logps.frozen_rows`."""
        return logps.frozen_rows(self.module, batch, head)

    def why_not_fused(self) -> str | None:
        """See `lm.models.why_not_fused`."""
        return models.why_not_fused(self.module)

    def decoder(self, name: DecoderName = "auto", allowed: Sequence[Tensor] | None = None) -> "OneStreamDecoder":
        """Makes a decoder; raises ComponentError when `name` is `fast` and the fast decoder does not know the model."""
        only = None if allowed is None else allowed[0]
        fast = None if name == "transformers" else FastDecoder.from_model(self.module, only)
        if fast is None and name == "fast":
            raise ComponentError(
                f"the fast decoder does not know {type(self.module).__name__} of this configuration; "
                "set `sampling.decoder: transformers`"
            )
        device = next(self.module.parameters()).device
        return OneStreamDecoder(fast or PlainDecoder(self.module, only), None if only is None else only.to(device))


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
    """A decoder of one stream, from one that gives logits; `allowed` are the token ids of its columns, None = all."""

    inner: LogitsDecoder
    allowed: Tensor | None

    def begin(self, prompts: Sequence[PromptInputs], counts: Sequence[int], max_steps: int) -> "OneStreamDecoding":
        """Reads the prompts."""
        state, logits = self.inner.begin([prompt.tokens.squeeze(-1) for prompt in prompts], counts, max_steps)
        return OneStreamDecoding(state, logits, self.allowed)


class OneStreamDecoding:
    """Rows being decoded: holds the logits of the next step, or the tokens that must be fed to get them."""

    def __init__(self, state: LogitsDecoding, logits: Tensor, allowed: Tensor | None) -> None:
        self._state, self._logits, self._allowed = state, logits, allowed
        self._tokens: Tensor | None = None

    def step(self, draw: Draw) -> Tensor:
        """Draws one token per row: (rows, 1)."""
        if self._tokens is not None:
            self._logits = self._state.step(self._tokens)
        columns = draw(0, self._logits)
        self._tokens = tokens = columns if self._allowed is None else self._allowed[columns]
        return tokens.unsqueeze(-1)

    def drop(self, finished: Tensor) -> Tensor:
        """Drops rows; returns for each row left which row it was."""
        order = self._state.drop(finished)
        if self._tokens is not None:
            self._tokens = self._tokens[order]
        return order
