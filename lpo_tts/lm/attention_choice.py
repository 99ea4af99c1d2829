"""Which kernel computes packed attention on a device: the fastest one that proves itself there.

A proof computes a small layout, forward and backward, and compares it with dense attention in float32 on the CPU. It is
made once per device, type and head width. A kernel that raises or differs is named in a warning, and the next one is tried.
"""

import functools
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from lpo_tts.lm.attention_kernels import Dense, FlashOnCPU, Flex, Kernel, VarlenFlash
from lpo_tts.lm.layout import Layout

logger = logging.getLogger(__name__)

ON_CPU, DENSE = FlashOnCPU(), Dense()
CANDIDATES: tuple[Kernel, ...] = (VarlenFlash(), Flex())  # the fastest first
HEADS, SHARED = 4, 2  # of the proof: queries', and keys'

# What may differ from float32, as a share of the largest entry: a few roundings of the type.
TOLERANCES = {torch.float32: 1e-4, torch.float16: 0.006, torch.bfloat16: 0.04}

# What a missing, changed or refusing kernel raises; triton's and the compiler's errors are RuntimeErrors.
FAILURES = (RuntimeError, TypeError, ValueError, AttributeError, ImportError, AssertionError)


def kernel_for(device: torch.device, dtype: torch.dtype, width: int) -> Kernel:
    """The kernel for tensors on a device.

    Args:
        device: where the tensors are.
        dtype: their type.
        width: of a head.
    """
    if device.type == "cpu":
        return ON_CPU
    if device.type != "cuda":
        return DENSE
    return _proven(device, dtype, width)


@functools.cache
def _proven(device: torch.device, dtype: torch.dtype, width: int) -> Kernel:
    return first_proven(CANDIDATES, device, dtype, width)


def first_proven(candidates: Sequence[Kernel], device: torch.device, dtype: torch.dtype, width: int) -> Kernel:
    """The first candidate that passes its proof; attention with a dense mask where none does."""
    for kernel in candidates:
        if not kernel.takes(device, dtype, width):
            continue
        # In a thread of its own: autocast, inference mode and the hooks of recomputed activations are a thread's.
        with ThreadPoolExecutor(1) as pool:
            why_not = pool.submit(prove, kernel, device, dtype, width).result()
        if why_not is None:
            logger.info("packed attention in %s on %s: %s", dtype, device, kernel.name)
            return kernel
        logger.warning(
            "%s is not used for packed attention in %s, heads of %d, on %s: %s", kernel.name, dtype, width, device, why_not
        )
    return DENSE


def prove(kernel: Kernel, device: torch.device, dtype: torch.dtype, width: int) -> str | None:
    """Why a kernel's output or gradients are wrong on a device; None where they are right."""
    layout = proof_layout()
    generator = torch.Generator().manual_seed(0)
    shapes = [(1, heads, layout.length, width) for heads in (HEADS, SHARED, SHARED, HEADS)]
    *inputs, cotangent = [torch.randn(shape, generator=generator).to(dtype) for shape in shapes]
    padding = layout.length - sum(length for _, length in layout.segments)
    cotangent[:, :, layout.length - padding :] = 0  # what padding computes does not matter
    expected = _differentiated(DENSE, [tensor.float() for tensor in inputs], cotangent.float(), layout)
    try:
        found = _differentiated(kernel, [tensor.to(device) for tensor in inputs], cotangent.to(device), layout)
    except FAILURES as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    for name, one, other in zip(
        ("output", "gradient of query", "gradient of key", "gradient of value"), found, expected, strict=True
    ):
        off = (one - other)[:, :, : layout.length - padding].abs().max().item() / other.abs().max().item()
        if not off <= TOLERANCES.get(dtype, 1e-4):  # so that nan is a difference
            return f"its {name} is off by {off:.1g} of the largest entry"
    return None


def _differentiated(kernel: Kernel, inputs: Sequence[Tensor], cotangent: Tensor, layout: Layout) -> list[Tensor]:
    leaves = [tensor.requires_grad_() for tensor in inputs]
    query, *others = leaves
    if not kernel.grouped:
        others = [tensor.repeat_interleave(HEADS // SHARED, 1) for tensor in others]
    out = kernel.attend(query, *others, layout, query.shape[-1] ** -0.5)
    gradients = torch.autograd.grad(out, leaves, cotangent)
    return [tensor.detach().float().cpu() for tensor in (out, *gradients)]


def proof_layout() -> Layout:
    """Two shared prompts, an answer of one token, a sequence that shares nothing, lengths about the kernels' blocks, padding."""
    segments = ((0, 150), (150, 1), (151, 70), (221, 40), (261, 31), (292, 64), (356, 20))
    return Layout(384, segments, ((150, 71, 0, 130), (261, 95, 221, 9)))
