"""Layouts of packed rows, tensors to attend, and what dense attention makes of them."""

import torch
from torch.nn.functional import scaled_dot_product_attention

from lpo_tts.lm.attention import packed_attention
from lpo_tts.lm.layout import Layout
from lpo_tts.training.batch import collate
from lpo_tts.training.examples import ListExample

GENERATOR = torch.Generator().manual_seed(5)


def ids(count):
    return torch.randint(0, 40, (count,), generator=GENERATOR)


def layout_of(*groups):
    """The layout of prompts with answers: (prompt tokens, answer tokens, ...) each."""
    return collate([ListExample(str(i), ids(prompt), tuple(map(ids, answers))) for i, (prompt, *answers) in enumerate(groups)])[
        "layout"
    ]


LAYOUTS = {
    "one answer": layout_of((7, 9)),
    "two answers": layout_of((20, 30, 1)),
    "many answers": layout_of((11, 3, 17, 9, 2, 25, 4)),
    "several groups": layout_of((11, 3, 17, 9), (1, 5), (30, 8, 8), (1, 1, 2, 3)),
    "no padding": Layout(12, ((0, 7), (7, 5)), ((7, 5, 0, 3),)),
}


def tensors(layout, heads=4, shared=4, width=8):
    generator = torch.Generator().manual_seed(1)
    shapes = [(1, heads, layout.length, width), *[(1, shared, layout.length, width)] * 2]
    return [torch.randn(shape, generator=generator, requires_grad=True) for shape in shapes]


def real(layout):
    """(length,) float: 1 at tokens, 0 at padding."""
    found = torch.zeros(layout.length)
    for start, length in layout.segments:
        found[start : start + length] = 1
    return found


def check_against_dense(layout, heads, shared):
    """Values and gradients of packed attention are those of dense attention, and padding is zeros."""
    scale = 0.7
    ours, theirs = tensors(layout, heads, shared), tensors(layout, heads, shared)
    cotangent = torch.randn(1, heads, layout.length, 8, generator=torch.Generator().manual_seed(2))
    cotangent = cotangent * real(layout)[:, None]
    found, expected = packed_attention(*ours, layout, scale), dense(*theirs, layout, scale)
    inside = real(layout).bool()
    assert torch.allclose(found[:, :, inside], expected[:, :, inside], atol=1e-5)
    assert not found[:, :, ~inside].any()
    found.backward(cotangent)
    expected.backward(cotangent)
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one.grad, other.grad, atol=1e-5)


def dense(query, key, value, layout, scale):
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    return scaled_dot_product_attention(query, key, value, layout.mask, scale=scale)
