"""Backbones with one flat token stream (Llasa, NeuTTS, Orpheus, ...), described by a template and the slots of a frame."""

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from lpo_tts import hf
from lpo_tts.backbones.base import PromptInputs
from lpo_tts.backbones.flat_answers import FlatAnswers
from lpo_tts.backbones.templates import PromptTemplate, check_template, token_id
from lpo_tts.bounds import at_least, check_settings
from lpo_tts.codes import Codes, Slot, TokenLayout
from lpo_tts.errors import ComponentError, ConfigError, ContractError
from lpo_tts.frontends.base import FrontEnd
from lpo_tts.lm.causal import CausalLM

MODEL = "a causal language model of transformers (config.json, model.safetensors)"
TOKENIZER = "a tokenizer of transformers (tokenizer.json)"
_NUMBERED = re.compile(r"(.*?)(\d+)(\D*)", re.DOTALL)


@dataclass(frozen=True)
class SlotSettings:
    """One token of a frame: the name of its first token, how many codes there are, and what it stands for.

    Attributes:
        first: token of code 0, by name, e.g. `<|s_0|>`.
        size: number of codes; their ids follow that of `first` without a gap (asserted at load).
        level: codebook level that the code belongs to, counted from 0.
        index: which of that level's codes in the frame, for levels with several codes per frame (SNAC).
    """

    first: str
    size: int
    level: int = 0
    index: int = 0

    bounds = {"size": at_least(1), "level": at_least(0), "index": at_least(0)}

    def __post_init__(self) -> None:
        check_settings(self, "slots")

    @property
    def last(self) -> str | None:
        """Name of the last token where `first` ends with a number (`<|s_0|>` -> `<|s_65535|>`), else None."""
        match = _NUMBERED.fullmatch(self.first)
        if match is None:
            return None
        return f"{match[1]}{int(match[2]) + self.size - 1}{match[3]}"


@dataclass(frozen=True)
class EndSettings:
    """A run of tokens each of which ends an answer.

    Attributes:
        first: name of the first one.
        size: how many there are; their ids follow that of `first` without a gap.
    """

    first: str
    size: int

    bounds = {"size": at_least(1)}

    def __post_init__(self) -> None:
        check_settings(self, "end")


@dataclass(frozen=True)
class FlatBackbone:
    """Settings of a causal LM that writes audio codes as tokens of one stream.

    Attributes:
        model: hub id or folder with weights and tokenizer.
        template: the prompt; `{text}` is what is to be spoken, `{voice}` the codes of the recording to imitate,
            `{voice_text}` what is said in it. Everything else is literal, special tokens by name; nothing is added
            (no begin-of-text, no chat template), so what a chat template renders is written out here, without its date.
            An empty `voice_text` takes the white space after it along; `{{` and `}}` are literal braces. What stands
            before and behind `{cut}` goes through the tokenizer apart. A voice is ignored by a template without `{voice}`.
        slots: the tokens of one frame, in order.
        end: names of the tokens that end an answer; the first one is the one training writes. `{first: NAME, size: N}` may
            stand in place of a name, for N tokens with ids in a row.
        plain_template: the prompt where there is no voice; None = `template`, with nothing in the places of the voice.
        front_end: how texts are written for the model before the tokenizer reads them (phones, for one); None = as they are.
        merge_ends: whether all of `end` are one outcome: their probabilities are added, in sampling and in log-probs.
        restrict_logps: whether the model's distribution is normalised over what may stand at a place (its codes, and ends
            where a frame begins) instead of the whole vocabulary, in log-probs and in sampling. Right for a model whose
            other logits mean nothing; answers that hold another token are refused.
        voice_frames: how many frames of the voice to use, from its start; None = all.
        dtype: number format of the weights in memory; weights that are trained are float32 whatever this says.
        attention: transformers' attention implementation (eager, sdpa, ...); None = its own choice. A kernel on the hub
            (`owner/name`) is code, and is refused.
        revision: commit, tag or branch of `model` on the hub; None = what the hub has now.
        adapter: folder of a LoRA (peft) trained on `model`, which is merged into its weights when they are loaded.
    """

    model: str
    template: str
    slots: tuple[SlotSettings, ...]
    end: tuple[str | EndSettings, ...]
    plain_template: str | None = None
    front_end: FrontEnd | None = None
    merge_ends: bool = False
    restrict_logps: bool = False
    voice_frames: int | None = None
    dtype: hf.Dtype = "float32"
    attention: str | None = None
    revision: str | None = None
    adapter: str | None = None

    bounds = {"voice_frames": at_least(1)}

    def __post_init__(self) -> None:
        check_settings(self, "")
        check_template(self.template)
        if self.plain_template is not None:
            check_template(self.plain_template, "plain_template")
        if not self.end:
            raise ConfigError("end: expected the name of at least one token that ends an answer, found none")
        hf.check_loading(self.attention, self.revision)
        try:
            TokenLayout(tuple(Slot(slot.level, slot.index, 0, slot.size) for slot in self.slots))
        except ContractError as error:
            raise ConfigError(f"slots: {error}") from error

    @functools.cached_property
    def _token_map(self) -> "FlatTokenMap":
        return FlatTokenMap(self, self._load_tokenizer())

    def token_map(self) -> "FlatTokenMap":
        """Reads the tokenizer, once; raises ComponentError when it cannot be read, lacks a token, or ids have gaps."""
        return self._token_map

    def load(self, device: str = "cpu", model: str | None = None, dtype: torch.dtype | None = None) -> CausalLM:
        """Loads the weights.

        Args:
            device: where the weights go.
            model: another checkpoint of the same kind (an aligned one), which has no revision and no adapter; the tokenizer
                is always that of `self.model`.
            dtype: overrides `self.dtype`.

        Raises:
            ComponentError: when a checkpoint cannot be read, or has fewer embeddings than the token map has ids.
        """
        token_map = self.token_map()
        highest = token_map.highest
        source = model or self.model
        hf.refuse_adapter(source)
        revision = self.revision if source == self.model else None
        options = {} if self.attention is None else {"attn_implementation": self.attention}
        with hf.loading(source, MODEL, revision) as place:
            from transformers import AutoModelForCausalLM

            lm = AutoModelForCausalLM.from_pretrained(
                source, dtype=dtype or getattr(torch, self.dtype), trust_remote_code=False, **options, **place
            )
        hf.refuse_adapted(lm, source)
        rows = lm.get_input_embeddings().weight.shape[0]
        if highest >= rows:
            raise ComponentError(
                f"{self.model}: expected an embedding for token {highest}, found {rows} embeddings; "
                "tokenizer and weights do not belong together"
            )
        if self.adapter is not None and source == self.model:
            lm = merged_adapter(lm, self.adapter)
        return CausalLM(lm.to(device).eval(), token_map.choices if self.merge_ends or self.restrict_logps else None)

    def _load_tokenizer(self) -> Any:
        hf.refuse_adapter(self.model)
        with hf.loading(self.model, TOKENIZER, self.revision) as place:
            from transformers import AutoTokenizer

            return AutoTokenizer.from_pretrained(self.model, trust_remote_code=False, **place)


