"""What backbones of several streams share: their settings, their checkpoints, and prompts with a voice's frames in them."""

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lpo_tts import hf
from lpo_tts.backbones.base import Codebooks, PromptInputs
from lpo_tts.backbones.templates import PromptTemplate, check_template
from lpo_tts.bounds import at_least, check_settings
from lpo_tts.codes import Codes
from lpo_tts.errors import ComponentError, ContractError
from lpo_tts.lm.streams import text_steps

TOKENIZER = "a tokenizer of transformers (tokenizer.json)"


@dataclass(frozen=True)
class StackedBackbone:
    """Settings of a model that writes several codebooks at once; those of its codebooks are in its config.json.

    Attributes:
        model: hub id or folder with weights and tokenizer.
        template: the prompt, written as for backbone `flat`; `{voice}` is filled with the voice's frames.
        voice_frames: how many frames of the voice to use, from its start; None = all.
        dtype: number format of the weights in memory; weights that are trained are float32 whatever this says.
        attention: transformers' attention implementation (eager, sdpa, ...); None = its own choice.
        revision: commit, tag or branch of `model` on the hub; None = what the hub has now.
    """

    model: str
    template: str
    voice_frames: int | None = None
    dtype: hf.Dtype = "float32"
    attention: str | None = None
    revision: str | None = None

    bounds = {"voice_frames": at_least(1)}

    def __post_init__(self) -> None:
        check_settings(self, "")
        check_template(self.template)
        hf.check_loading(self.attention, self.revision)

    def read_config(self, kind: str, expected: str) -> Any:
        """The model's config; raises ComponentError when it is missing or its model_type is not `kind`."""
        with hf.loading(self.model, expected, self.revision) as place:
            from transformers import AutoConfig

            config = AutoConfig.from_pretrained(self.model, trust_remote_code=False, **place)
        if config.model_type != kind:
            raise ComponentError(f"{self.model}: expected {expected}, found a model of type {config.model_type}")
        return config

    def read_tokenizer(self) -> Any:
        """The model's tokenizer; raises ComponentError when it cannot be read."""
        with hf.loading(self.model, TOKENIZER, self.revision) as place:
            from transformers import AutoTokenizer

            return AutoTokenizer.from_pretrained(self.model, trust_remote_code=False, **place)

    def read_weights(self, kind: str, expected: str, model: str | None, dtype: torch.dtype | None) -> Any:
        """The model, in evaluation mode on the CPU.

        Args:
            kind: name of its class in transformers.
            expected: what a checkpoint must be, for messages.
            model: another checkpoint of the same kind (an aligned one), which has no revision.
            dtype: overrides `self.dtype`.

        Raises:
            ComponentError: when the checkpoint cannot be read.
        """
        source = model or self.model
        hf.refuse_adapter(source)
        options = {} if self.attention is None else {"attn_implementation": self.attention}
        with hf.loading(source, expected, self.revision if source == self.model else None) as place:
            import transformers

            found = getattr(transformers, kind).from_pretrained(
                source, dtype=dtype or getattr(torch, self.dtype), trust_remote_code=False, **options, **place
            )
        hf.refuse_adapted(found, source)
        return found.eval()


class StackedTokenMap(ABC):
    """Prompts of a model of several streams.

    Args:
        settings: template and cut of the voice.
        tokenizer: of transformers.
        num_codebooks: streams.
        codebook_size: codes per codebook; they are their own ids.
        rows: token ids per codebook; those of text come behind them in the first stream (`lm.streams.text_steps`).
        placeholders: token ids in whose places the model itself would put frames.

    Raises:
        ComponentError: a token of the template is not in the vocabulary, or is a placeholder.
    """

    def __init__(
        self,
        settings: StackedBackbone,
        tokenizer: Any,
        num_codebooks: int,
        codebook_size: int,
        rows: int,
        placeholders: Collection[int | None] = (),
    ) -> None:
        self.settings, self.tokenizer = settings, tokenizer
        self.streams = self.num_slots = num_codebooks
        self.codebook_size, self.rows = codebook_size, rows
        self._template = PromptTemplate(settings.template, tokenizer, settings.model)
        for name, token in self._template.special.items():
            if token in placeholders:
                raise ComponentError(f"template: {name} stands for frames in {settings.model}; write {{voice}} instead")

    def prompt(self, text: str, voice: Codes | None = None, voice_text: str = "") -> PromptInputs:
        """The template filled in; no features.

        Raises:
            ContractError: for an empty text, a word outside the vocabulary, a text that holds a special token,
                or codes of a voice that are not those the model writes.
        """
        before, *behind = self._template.fill(text, voice_text)
        steps = [text_steps(before, self.streams, self.rows)]
        for ids in behind:
            if voice is not None:
                cut = voice if self.settings.voice_frames is None else voice.first(self.settings.voice_frames)
                steps.append(self.spoken(cut))
            steps.append(text_steps(ids, self.streams, self.rows))
        return PromptInputs(torch.cat([*steps, self.opening()]))

    @abstractmethod
    def spoken(self, voice: Codes) -> Tensor:
        """A voice's frames as they stand in a prompt: (steps, streams)."""

    def opening(self) -> Tensor:
        """What stands between the template and the answer: (steps, streams)."""
        return torch.zeros(0, self.streams, dtype=torch.int64)

    def words(self) -> tuple[str, ...]:
        """Words of a word-level tokenizer; empty for any other, which knows any text."""
        return self._template.words()

    def check(self, codec: Codebooks) -> None:
        """Raises ContractError, with both sizes, when a codec's codebooks are not those the model writes."""
        expected, found = (self.codebook_size,) * self.streams, tuple(codec.codebook_sizes)
        if found != expected:
            raise ContractError(
                f"the language model writes {len(expected)} codebook(s) of sizes {expected}, the codec has sizes {found}; "
                "name the codec the model was trained with"
            )
