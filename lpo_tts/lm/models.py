"""What is asked of a model whatever its kind: its LM head, its adapters, a hash of its weights, its precision."""

import contextlib
import hashlib
from typing import Any, cast

import torch
from torch import nn

from lpo_tts.errors import ComponentError

# Models that change their logits after the head, by the setting that says so: the fused head would leave that out.
LOGITS_CHANGED = ("final_logit_softcapping", "logit_scale", "logits_scaling", "lm_head_multiplier", "output_multiplier")


def bare(model: nn.Module) -> Any:
    """The model inside DDP and the like."""
    while isinstance(getattr(model, "module", None), nn.Module):
        model = model.module  # pyright: ignore[reportAssignmentType]
    return model


def head_of(model: nn.Module) -> Any:
    """The LM head; raises ComponentError when there is none."""
    inner = bare(model)
    head = inner.get_output_embeddings() if hasattr(inner, "get_output_embeddings") else None
    if head is None:
        raise ComponentError(f"{type(inner).__name__} has no LM head (get_output_embeddings); a causal LM is needed")
    return head


def is_plain(head: nn.Module) -> bool:
    """Whether a head is its weight and bias and no more, sharded or not; an adapter's Linear, of the same name, is more."""
    return type(head) is nn.Linear or type(head).__name__ == "FSDPLinear"


def named(head: nn.Module) -> str:
    """What a head is, for messages: an adapter's Linear is told from torch's."""
    kind = type(head)
    return f"{kind.__module__.split('.')[0]} {kind.__name__}" if kind.__name__ == "Linear" else kind.__name__


def why_not_fused(model: nn.Module) -> str | None:
    """Why the fused head cannot stand in for this model's own, or None."""
    head = head_of(model)
    if not is_plain(head):
        return f"its LM head is a {named(head)}, not a plain Linear"
    config = getattr(bare(model), "config", None)
    config = config.get_text_config() if config is not None and hasattr(config, "get_text_config") else config
    changed = [name for name in LOGITS_CHANGED if getattr(config, name, None) not in (None, 1, 1.0)]
    return f"it changes its logits after the head ({changed[0]})" if changed else None


def layers_beside_attention(model: nn.Module) -> str | None:
    """A kind of layer by which tokens hear their neighbours beside attention, such as `conv` of LFM2; None = there is none."""
    kinds = getattr(getattr(bare(model), "config", None), "layer_types", None) or ()
    return next((kind for kind in kinds if "attention" not in kind or kind == "linear_attention"), None)


def autocast(model: nn.Module, precision: str) -> Any:
    """The context both models compute in: bf16 autocast for "bf16", plain float32 for "fp32"."""
    device = next(model.parameters()).device.type
    return torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bf16")


def model_hash(model: nn.Module) -> str:
    """sha-256 over names, types and values of a model's weights (tied ones once; adapters apart, whose model is frozen)."""
    digest = hashlib.sha256()
    adapted = has_adapters(model)
    for name, weight in sorted(model.named_parameters()):
        if adapted and weight.requires_grad:
            continue
        data = weight.detach().cpu().contiguous()
        digest.update(f"{name}\0{data.dtype}\0{tuple(data.shape)}\0".encode())
        digest.update(data.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def has_adapters(model: nn.Module) -> bool:
    """Whether the model is a peft model, whose frozen self is the reference."""
    return hasattr(model, "disable_adapter") and hasattr(model, "peft_config")


@contextlib.contextmanager
def frozen(model: nn.Module) -> Any:
    """The model as the reference: in evaluation mode, adapters off where there are some, no gradients."""
    was_training = model.training
    model.eval()
    off = model.disable_adapter() if has_adapters(model) else contextlib.nullcontext()  # pyright: ignore[reportCallIssue]
    try:
        with torch.no_grad(), off:  # pyright: ignore[reportGeneralTypeIssues]
            yield model
    finally:
        model.train(was_training)


def disable_dropout(model: nn.Module) -> None:
    """Sets every dropout probability to 0: policy and reference must not differ by chance."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        # what a module hands to functional dropout: attention_dropout, dropout (OPT), layerdrop, ...
        for name in [name for name, value in vars(module).items() if "drop" in name and isinstance(value, float)]:
            setattr(module, name, cast("Any", 0.0))
