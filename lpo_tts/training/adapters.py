"""LoRA as plain settings: what a recipe's `train.lora` says, wrapped and merged by peft."""

from dataclasses import dataclass
from typing import Any, cast

from torch import nn

from lpo_tts.bounds import above, at_least, check_settings
from lpo_tts.errors import ComponentError, ConfigError
from lpo_tts.lm.base import SpeechLM


@dataclass(frozen=True)
class LoraSettings:
    """Fresh low-rank adapters (arXiv 2106.09685); the frozen model, adapters off, is the reference.

    Attributes:
        rank: inner width of an adapter.
        alpha: an adapter's output is multiplied by alpha / rank.
        dropout: share of the adapters' inputs set to 0 in training. Without it, policy and reference differ by the weights
            alone.
        targets: names of the linear layers; "all-linear" is every one but the LM head.
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    targets: tuple[str, ...] = ("all-linear",)

    bounds = {"rank": at_least(1), "alpha": above(0), "dropout": at_least(0).at_most(0.9)}

    def __post_init__(self) -> None:
        check_settings(self, "lora")
        if not self.targets:
            raise ConfigError("lora.targets: expected at least one name of a linear layer, or all-linear")

    def config(self) -> Any:
        """Peft's configuration; raises ComponentError when peft is not installed."""
        try:
            from peft import LoraConfig
        except ImportError as error:
            raise ComponentError("train.lora needs the package peft; install lpo-tts[lora]") from error
        return LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,  # pyright: ignore[reportArgumentType] (peft divides it by r; a fraction is fine)
            lora_dropout=self.dropout,
            target_modules="all-linear" if self.targets == ("all-linear",) else list(self.targets),
            task_type="CAUSAL_LM",
        )


def in_full(lm: SpeechLM, lora: LoraSettings | None) -> SpeechLM:
    """The same model with float32 weights where they are what is trained; under LoRA the frozen ones stay as they are.

    A step changes a weight by far less than the 1/256 of it that bfloat16 can tell apart, and would be lost. Products are
    computed in bfloat16 all the same, where `precision` says so.
    """
    if lora is None:
        lm.module.float()
    return lm


def adapted(model: nn.Module, config: Any) -> nn.Module:
    """The model within fresh adapters; `config` is peft's."""
    from peft import get_peft_model

    return get_peft_model(cast("Any", model), config)


def merged(model: nn.Module) -> nn.Module:
    """The plain model with its adapters added into the weights, which are float32 from here on: see `in_full`."""
    model.float()
    return cast("Any", model).merge_and_unload()


def unloaded(model: nn.Module) -> nn.Module:
    """The plain model without its adapters."""
    return cast("Any", model).unload()
