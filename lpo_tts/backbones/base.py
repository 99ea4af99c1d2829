"""What every backbone offers: a token map (no weights) and a speech LM (weights); see `lm.base` for the latter."""

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from lpo_tts.codes import Codes
from lpo_tts.lm.base import Decoder, Decoding, Draw, PromptInputs, SpeechLM

__all__ = ["Answer", "Backbone", "Codebooks", "Decoder", "Decoding", "Draw", "Places", "PromptInputs", "SpeechLM", "TokenMap"]

END, FIXED = -1, -2  # in place of a slot: what ends the answer; what the pattern fixes, so that the model has no choice


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a sequence of answer tokens means."""

    codes: Codes | None  # None when nothing decodable is in it
    finished: bool  # the model ended it by itself
    status: str  # "ok", "empty", or why it is not decodable


@dataclass(frozen=True, eq=False)
class Places:
    """Where each entry of an answer belongs, (steps, streams) int64 each.

    Attributes:
        frame: the frame of its code, from 0; END and FIXED as in `slot`.
        slot: which of the frame's codes it is, from 0; END where it ends the answer, FIXED where the pattern fixes it.
    """

    frame: Tensor
    slot: Tensor


class Codebooks(Protocol):
    """What a token map asks of a codec."""

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        """One per codebook level."""
        ...


class TokenMap(Protocol):
    """Tokenizer and layout of a model: arithmetic between (text, voice), codes and token ids. Picklable, without weights.

    Tokens are (steps, streams) int64 on the CPU. An answer's entries are counted, weighed and scored step by step, and within
    a step stream by stream; those that the pattern fixes are left out.
    """

    @property
    def streams(self) -> int:
        """Tokens of a step: 1 for a flat model, K for one that writes K codebooks at once."""
        ...

    @property
    def num_slots(self) -> int:
        """Codes of a frame, over all levels."""
        ...

    @property
    def tokenizer(self) -> Any:
        """What `Trainer` saves beside a checkpoint (`save_pretrained`); None for nothing."""
        ...

    def prompt(self, text: str, voice: Codes | None = None, voice_text: str = "") -> PromptInputs:
        """Raises ContractError for empty text or words outside the vocabulary."""
        ...

    def answer(self, codes: Codes) -> Tensor:
        """Tokens of a finished answer with these codes, its end included: (steps, streams)."""
        ...

    def parse(self, tokens: Tensor) -> Answer:
        """Never raises on what a model may sample."""
        ...

    def places(self, answer: Tensor) -> Places:
        """Where each entry of an answer, finished or not, belongs."""
        ...

    def ends(self, step: Tensor) -> Tensor:
        """(rows,) bool: whether an answer is over with this step, (rows, streams), given that it was not before."""
        ...

    def allowed(self) -> tuple[tuple[Tensor, ...], ...]:
        """Among which ids `restrict` draws, ascending, per place of a frame and stream.

        Step t of an answer draws at place t modulo the number of places; a model that writes a frame per step has one.
        """
        ...

    def check(self, codec: Codebooks) -> None:
        """Raises ContractError, with both sizes, when the codec's codebooks are not those the model writes."""
        ...

    def words(self) -> tuple[str, ...]:
        """All words that a text may have, where there is such a list (a word-level tokenizer); else empty."""
        ...


class Backbone(Protocol):
    """Settings of a backbone (a frozen dataclass)."""

    model: str  # hub id or folder of the checkpoint (with a `revision`, where a member takes hub ids)

    def token_map(self) -> TokenMap:
        """Reads the tokenizer; raises ComponentError when it is missing or does not fit."""
        ...

    def load(self, device: str = "cpu", model: str | None = None) -> SpeechLM:
        """Loads the weights; `model` names another checkpoint of the same kind (an aligned one)."""
        ...
