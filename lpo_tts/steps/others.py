"""Other models that sample the same prompts: their settings, their backbones, and whether they speak the same tokens."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import torch

from lpo_tts.backbones.base import Backbone, TokenMap
from lpo_tts.bounds import at_least, check_settings
from lpo_tts.errors import ConfigError, ContractError
from lpo_tts.lm.base import prompt_key

# What a template and a tokenizer are compared by where there are no prompts yet.
PROBES = ("The quick brown fox jumps over the lazy dog.", "No. 42 costs $3.50, don't you think?", "你好，世界。")
MAX_PROBES = 1000  # texts; two tokenizers that agree on so many and differ elsewhere would be a curiosity


@dataclass(frozen=True)
class OtherModel:
    """Another model that samples the recipe's prompts: of the same kind, with the same tokenizer and codec.

    It is run with the settings of `backbone`; those below stand in place of the recipe's own.

    Attributes:
        model: hub id or folder of its checkpoint.
        revision: commit, tag or branch of `model` on the hub; None = what the hub has now.
        adapter: folder of a LoRA (peft) trained on `model`, for backbones that take one.
        num_candidates: how many candidates it draws for every prompt; None: as many as the recipe's own model.
    """

    model: str
    revision: str | None = None
    adapter: str | None = None
    num_candidates: int | None = None

    bounds = {"num_candidates": at_least(1)}

    def __post_init__(self) -> None:
        check_settings(self, "")

    def backbone(self, own: Backbone, name: str) -> Backbone:
        """The recipe's backbone with this model in it.

        Args:
            own: the recipe's backbone.
            name: of this model, for messages.

        Raises:
            ConfigError: the backbone's class takes no revision, or no adapter, and one is given.
        """
        changes: dict[str, Any] = {"model": self.model}
        for key in ("revision", "adapter"):
            value = getattr(self, key)
            if hasattr(own, key):
                changes[key] = value
            elif value is not None:
                raise ConfigError(
                    f"sample.others.{name}.{key}: the backbone {type(own).__name__} takes no {key}, found {value!r}; "
                    f"write the model with its {key} into a folder, and name that folder as model"
                )
        return cast("Backbone", dataclasses.replace(cast("Any", own), **changes))


def check_same_tokens(own: TokenMap, other: TokenMap, name: str, texts: Iterable[str] = PROBES) -> None:
    """Raises ContractError unless another model reads and writes the tokens of the recipe's own.

    Its candidates are trained on as they are, so the same ids must mean the same codes, ends and texts.

    Args:
        own: of the recipe's model.
        other: of the other model.
        name: of the other model, for messages.
        texts: what both must spell alike, of which some are tried; a text that both refuse counts as alike.
    """
    sizes = [(one.streams, one.num_slots) for one in (own, other)]
    places, others = own.allowed(), other.allowed()
    same = sizes[0] == sizes[1] and len(places) == len(others)
    if not same or not all(
        len(mine) == len(theirs) and all(map(torch.equal, mine, theirs)) for mine, theirs in zip(places, others, strict=True)
    ):
        raise ContractError(
            f"sample.others.{name}: expected the codes and ends of the recipe's own model (streams and slots of a frame "
            f"{sizes[0]}), found other token ids (streams and slots {sizes[1]}); name a model that was trained from the same base"
        )
    if own.words() != other.words():
        raise ContractError(
            f"sample.others.{name}: expected the vocabulary of the recipe's own model ({len(own.words())} words), found "
            f"another one ({len(other.words())} words); name a model that was trained from the same base"
        )
    for text in (*own.words()[:MAX_PROBES], *list(texts)[:MAX_PROBES]):
        if _spelt(own, text) != _spelt(other, text):
            raise ContractError(
                f"sample.others.{name}: expected the tokenizer of the recipe's own model, found one that spells {text[:60]!r} "
                "by other ids; name a model that was trained from the same base"
            )


def _spelt(token_map: TokenMap, text: str) -> bytes | None:
    """What the model is given for a text; None where the text is refused."""
    try:
        inputs = token_map.prompt(text)
    except ContractError:
        return None
    return prompt_key(inputs.tokens, inputs.features)