class FlatTokenMap(FlatAnswers):
    """Prompts by a template, answers by slots.

    Args:
        settings: template, slots and ends by name.
        tokenizer: of transformers.

    Raises:
        ComponentError: a token is missing, or the ids of a slot have gaps.
    """

    def __init__(self, settings: FlatBackbone, tokenizer: Any) -> None:
        layout = resolve_layout(tokenizer, settings.slots, settings.model)
        ends = resolve_ends(tokenizer, settings.end, settings.model)
        super().__init__(layout, tuple(ends), merged=settings.merge_ends, restricted=settings.restrict_logps)
        self.settings = settings
        self.tokenizer = tokenizer
        spell = str if settings.front_end is None else settings.front_end.load()
        self._template = PromptTemplate(settings.template, tokenizer, settings.model, spell)
        plain = settings.plain_template
        self._plain = self._template if plain is None else PromptTemplate(plain, tokenizer, settings.model, spell)
        for slot, described in zip(self.layout.slots, settings.slots, strict=True):
            for end_id, name in ends.items():
                if slot.first_id <= end_id < slot.first_id + slot.size:
                    raise ComponentError(
                        f"{settings.model}: the end token {name} ({end_id}) lies among the codes of {described.first}"
                    )

    @property
    def highest(self) -> int:
        """The highest id of a code or an end."""
        return max([slot.first_id + slot.size - 1 for slot in self.layout.slots] + list(self.end_ids))

    def prompt(self, text: str, voice: Codes | None = None, voice_text: str = "") -> PromptInputs:
        """The template filled in; no features.

        Raises:
            ContractError: for an empty text, a word outside the vocabulary, a text that holds a special token, or codes of
                a voice that do not fit the slots.
        """
        template = self._plain if voice is None else self._template
        ids, *behind = template.fill(text, voice_text)
        for more in behind:
            if voice is not None:
                cut = voice if self.settings.voice_frames is None else voice.first(self.settings.voice_frames)
                ids += self.layout.to_tokens(cut).tolist()
            ids += more
        return PromptInputs(torch.tensor(ids, dtype=torch.int64).unsqueeze(-1))

    def words(self) -> tuple[str, ...]:
        """Words of a word-level tokenizer; empty for any other, which knows any text."""
        return self._template.words()


def resolve_ends(tokenizer: Any, ends: Sequence[str | EndSettings], source: str) -> dict[int, str]:
    """Ids of the end tokens with the names they are called by, in order; raises ComponentError when one is missing."""
    found = {}
    for end in ends:
        name = end if isinstance(end, str) else end.first
        first = token_id(tokenizer, name, "end", source)
        size = 1 if isinstance(end, str) else end.size
        found |= {first + k: name if k == 0 else f"{name} + {k}" for k in range(size)}
    return found


def merged_adapter(lm: Any, adapter: str) -> Any:
    """A model with a LoRA merged into its weights; raises ComponentError when peft is missing or it cannot be read."""
    hf.folder(adapter)
    with hf.loading(adapter, "a LoRA of peft (adapter_config.json, adapter_model.safetensors), and peft (extra `lora`)") as place:
        from peft import PeftModel

        dtype = lm.dtype  # added in float32 and rounded once: in a narrower format small changes would be lost in the sum
        return PeftModel.from_pretrained(lm.float(), adapter, **place).merge_and_unload().to(dtype)


def resolve_layout(tokenizer: Any, slots: Sequence[SlotSettings], source: str) -> TokenLayout:
    """Finds the ids of the slots by name; raises ComponentError when a token is missing or ids have gaps."""
    resolved = []
    for slot in slots:
        first = token_id(tokenizer, slot.first, "slots", source)
        if slot.last is None:
            if first + slot.size > len(tokenizer):
                raise ComponentError(
                    f"{source}: expected {slot.size} codes from {slot.first} ({first}) on, found {len(tokenizer) - first} tokens"
                )
        else:
            last = token_id(tokenizer, slot.last, "slots", source)
            if last - first != slot.size - 1:
                raise ComponentError(
                    f"{source}: expected contiguous ids, {slot.last} = {slot.first} + {slot.size - 1}; "
                    f"found {slot.first} = {first}, {slot.last} = {last}"
                )
        resolved.append(Slot(slot.level, slot.index, first, slot.size))
    return TokenLayout(tuple(resolved))
