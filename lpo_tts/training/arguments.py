"""What `LPOTrainer` is given: refused where it has no meaning, and a model, loss and head made of names."""

import logging
from typing import Any, cast

import torch
from torch import nn
from transformers import AutoModelForCausalLM

from lpo_tts.errors import ConfigError
from lpo_tts.lm.base import SpeechLM
from lpo_tts.lm.logps import Head
from lpo_tts.lm.models import has_adapters
from lpo_tts.losses.base import Loss
from lpo_tts.training.config import LPOConfig
from lpo_tts.training.scoring import check_distributions
from lpo_tts.training.trl import loss_class

logger = logging.getLogger(__name__)

LOSS_HINT = (
    "pass one of lpo_tts.losses or its name ('dpo', 'lpo-ste', ...), or your own that inherits losses.base.Loss; "
    "`lpo-tts list losses` names them all"
)


def as_loss(loss: Any) -> Loss:
    """A loss by its name, or the loss itself; raises ConfigError for what is none."""
    if isinstance(loss, str):
        return loss_class(loss)()
    if isinstance(loss, type):
        hint = f"pass an instance: {loss.__name__}()" if issubclass(loss, Loss) else f"it is no loss; {LOSS_HINT}"
        raise ConfigError(f"loss: expected a loss, found the class {loss.__name__}; {hint}")
    if not isinstance(loss, Loss):
        raise ConfigError(f"loss: expected a loss, found {type(loss).__name__}; {LOSS_HINT}")
    return loss


def check_arguments(model: object, args: Any, data_collator: Any, compute_metrics: Any, quantization_config: Any) -> None:
    """Raises ConfigError for what TRL's constructor takes and this one has no use for."""
    if not isinstance(args, LPOConfig):
        raise ConfigError(
            f"args: expected an LPOConfig, found {type(args).__name__}; LPOConfig takes the settings of TrainingArguments and "
            "those of preference training: LPOConfig(output_dir=..., learning_rate=...)"
        )
    if data_collator is not None:
        raise ConfigError("data_collator: leave it out; the trainer packs rows of token ids itself (pack, token_budget)")
    if compute_metrics is not None:
        raise ConfigError(
            "compute_metrics: leave it out; losses, rewards and log-ratios of held-out pairs are measured anyway, and a "
            "callback's on_evaluate(..., metrics) receives them"
        )
    if quantization_config is not None and not isinstance(model, str):
        raise ConfigError(
            "quantization_config is for a model given by name; load yours with from_pretrained(..., quantization_config=)"
        )


def load_causal_lm(source: str, quantization_config: Any = None) -> nn.Module:
    """A causal LM by hub id or folder, in float32 where nothing says how it is quantized."""
    options = {} if quantization_config is None else {"quantization_config": quantization_config}
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32, trust_remote_code=False, **options)
    return cast("nn.Module", model)


def head_for(lm: SpeechLM, args: LPOConfig) -> Head:
    """The head that was asked for, or `answers`, with a warning, where a model has none that can be fused."""
    reason = lm.why_not_fused() if args.head == "fused" else None
    if reason is not None:
        logger.warning("head: answers instead of fused, since %s has no plain head: %s", type(lm.module).__name__, reason)
    return "answers" if reason is not None else cast("Head", args.head)


def check_model(lm: SpeechLM, loss: Loss, args: LPOConfig) -> None:
    """Raises ConfigError where the loss or TR-DPO asks for what this model cannot give."""
    name, model = type(loss).__name__, type(lm.module).__name__
    narrow = {weight.dtype for weight in lm.module.parameters() if weight.requires_grad} - {torch.float32, torch.float64}
    if narrow:
        logger.warning(
            "%s has weights in %s that are trained: steps too small for that format are lost; load it with dtype float32 "
            "(precision bf16 computes in bfloat16 all the same)",
            model,
            ", ".join(sorted(str(dtype).removeprefix("torch.") for dtype in narrow)),
        )
    check_distributions(lm, loss)
    if args.sync_ref_model and loss.needs_reference == "none":
        raise ConfigError(f"sync_ref_model moves the reference, but {name} has none")
    if args.sync_ref_model and has_adapters(lm.module):
        raise ConfigError("sync_ref_model moves the reference's weights, but under peft the reference is the frozen model itself")
