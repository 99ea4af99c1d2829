"""What a speech language model is to everything above it: prompts go in, answers are scored, and drawn step by step."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, Self

from torch import Tensor, nn

from lpo_tts.lm.logps import Head, Rows, Wanted
from lpo_tts.logprobs import Logps

# Called with the number of a stream and its logits, (rows, columns) float32; returns the column of every row, (rows,) int64.
Draw = Callable[[int, Tensor], Tensor]
DecoderName = Literal["auto", "fast", "transformers"]
# Per place of a frame (the steps of an answer pass through them in turn) and stream: (columns,) ascending token ids.
Allowed = Sequence[Sequence[Tensor]]


@dataclass(frozen=True, eq=False)
class PromptInputs:
    """What a model conditions on.

    Attributes:
        tokens: (steps, streams) int64 on the CPU.
        features: what is no token, by name: a speaker embedding, a second text stream, ... Any shape; empty for most models.
    """

    tokens: Tensor
    features: Mapping[str, Tensor] = field(default_factory=dict)


def prompt_key(tokens: Tensor, features: Mapping[str, Tensor]) -> bytes:
    """Equal for two prompts of one model exactly when they are the same: tokens and features."""
    key = tokens.numpy().tobytes()
    for name in sorted(features):
        key += f"\0{name}\0{tuple(features[name].shape)}\0".encode() + features[name].contiguous().numpy().tobytes()
    return key


class Decoding(Protocol):
    """Rows being decoded, one per candidate."""

    def step(self, draw: Draw) -> Tensor:
        """Draws the next step of every row, stream by stream: (rows, streams) int64 token ids.

        `draw` is called with the streams in ascending order, each time for all rows; a stream whose token the pattern
        fixes need not be asked. What the last call returned is fed to the model first.
        """
        ...

    def drop(self, finished: Tensor) -> Tensor:
        """Drops the rows where `finished` (rows,) is true; returns for each row left which row it was, (rows left,)."""
        ...


class Decoder(Protocol):
    """A model made ready to decode; it need not follow a model in training."""

    def begin(self, prompts: Sequence[PromptInputs], counts: Sequence[int], max_steps: int) -> Decoding:
        """Reads the prompts and opens `counts[i]` rows for prompt i, in order, of at most `max_steps` steps each.

        Raises:
            ContractError: prompt and answer exceed the model's positions.
        """
        ...


class SpeechLM(Protocol):
    """Weights that score answers and draw them.

    An answer is (steps, streams) token ids. Its log-probs stand in one row, step by step and within a step stream by
    stream; entries that the pattern fixes (see `counted`) have none.
    """

    @property
    def streams(self) -> int:
        """Tokens of a step: 1 for a flat model, K for one that writes K codebooks at once."""
        ...

    @property
    def module(self) -> nn.Module:
        """What is trained, sharded and saved."""
        ...

    def around(self, module: nn.Module) -> Self:
        """The same reading of another module: this one wrapped (DDP, FSDP, DeepSpeed, peft), or a copy of it."""
        ...

    @property
    def vocabulary(self) -> tuple[int, ...] | None:
        """How many token ids each stream has; None where that is not known."""
        ...

    @property
    def hidden_size(self) -> int:
        """Width of the hidden states that `Wanted.hidden` keeps."""
        ...

    def fingerprint(self) -> str:
        """sha-256 of all that log-probs come from: weights, and what a model chooses among."""
        ...

    def counted(self, answer: Tensor) -> Tensor | None:
        """(steps, streams) bool: the entries that the model chose, and that therefore have log-probs; None = all."""
        ...

    def logps(self, batch: Mapping[str, Any], wanted: Wanted = Wanted()) -> Logps:  # noqa: B008 (frozen)
        """Exact and differentiable log-probs of the answers of a batch, for policy and reference alike.

        Args:
            batch: see `lm.logps`; on the module's device.
            wanted: how they are computed, and what is kept beside them.

        Returns:
            Logps of all answers of the examples, in their order (an answer that several name is computed once).
        """
        ...

    def frozen_rows(self, batch: Mapping[str, Any], head: Head = "fused") -> tuple[Logps, Rows]:
        """Log-probs token by token and, for losses over whole distributions, what those of the frozen model come from."""
        ...

    def why_not_fused(self) -> str | None:
        """Why `head="fused"` cannot be had of this model; None = it can."""
        ...

    def why_not_whole(self) -> str | None:
        """Why losses over whole distributions cannot be had of this model; None = they can."""
        ...

    @property
    def attention(self) -> str | None:
        """Name of the attention implementation, where there is a choice."""
        ...

    def set_attention(self, name: str | None) -> None:
        """Chooses the attention implementation by what `attention` said, or a name of transformers; rows are not packed."""
        ...

    @property
    def takes_packs(self) -> bool:
        """Whether `take_packs` was done, so that batches may stand packed in one row."""
        ...

    def take_packs(self) -> None:
        """Makes the module take packed rows with a layout; rows without one are computed as before."""
        ...

    @property
    def window(self) -> int | None:
        """Tokens of a sliding window, where a layer has one."""
        ...

    def decoder(self, name: DecoderName = "auto", allowed: Allowed | None = None) -> Decoder:
        """Makes a decoder.

        Args:
            name: `fast`, `transformers` (its own loop, any model), or `auto`: the fast one where it knows the model.
            allowed: which ids may be drawn at step t: those of place t modulo the number of places; None = all. Logits
                have these columns.

        Raises:
            ComponentError: there is no decoder of this name for this model.
        """
        ...
