"""A linear layer made ready for inference: what follows its product is fused, and its weights are laid out for the CPU."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Activation = Literal["silu", "gelu", "gelu_tanh", "relu"]
# What oneDNN calls an activation, and the variant of it.
_FUSED: dict[Activation, tuple[str, str]] = {
    "silu": ("swish", ""),
    "gelu": ("gelu", "none"),
    "gelu_tanh": ("gelu", "tanh"),
    "relu": ("relu", ""),
}


class Linear:
    """`x @ weight.T + bias` and what is done with it, for x of (rows, inputs).

    The weights are copied, or referred to where no other layout is known to be faster, so it does not follow a module in
    training.

    Args:
        weight: (outputs, inputs).
        bias: (outputs,), None = none.
        packed: whether to lay the weights out as oneDNN likes them; None = where that is possible.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None, packed: bool | None = None) -> None:
        weight = weight.detach().contiguous()
        self.packed = can_pack(weight) if packed is None else packed
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight, None) if self.packed else weight
        self.bias = None if bias is None else bias.detach().contiguous()

    def __call__(self, x: Tensor, activation: Activation | None = None) -> Tensor:
        """The product, and an activation of it: (rows, outputs)."""
        if self.packed:
            name, variant = ("none", "") if activation is None else _FUSED[activation]
            return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, name, [], variant)
        product = F.linear(x, self.weight, self.bias)
        return product if activation is None else _activate(product, activation)

    def plus(self, x: Tensor, other: Tensor) -> Tensor:
        """The product plus `other`, (rows, outputs)."""
        if self.packed:
            return torch.ops.mkldnn._linear_pointwise.binary(x, other, self.weight, self.bias, "add")
        total = torch.addmm(other, x, self.weight.t())
        return total if self.bias is None else total.add_(self.bias)

    def times(self, x: Tensor, other: Tensor) -> Tensor:
        """The product times `other`, (rows, outputs), entry by entry."""
        if self.packed:
            return torch.ops.mkldnn._linear_pointwise.binary(x, other, self.weight, self.bias, "mul")
        return F.linear(x, self.weight, self.bias).mul_(other)


def can_pack(weight: Tensor) -> bool:
    """Whether this build of torch and this processor have oneDNN's layout for such a weight."""
    if weight.device.type != "cpu" or not (torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled):
        return False
    if not hasattr(torch.ops.mkldnn, "_reorder_linear_weight"):
        return False
    return weight.dtype == torch.float32 or (weight.dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _activate(product: Tensor, activation: Activation) -> Tensor:
    if activation == "silu":
        return F.silu(product, inplace=True)
    if activation == "relu":
        return F.relu(product, inplace=True)
    return F.gelu(product, approximate="tanh" if activation == "gelu_tanh" else "none")
