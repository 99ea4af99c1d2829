"""Backbones with one flat token stream (Llasa, NeuTTS, Orpheus, ...), described by a template and the slots of a frame."""

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lpo_tts import hf
from lpo_tts.backbones.base import Answer
from lpo_tts.codes import Codes, Slot, TokenLayout
from lpo_tts.errors import ComponentError, ConfigError, ContractError

FIELDS = ("text", "voice", "voice_text")
MODEL = "a causal language model of transformers (config.json, model.safetensors)"
TOKENIZER = "a tokenizer of transformers (tokenizer.json)"
_SPECIAL = re.compile(r"<\|[^<>|\s]+\|>|<[A-Za-z_]\w*>")  # how special tokens are written in templates
_NUMBERED = re.compile(r"(.*?)(\d+)(\D*)", re.DOTALL)


@dataclass(frozen=True)
class SlotSettings:
    """One token of a frame: the name of its first token, how many codes there are, and what it stands for.

    Attributes:
        first: token of code 0, by name, e.g. `<|s_0|>`.
        size: number of codes; their ids follow that of `first` without a gap (asserted at load).
        level: codebook level.
        index: which of that level's codes in the frame, for levels with several codes per frame (SNAC).
    """

    first: str
    size: int
    level: int = 0
    index: int = 0

    @property
    def last(self) -> str | None:
        """Name of the last token where `first` ends with a number (`<|s_0|>` -> `<|s_65535|>`), else None."""
        match = _NUMBERED.fullmatch(self.first)
        if match is None:
            return None
        return f"{match[1]}{int(match[2]) + self.size - 1}{match[3]}"


@dataclass(frozen=True)
class FlatBackbone:
    """Settings of a causal LM that writes audio codes as tokens of one stream.

    Attributes:
        model: hub id or folder with weights and tokenizer.
        template: the prompt; `{text}` is what is to be spoken, `{voice}` the codes of the recording to imitate,
            `{voice_text}` what is said in it. Everything else is literal, special tokens by name; nothing is added
            (no begin-of-text, no chat template), so what a chat template renders is written out here, without its date.
            An empty `voice_text` takes the white space after it along; `{{` and `}}` are literal braces.
            A voice is ignored by a template without `{voice}`.
        slots: the tokens of one frame, in order.
        end: names of the tokens that end an answer; the first one is the one training writes.
        voice_frames: how many frames of the voice to use, from its start; None = all.
        dtype: of the weights in memory: float32, bfloat16 or float16.
        attention: transformers' attention implementation (eager, sdpa, ...); None = its own choice. A kernel on the hub
            (`owner/name`) is code, and is refused.
        revision: commit, tag or branch of `model` on the hub; None = what the hub has now.
    """

    model: str
    template: str
    slots: tuple[SlotSettings, ...]
    end: tuple[str, ...]
    voice_frames: int | None = None
    dtype: str = "float32"
    attention: str | None = None
    revision: str | None = None

    def __post_init__(self) -> None:
        try:
            fields = [field for _, field, _, _ in string.Formatter().parse(self.template) if field is not None]
        except ValueError as error:
            raise ConfigError(f"template {self.template!r}: {error}; write literal braces as {{{{ and }}}}") from error
        unknown = [field for field in fields if field not in FIELDS]
        if unknown:
            raise ConfigError(
                f"template: unknown field {{{unknown[0]}}}; there are {', '.join('{' + field + '}' for field in FIELDS)}"
            )
        if fields.count("text") != 1 or fields.count("voice") > 1:
            raise ConfigError(f"template: expected {{text}} once and {{voice}} at most once, found the fields {fields}")
        if not self.end:
            raise ConfigError("end: expected the name of at least one token that ends an answer, found none")
        if self.voice_frames is not None and self.voice_frames < 1:
            raise ConfigError(f"voice_frames must be at least 1, found {self.voice_frames}")
        if self.dtype not in ("float32", "bfloat16", "float16"):
            raise ConfigError(f"dtype must be float32, bfloat16 or float16, found {self.dtype!r}")
        if self.attention is not None and not self.attention.replace("_", "").isalnum():
            raise ConfigError(f"attention: expected eager, sdpa or another of transformers' own, found {self.attention!r}")
        hf.check_revision(self.revision)
        try:
            TokenLayout(tuple(Slot(slot.level, slot.index, 0, slot.size) for slot in self.slots))
        except ContractError as error:
            raise ConfigError(f"slots: {error}") from error

    def load(self, device: str = "cpu", model: str | None = None, dtype: torch.dtype | None = None) -> "LoadedFlatBackbone":
        """Loads weights and tokenizer; the tokenizer is always that of `self.model`.

        Args:
            device: where the weights go.
            model: another checkpoint of the same kind (an aligned one), which has no revision.
            dtype: overrides `self.dtype`.

        Raises:
            ComponentError: when a checkpoint cannot be read, a token is missing, or ids are not contiguous.
        """
        tokenizer = self.load_tokenizer()
        source = model or self.model
        revision = self.revision if source == self.model else None
        options = {} if self.attention is None else {"attn_implementation": self.attention}
        with hf.loading(source, MODEL, revision) as place:
            from transformers import AutoModelForCausalLM

            lm = AutoModelForCausalLM.from_pretrained(
                source, dtype=dtype or getattr(torch, self.dtype), trust_remote_code=False, **options, **place
            )
        return LoadedFlatBackbone(self, lm.to(device).eval(), tokenizer)

    def load_tokenizer(self) -> Any:
        """The tokenizer alone (no weights); raises ComponentError when it cannot be read."""
        with hf.loading(self.model, TOKENIZER, self.revision) as place:
            from transformers import AutoTokenizer

            return AutoTokenizer.from_pretrained(self.model, trust_remote_code=False, **place)


