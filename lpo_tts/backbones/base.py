"""What every backbone offers: the arithmetic between (text, voice) and the token ids of one causal LM."""

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from lpo_tts.codes import Codes, TokenLayout


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a sequence of answer token ids means."""

    codes: Codes | None  # None when nothing decodable is in it
    finished: bool  # an end token stands at its end
    status: str  # "ok", "empty", or why it is not decodable


class LoadedBackbone(Protocol):
    """A model with its tokenizer and token layout."""

    model: Any  # a transformers causal LM
    tokenizer: Any  # saved beside an aligned model
    layout: TokenLayout  # codes <-> token ids
    end_ids: tuple[int, ...]  # token ids that end an answer
    pad_id: int

    def prompt_ids(self, text: str, voice: Codes | None = None, voice_text: str = "") -> Tensor:
        """(num_tokens,) int64; raises ContractError for empty text or words outside the vocabulary."""
        ...

    def answer_ids(self, codes: Codes) -> Tensor:
        """Token ids of a finished answer with these codes, end token included: (num_tokens,) int64."""
        ...

    def parse_answer(self, token_ids: Tensor) -> Answer:
        """Never raises on what a model may sample."""
        ...


class Backbone(Protocol):
    """Settings of a backbone (a frozen dataclass)."""

    model: str  # hub id or folder of the checkpoint (with a `revision`, where a member takes hub ids)

    def load(self, device: str = "cpu", model: str | None = None) -> LoadedBackbone:
        """Loads the model; `model` names another checkpoint of the same kind (an aligned one)."""
        ...
