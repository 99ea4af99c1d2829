"""What a run is made from, as plain values: loss, settings, data, models. Stands in every checkpoint and in `run.json`."""

import dataclasses
import enum
import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from lpo_tts.losses import REGISTRY
from lpo_tts.losses.base import Loss
from lpo_tts.training.config import LPOConfig
from lpo_tts.training.examples import Example, data_hash

# Fields of LPOConfig that leave the weights as they are. Whatever is not named here or below is compared on resume.
_NEUTRAL = """
output_dir logging_strategy logging_steps logging_first_step log_on_each_node logging_nan_inf_filter log_level
log_level_replica include_num_input_tokens_seen disable_tqdm report_to run_name project metrics_file trackio_space_id
trackio_bucket_id trackio_static_space_id save_only_model save_on_each_node save_total_limit enable_jit_checkpoint
push_to_hub hub_token hub_private_repo hub_model_id hub_strategy hub_always_push hub_revision resume_from_checkpoint
use_cpu local_rank debug skip_memory_metrics torch_empty_cache_steps do_train do_eval do_predict check_reference
dataloader_num_workers dataloader_pin_memory dataloader_persistent_workers dataloader_prefetch_factor
dataloader_multiprocessing_context ddp_find_unused_parameters ddp_bucket_cap_mb ddp_broadcast_buffers ddp_static_graph
ddp_backend ddp_timeout eval_do_concat_batches eval_use_gather_object eval_accumulation_steps include_for_metrics
batch_eval_metrics prediction_loss_only label_names activation_checkpointing activation_checkpointing_kwargs
gradient_checkpointing gradient_checkpointing_kwargs
"""
# These count only where held-out pairs choose the final checkpoint.
_CHOOSING = """
save_strategy save_steps eval_strategy eval_steps eval_delay eval_on_start per_device_eval_batch_size
metric_for_best_model greater_is_better
"""
NEUTRAL, CHOOSING = frozenset(_NEUTRAL.split()), frozenset(_CHOOSING.split())
# Of peft's settings: where the model lies and which peft it is.
ADAPTER_NEUTRAL = frozenset(("base_model_name_or_path", "revision", "peft_version", "inference_mode", "auto_mapping"))


def described_loss(loss: Loss) -> dict[str, Any]:
    """A loss by its name and hyper-parameters, losses within it too."""
    settings = {field.name: plain(getattr(loss, field.name)) for field in dataclasses.fields(loss)}
    return {"name": REGISTRY.name_of(type(loss)), **settings}


def described_settings(args: LPOConfig) -> dict[str, Any]:
    """Every setting that the final weights depend on, under its name."""
    left_out = NEUTRAL if args.load_best_model_at_end else NEUTRAL | CHOOSING
    names = [field.name for field in dataclasses.fields(args) if field.name not in left_out]
    return {name: plain(getattr(args, name, None)) for name in names} | {"sharded": args.sharded}


def described_data(examples: Sequence[Example], *, in_order: bool) -> dict[str, Any]:
    """How many examples, a hash of all that they hold and, for training, one of their order, which decides the batches."""
    found: dict[str, Any] = {"examples": len(examples), "contents": data_hash(examples, whole=True)}
    if in_order:
        found["order"] = hashlib.sha256("\0".join(example.id for example in examples).encode()).hexdigest()
    return found


def described_adapters(model: nn.Module) -> dict[str, Any] | None:
    """Peft's settings by the adapters' names, or None."""
    configs = getattr(model, "peft_config", None)
    if not isinstance(configs, Mapping):
        return None
    trees = {str(name): config.to_dict() for name, config in configs.items()}
    return {name: plain({k: v for k, v in tree.items() if k not in ADAPTER_NEUTRAL}) for name, tree in trees.items()}


def described_optimizers(optimizers: Sequence[Any]) -> list[Any]:
    """Optimizer and schedule that the caller brings along: their classes, and the optimizer's settings."""
    return [
        None if one is None else {"name": type(one).__qualname__, "settings": plain(getattr(one, "defaults", {}))}
        for one in optimizers
    ]


def plain(value: Any) -> Any:
    """As JSON holds it; what it cannot hold is told by its type."""
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((plain(item) for item in value), key=str)
    if isinstance(value, Sequence):
        return [plain(item) for item in value]
    if isinstance(value, Loss):
        return described_loss(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return f"<{type(value).__qualname__}>"