class LoadedFlatBackbone:
    """A model with its tokenizer and token layout."""

    def __init__(self, settings: FlatBackbone, model: Any, tokenizer: Any) -> None:
        self.settings = settings
        self.model = model
        self.tokenizer = tokenizer
        self.layout = resolve_layout(tokenizer, settings.slots, settings.model)
        self.end_ids = tuple(_token_id(tokenizer, name, "end", settings.model) for name in settings.end)
        for name in _SPECIAL.findall(re.sub(r"\{(text|voice|voice_text)\}", " ", settings.template)):
            _token_id(tokenizer, name, "template", settings.model)
        for slot, described in zip(self.layout.slots, settings.slots, strict=True):
            for end_id, name in zip(self.end_ids, settings.end, strict=True):
                if slot.first_id <= end_id < slot.first_id + slot.size:
                    raise ComponentError(
                        f"{settings.model}: the end token {name} ({end_id}) lies among the codes of {described.first}"
                    )
        rows = model.get_input_embeddings().weight.shape[0] if model is not None else None
        highest = max([slot.first_id + slot.size - 1 for slot in self.layout.slots] + list(self.end_ids))
        if rows is not None and highest >= rows:
            raise ComponentError(
                f"{settings.model}: expected an embedding for token {highest}, found {rows} embeddings; "
                "tokenizer and weights do not belong together"
            )
        pad = tokenizer.pad_token_id
        self.pad_id = self.end_ids[0] if pad is None else int(pad)
        self._added = tokenizer.get_added_vocab()
        self._pieces = [(literal, field) for literal, field, _, _ in string.Formatter().parse(settings.template)]

    def prompt_ids(self, text: str, voice: Codes | None = None, voice_text: str = "") -> Tensor:
        """Token ids of the prompt: (num_tokens,) int64 on the CPU.

        Raises:
            ContractError: for an empty text, a word outside the vocabulary, a text that holds a special token,
                or codes of a voice that do not fit the slots.
        """
        if not text.strip():
            raise ContractError("expected a text to speak, found an empty one")
        for name, value in (("text", text), ("voice_text", voice_text)):
            control = next((token for token in _SPECIAL.findall(value) if token in self._added), None)
            if control is not None:
                raise ContractError(f"{name} {value!r} holds the special token {control}; remove it")
        ids: list[int] = []
        pending = ""
        for position, (literal, field) in enumerate(self._pieces):
            skipped = position > 0 and self._pieces[position - 1][1] == "voice_text" and not voice_text
            pending += literal.lstrip() if skipped else literal
            if field == "voice":
                ids += self._tokenise(pending)
                pending = ""
                if voice is not None:
                    cut = voice if self.settings.voice_frames is None else voice.first(self.settings.voice_frames)
                    ids += self.layout.to_tokens(cut).tolist()
            elif field is not None:
                pending += text if field == "text" else voice_text
        return torch.tensor(ids + self._tokenise(pending), dtype=torch.int64)

    def answer_ids(self, codes: Codes) -> Tensor:
        """Token ids of a finished answer, the first end token included: (num_frames * slots + 1,) int64."""
        return torch.cat([self.layout.to_tokens(codes).cpu(), torch.tensor(self.end_ids[:1])])

    def parse_answer(self, token_ids: Tensor) -> Answer:
        """Codes of the whole frames before the first fault, and what the fault is; never raises."""
        ids = torch.as_tensor(token_ids).detach().cpu().to(torch.int64).reshape(-1)
        finished = bool(ids.numel()) and int(ids[-1]) in self.end_ids
        if finished:
            ids = ids[:-1]
        if not ids.numel():
            return Answer(codes=None, finished=finished, status="empty")
        width = len(self.layout.slots)
        slots = torch.arange(ids.numel()) % width
        first = torch.tensor([slot.first_id for slot in self.layout.slots])[slots]
        size = torch.tensor([slot.size for slot in self.layout.slots])[slots]
        wrong = ((ids < first) | (ids >= first + size)).nonzero()
        whole = ids.numel() // width
        status = "ok"
        if wrong.numel():
            position = int(wrong[0])
            whole = position // width
            low, high = int(first[position]), int(first[position] + size[position] - 1)
            status = (
                f"token {int(ids[position])} at position {position} is no code of slot {position % width} (ids {low} to {high})"
            )
        elif ids.numel() % width:
            status = f"the last frame is incomplete: {ids.numel() % width} of {width} tokens"
        codes = self.layout.to_codes(ids[: whole * width]) if whole else None
        return Answer(codes=codes, finished=finished, status=status)

    def _tokenise(self, text: str) -> list[int]:
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"] if text else []
        unknown = self.tokenizer.unk_token_id
        if unknown is not None and unknown in ids:
            words = _SPECIAL.sub(" ", text).split()
            bad = next((word for word in words if unknown in self.tokenizer(word, add_special_tokens=False)["input_ids"]), text)
            raise ContractError(
                f"the word {bad!r} is not in the vocabulary of {self.settings.model}; use other words or another model"
            )
        return ids


