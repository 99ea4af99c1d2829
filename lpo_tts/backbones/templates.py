"""Prompts as templates: literal text and special tokens, with places for what is to be spoken and for a voice."""

import re
import string
from collections.abc import Callable
from typing import Any

from lpo_tts.errors import ComponentError, ConfigError, ContractError

FIELDS = ("text", "voice", "voice_text", "cut")
SPECIAL = re.compile(r"<\|[^<>|\s]+\|>|<[A-Za-z_]\w*>")  # how special tokens are written in templates


def check_template(template: str, key: str = "template") -> None:
    """Raises ConfigError for a template (setting `key`) without `{text}`, with an unknown field, or with one twice."""
    try:
        fields = [field for _, field, _, _ in string.Formatter().parse(template) if field is not None]
    except ValueError as error:
        raise ConfigError(f"{key} {template!r}: {error}; write literal braces as {{{{ and }}}}") from error
    unknown = [field for field in fields if field not in FIELDS]
    if unknown:
        raise ConfigError(f"{key}: unknown field {{{unknown[0]}}}; there are {', '.join('{' + field + '}' for field in FIELDS)}")
    if fields.count("text") != 1 or fields.count("voice") > 1:
        raise ConfigError(f"{key}: expected {{text}} once and {{voice}} at most once, found the fields {fields}")


def takes_voice(backbone: Any) -> bool:
    """Whether a backbone's prompts have a place for a voice, as far as its `template` tells; without one they have."""
    template = getattr(backbone, "template", None)
    return template is None or "voice" in [field for _, field, _, _ in string.Formatter().parse(template)]


def token_id(tokenizer: Any, name: str, where: str, source: str) -> int:
    """The id of a token; raises ComponentError, with where its name stands, when the vocabulary has none of that name."""
    found = tokenizer.convert_tokens_to_ids(name)
    if found is None or (found == tokenizer.unk_token_id and name != tokenizer.unk_token):
        raise ComponentError(
            f"{source}: expected the token {name} ({where}) in the vocabulary of {len(tokenizer)} tokens, found none of that name"
        )
    return int(found)


class PromptTemplate:
    """A template and the tokenizer that reads it.

    Args:
        template: see `FlatBackbone`.
        tokenizer: of transformers.
        source: hub id or folder of the model, for messages.
        spell: what a text is made into before the tokenizer reads it.

    Raises:
        ComponentError: a special token of the template is not in the vocabulary.
    """

    def __init__(self, template: str, tokenizer: Any, source: str, spell: Callable[[str], str] = str) -> None:
        self.spell = spell
        names = SPECIAL.findall(re.sub(r"\{(text|voice|voice_text|cut)\}", " ", template))
        self.special = {name: token_id(tokenizer, name, "template", source) for name in names}  # in the template
        self.tokenizer, self.source = tokenizer, source
        self._added = tokenizer.get_added_vocab()
        self._pieces = [(literal, field) for literal, field, _, _ in string.Formatter().parse(template)]

    def fill(self, text: str, voice_text: str = "") -> list[list[int]]:
        """Token ids before the voice, and those behind it; one list where the template has no `{voice}`.

        Raises:
            ContractError: for an empty text, a word outside the vocabulary, or a text that holds a special token.
        """
        if not text.strip():
            raise ContractError("expected a text to speak, found an empty one")
        values = {"text": self.spell(text), "voice_text": self.spell(voice_text) if voice_text else ""}
        for name, value in (("text", text), ("voice_text", voice_text)):
            # As written by the front end too: NFKC makes special tokens of full-width brackets and bars.
            control = next((token for token in SPECIAL.findall(f"{value} {values[name]}") if token in self._added), None)
            if control is not None:
                raise ContractError(f"{name} {value!r} holds the special token {control}; remove it")
        parts: list[list[int]] = []
        ids: list[int] = []  # before the last cut
        pending = ""
        for position, (literal, field) in enumerate(self._pieces):
            skipped = position > 0 and self._pieces[position - 1][1] == "voice_text" and not voice_text
            pending += literal.lstrip() if skipped else literal
            if field in ("voice", "cut"):
                ids += self._tokenise(pending)
                pending = ""
            if field == "voice":
                parts.append(ids)
                ids = []
            elif field in values:
                pending += values[field]
        return [*parts, ids + self._tokenise(pending)]

    def words(self) -> tuple[str, ...]:
        """Words of a word-level tokenizer; empty for any other, which knows any text."""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        if backend is None or type(backend.model).__name__ != "WordLevel":
            return ()
        words = [word for word in self.tokenizer.get_vocab() if not (word.startswith("<") and word.endswith(">"))]
        return tuple(sorted(words))

    def _tokenise(self, text: str) -> list[int]:
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"] if text else []
        unknown = self.tokenizer.unk_token_id
        # Some tokenizers (Qwen2) give out a special token for unknown words, which a template may name as well.
        if unknown is not None and ids.count(unknown) > text.count(self.tokenizer.unk_token):
            words = SPECIAL.sub(" ", text).split()
            bad = next((word for word in words if unknown in self.tokenizer(word, add_special_tokens=False)["input_ids"]), text)
            raise ContractError(f"the word {bad!r} is not in the vocabulary of {self.source}; use other words or another model")
        return ids
