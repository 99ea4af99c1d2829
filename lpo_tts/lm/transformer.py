"""What every speech LM of transformers has: the module, and its attention."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, Self, cast

from torch import nn

from lpo_tts.lm import attention, models


@dataclass(frozen=True)
class TransformerLM(ABC):
    """A module of transformers, bare or wrapped (DDP, FSDP, DeepSpeed, peft): the half of a `SpeechLM` that all have alike."""

    module: nn.Module

    def around(self, module: nn.Module) -> Self:
        """The same reading of another module."""
        return replace(self, module=module)

    def fingerprint(self) -> str:
        """See `lm.models.model_hash`."""
        return models.model_hash(self.module)

    @abstractmethod
    def why_not_fused(self) -> str | None:
        """See `SpeechLM`."""

    def why_not_whole(self) -> str | None:
        """What keeps the head from being fused keeps whole distributions away too."""
        return self.why_not_fused()

    @property
    def attention(self) -> str | None:
        """The config's."""
        return getattr(getattr(self.module, "config", None), "_attn_implementation", None)

    def set_attention(self, name: str | None) -> None:
        """Chooses the attention implementation; the name of the packed one gives plain SDPA."""
        cast("Any", self.module).set_attn_implementation("sdpa" if name == attention.NAME else name)

    @property
    def takes_packs(self) -> bool:
        """Whether `take_packs` was done, to this module or to the one that it wraps."""
        return attention.takes_layouts(models.bare(self.module))

    def take_packs(self) -> None:
        """See `lm.attention.install`."""
        attention.install(self.module)

    @property
    def window(self) -> int | None:
        """The config's sliding window, where a layer has one."""
        config = getattr(self.module, "config", None)
        config = config.get_text_config() if config is not None and hasattr(config, "get_text_config") else config
        kinds = getattr(config, "layer_types", None)
        off = getattr(config, "use_sliding_window", True) is False or (kinds is not None and "sliding_attention" not in kinds)
        return None if off else getattr(config, "sliding_window", None)