def resolve_layout(tokenizer: Any, slots: Sequence[SlotSettings], source: str) -> TokenLayout:
    """Finds the ids of the slots by name; raises ComponentError when a token is missing or ids have gaps."""
    resolved = []
    for slot in slots:
        first = _token_id(tokenizer, slot.first, "slots", source)
        if slot.last is None:
            if first + slot.size > len(tokenizer):
                raise ComponentError(
                    f"{source}: expected {slot.size} codes from {slot.first} ({first}) on, found {len(tokenizer) - first} tokens"
                )
        else:
            last = _token_id(tokenizer, slot.last, "slots", source)
            if last - first != slot.size - 1:
                raise ComponentError(
                    f"{source}: expected contiguous ids, {slot.last} = {slot.first} + {slot.size - 1}; "
                    f"found {slot.first} = {first}, {slot.last} = {last}"
                )
        resolved.append(Slot(slot.level, slot.index, first, slot.size))
    return TokenLayout(tuple(resolved))


def check_codec(layout: TokenLayout, codebook_sizes: Sequence[int]) -> None:
    """Raises ContractError, with both sizes, when a codec's codebooks are not those the layout has slots for."""
    expected = tuple(next(slot.size for slot in layout.slots if slot.level == level) for level in range(layout.num_levels))
    mixed = [slot for slot in layout.slots if slot.size != expected[slot.level]]
    if mixed or expected != tuple(codebook_sizes):
        found = mixed[0].size if mixed else tuple(codebook_sizes)
        raise ContractError(
            f"the language model writes {len(expected)} codebook(s) of sizes {expected}, the codec has sizes {found}; "
            "name the codec the model was trained with"
        )


def _token_id(tokenizer: Any, name: str, where: str, source: str) -> int:
    found = tokenizer.convert_tokens_to_ids(name)
    if found is None or (found == tokenizer.unk_token_id and name != tokenizer.unk_token):
        raise ComponentError(
            f"{source}: expected the token {name} ({where}) in the vocabulary of {len(tokenizer)} tokens, found none of that name"
        )
    return int(found)
