"""Weights for the fast decoder, read from models of transformers; a family is one function here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lpo_tts.lm.linear import Activation, Linear

# Rotary types whose angles depend on the length of the sequence; ours: left to the fall-back loop.
_CHANGING_ROPE = ("dynamic", "longrope")
_GPT2_ACTIVATIONS: dict[str, Activation] = {
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu": "gelu",
    "relu": "relu",
}


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer: norms folded into the projections after them, q scaled, q and k ordered for complex rotation.

    Attributes:
        qkv: to (query_heads + 2 * kv_heads) * head_dim.
        out: the attention's output projection.
        up: into the feed-forward part.
        down: out of it.
        gate: what multiplies `up`, after the activation; None = the activation is of `up` itself.
        head_norms: (query_heads + kv_heads, head_dim), weights of norms of q and k; None = none.
    """

    qkv: Linear
    out: Linear
    up: Linear
    down: Linear
    gate: Linear | None = None
    head_norms: Tensor | None = None


@dataclass(frozen=True)
class Shape:
    """Sizes of the attention, and what its norms add to a variance."""

    heads: int
    kv_heads: int
    head_dim: int
    eps: float


@dataclass(frozen=True, eq=False)
class Weights:
    """All that decoding needs of a model.

    Attributes:
        shape: see `Shape`.
        layers: see `Layer`.
        embedding: (vocabulary, hidden).
        heads: per place of a frame, the head's rows of the ids allowed there, with the last norm folded in.
        max_positions: the longest sequence.
        centred: whether norms subtract the mean (LayerNorm), or not (RMSNorm).
        activation: of the feed-forward part.
        rotary: the module that gives angles; None where positions are learned.
        positions: (max_positions, hidden) learned positions; None where they are rotations.
    """

    shape: Shape
    layers: list[Layer]
    embedding: Tensor
    heads: list[Linear]
    max_positions: int
    centred: bool = False
    activation: Activation = "silu"
    rotary: Any = None
    positions: Tensor | None = None


@torch.no_grad()
def read_weights(model: Any, allowed: Sequence[Tensor] | None = None) -> Weights | None:
    """Reads a model; None when it is of a kind that is not known.

    Args:
        model: a LlamaForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM or GPT2LMHeadModel.
        allowed: per place of a frame, (num_allowed,) token ids; None = all, at every place.
    """
    read = _READERS.get((getattr(getattr(model, "config", None), "model_type", None), type(model).__name__))
    if read is None or getattr(model.lm_head, "bias", None) is not None:
        return None
    if len({parameter.device for parameter in model.parameters()}) != 1:
        return None
    return read(model, allowed)


def _read_llama(model: Any, allowed: Sequence[Tensor] | None) -> Weights | None:
    """Llama, Qwen2 and Qwen3: rotations, RMSNorm, a gated feed-forward part; the latter differ in biases and head norms."""
    config, body = model.config, model.model
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    if rope.get("rope_type", "default") in _CHANGING_ROPE or rope.get("partial_rotary_factor", 1.0) != 1.0:
        return None
    if any(name != "full_attention" for name in getattr(config, "layer_types", None) or []):
        return None
    if config.hidden_act != "silu" or getattr(config, "mlp_bias", False):
        return None
    if not _are_plain(model, ("_proj", "lm_head", "embed_tokens"), (nn.Linear, nn.Embedding)):
        return None
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    shape = Shape(config.num_attention_heads, config.num_key_value_heads, head_dim, config.rms_norm_eps)
    return Weights(
        shape=shape,
        layers=[_llama_layer(layer, shape) for layer in body.layers],
        embedding=body.embed_tokens.weight.detach(),
        heads=_heads(model.lm_head.weight, body.norm, allowed),
        max_positions=config.max_position_embeddings,
        rotary=body.rotary_emb,
    )


def _llama_layer(layer: Any, shape: Shape) -> Layer:
    attention, mlp = layer.self_attn, layer.mlp
    query, key, value = attention.q_proj, attention.k_proj, attention.v_proj
    norms = None
    scale = shape.head_dim**-0.5
    if (query_norm := getattr(attention, "q_norm", None)) is not None:
        # A scaled projection would be normalised away: scale the norm's weight instead.
        norms = torch.cat(
            [
                (_pair(query_norm.weight, shape) * scale).expand(shape.heads, -1),
                _pair(attention.k_norm.weight, shape).expand(shape.kv_heads, -1),
            ]
        )
        scale = 1.0
    bias = None
    if query.bias is not None:
        bias = torch.cat([_pair(query.bias, shape) * scale, _pair(key.bias, shape), value.bias])
    return Layer(
        qkv=_after(
            layer.input_layernorm,
            torch.cat([_pair(query.weight, shape) * scale, _pair(key.weight, shape), value.weight]),
            bias,
        ),
        out=Linear(attention.o_proj.weight, attention.o_proj.bias),
        up=_after(layer.post_attention_layernorm, mlp.up_proj.weight),
        down=Linear(mlp.down_proj.weight),
        gate=_after(layer.post_attention_layernorm, mlp.gate_proj.weight),
        head_norms=norms,
    )


def _pair(weight: Tensor, shape: Shape) -> Tensor:
    """Orders each head's rows so that dimensions i and i + head_dim / 2, which turn together, are neighbours."""
    heads = weight.shape[0] // shape.head_dim
    return weight.view(heads, 2, shape.head_dim // 2, -1).transpose(1, 2).reshape(weight.shape)


def _read_gpt2(model: Any, allowed: Sequence[Tensor] | None) -> Weights | None:
    """GPT-2: learned positions, LayerNorm, biases, q, k and v in one projection whose weight is stored transposed."""
    from transformers.pytorch_utils import Conv1D

    config, body = model.config, model.transformer
    activation = _GPT2_ACTIVATIONS.get(config.activation_function)
    if activation is None or not config.scale_attn_weights or config.add_cross_attention:
        return None
    if config.scale_attn_by_inverse_layer_idx or config.reorder_and_upcast_attn:
        return None
    if not _are_plain(model, ("c_attn", "c_proj", "c_fc", "lm_head", "wte", "wpe"), (nn.Linear, nn.Embedding, Conv1D)):
        return None
    shape = Shape(config.n_head, config.n_head, config.n_embd // config.n_head, config.layer_norm_epsilon)
    return Weights(
        shape=shape,
        layers=[_gpt2_layer(layer, shape) for layer in body.h],
        embedding=body.wte.weight.detach(),
        heads=_heads(model.lm_head.weight, body.ln_f, allowed),
        max_positions=config.n_positions,
        centred=True,
        activation=activation,
        positions=body.wpe.weight.detach(),
    )


def _gpt2_layer(layer: Any, shape: Shape) -> Layer:
    attention, mlp = layer.attn, layer.mlp
    weight, bias = attention.c_attn.weight.t().clone(), attention.c_attn.bias.clone()
    queries = shape.heads * shape.head_dim
    weight[:queries] *= shape.head_dim**-0.5
    bias[:queries] *= shape.head_dim**-0.5
    return Layer(
        qkv=_after(layer.ln_1, weight, bias),
        out=Linear(attention.c_proj.weight.t(), attention.c_proj.bias),
        up=_after(layer.ln_2, mlp.c_fc.weight.t(), mlp.c_fc.bias),
        down=Linear(mlp.c_proj.weight.t(), mlp.c_proj.bias),
    )


def _after(norm: Any, weight: Tensor, bias: Tensor | None = None) -> Linear:
    """A projection of what a norm gives, with the norm's weight and bias folded into it."""
    shift = getattr(norm, "bias", None)
    if shift is not None:
        moved = weight.float() @ shift.float()
        bias = (moved if bias is None else moved + bias.float()).to(weight.dtype)
    return Linear(weight * norm.weight, bias)


def _heads(weight: Tensor, norm: Any, allowed: Sequence[Tensor] | None) -> list[Linear]:
    """Per place, the rows of its ids; places of the same ids share them."""
    if allowed is None:
        return [_after(norm, weight)]
    made: dict[tuple[int, ...], Linear] = {}
    heads = []
    for ids in allowed:
        key = tuple(ids.tolist())
        if key not in made:
            made[key] = _after(norm, weight[ids.to(weight.device)])
        heads.append(made[key])
    return heads


def _are_plain(model: Any, names: tuple[str, ...], kinds: tuple[type, ...]) -> bool:
    """Whether no projection or embedding was replaced (by an adapter, a quantised one, ...)."""
    return all(type(module) in kinds for name, module in model.named_modules() if name.endswith(names))


def normalise(hidden: Tensor, weights: Weights) -> Tensor:
    """The model's norm without its weight and bias, which are folded into the projection that follows."""
    if weights.centred:
        return F.layer_norm(hidden, hidden.shape[-1:], None, None, weights.shape.eps)
    return root_mean_square_norm(hidden, weights.shape.eps)


def root_mean_square_norm(hidden: Tensor, eps: float) -> Tensor:
    """RMSNorm without a weight, computed in float32."""
    wide = hidden.float()
    norm = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
    return (wide * norm.square_().mul_(1 / wide.shape[-1]).add_(eps).rsqrt_()).to(hidden.dtype)


# By the config's model_type and the name of the class.
_READERS: dict[tuple[str | None, str], Callable[[Any, Sequence[Tensor] | None], Weights | None]] = {
    ("llama", "LlamaForCausalLM"): _read_llama,
    ("qwen2", "Qwen2ForCausalLM"): _read_llama,
    ("qwen3", "Qwen3ForCausalLM"): _read_llama,
    ("gpt2", "GPT2LMHeadModel"): _read_gpt2,
}
