"""The path of GPU kernels, run on the CPU: with a plain kernel of the same signature, and with shapes alone."""

import logging
import sys
from pathlib import Path

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from torch.utils._python_dispatch import TorchDispatchMode

from lpo_tts.lm import attention, attention_choice
from lpo_tts.lm.attention import packed_attention
from lpo_tts.lm.attention_choice import first_proven, proof_layout, prove
from lpo_tts.lm.attention_kernels import Dense, FlashOnCPU, Flex, VarlenFlash, block_mask
from lpo_tts.lm.layout import Layout

sys.path.insert(0, str(Path(__file__).parents[1]))
from layouts import LAYOUTS, check_against_dense, dense, real, tensors

CPU, CUDA, META = torch.device("cpu"), torch.device("cuda", 0), torch.device("meta")
OVERLAPPING = Layout(24, ((0, 5), (5, 3), (8, 6), (14, 6)), ((8, 6, 0, 4), (8, 6, 5, 2), (14, 6, 0, 4)))
APART = Layout(20, ((12, 6), (2, 4), (7, 3)), ((7, 3, 12, 2),))  # segments in any order, with gaps
CASES = {**LAYOUTS, "overlapping": OVERLAPPING, "apart": APART, "proof": proof_layout()}


class PlainVarlen(VarlenFlash):
    """Variable-length attention written out, in the shapes of torch's kernel; the rest is that of the GPU."""

    name = "plain"
    calls = 0

    def takes(self, device, dtype, width):
        return True

    def _scores(self, query, key, part, scale):
        rows, columns = (
            torch.repeat_interleave(torch.arange(len(borders) - 1), borders.diff())
            for borders in (part.query_borders, part.key_borders)
        )
        seen = rows[:, None] == columns
        if part.causal:
            seen &= torch.arange(len(rows))[:, None] >= torch.arange(len(columns))
        scores = torch.einsum("qhw,khw->hqk", query.float(), key.float()) * scale
        return scores.masked_fill(~seen, -torch.inf)

    def compute(self, query, key, value, part, scale):
        PlainVarlen.calls += 1
        assert part.longest_query == part.query_borders.diff().max()
        assert part.longest_key == part.key_borders.diff().max()
        groups = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        scores = self._scores(query, key, part, scale)
        lse = scores.logsumexp(-1)
        out = torch.einsum("hqk,khw->qhw", (scores - lse[..., None]).exp(), value.float())
        return out.to(query.dtype), lse

    def differentiate(self, grad, query, key, value, out, lse, part, scale):
        PlainVarlen.calls += 1
        assert lse.is_contiguous()
        groups = query.shape[1] // key.shape[1]
        keys, values = key.repeat_interleave(groups, 1).float(), value.repeat_interleave(groups, 1).float()
        probs = (self._scores(query, keys, part, scale) - lse[..., None]).exp()
        pulled = torch.einsum("qhw,khw->hqk", grad.float(), values)
        inner = (grad.float() * out.float()).sum(-1).t()[..., None]
        scores = probs * (pulled - inner) * scale
        found = (
            torch.einsum("hqk,khw->qhw", scores, keys),
            torch.einsum("hqk,qhw->khw", scores, query.float()).unflatten(1, (-1, groups)).sum(2),
            torch.einsum("hqk,qhw->khw", probs, grad.float()).unflatten(1, (-1, groups)).sum(2),
        )
        return tuple(tensor.to(query.dtype) for tensor in found)


@pytest.fixture
def plain(monkeypatch):
    monkeypatch.setattr(attention, "kernel_for", lambda *where: PlainVarlen())
    PlainVarlen.calls = 0


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("heads", "shared"), [(4, 4), (4, 2), (4, 1)])
def test_the_path_of_a_gpu_equals_dense_attention(plain, name, heads, shared):
    check_against_dense(CASES[name], heads, shared)


def test_it_calls_the_kernel_once_for_segments_and_once_for_crossings(plain):
    layout = CASES["several groups"]
    packed_attention(*tensors(layout), layout, 0.5).sum().backward()
    assert PlainVarlen.calls == 4  # forward and backward


def test_it_takes_what_a_model_hands_over(plain):
    """Transposed tensors, and half precision under autocast."""
    layout, scale = CASES["several groups"], 8**-0.5
    ours, theirs = tensors(layout, 4, 2), tensors(layout, 4, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = packed_attention(*(tensor.transpose(1, 2).contiguous().transpose(1, 2) for tensor in ours), layout, scale)
    assert found.dtype == torch.bfloat16
    weight = real(layout)[:, None]
    expected = dense(*theirs, layout, scale)
    assert ((found.float() - expected) * weight).abs().max() < 0.03
    (found.float() * weight).sum().backward()
    (expected * weight).sum().backward()
    for one, other in zip(ours, theirs, strict=True):
        assert (one.grad - other.grad).abs().max() < 0.05 * other.grad.abs().max()


def test_what_a_layout_needs_is_made_once():
    layout, made = Layout(*[getattr(CASES["proof"], name) for name in ("length", "segments", "crossings")]), []
    for _ in range(3):
        layout.kept("parts", lambda: made.append(1))
    assert made == [1]
    assert [len(some) for some in layout.rounds] == [2]
    assert [len(some) for some in OVERLAPPING.rounds] == [1, 2]
    assert Layout(4, ((0, 4),)).rounds == ()


def test_places_without_gaps_are_slices():
    segments, crossings = VarlenFlash().parts(CASES["proof"], CPU)
    assert segments.queries == segments.keys == slice(0, 376)
    assert segments.query_borders.tolist() == [0, 150, 151, 221, 261, 292, 356, 376]
    assert segments.query_borders.dtype == torch.int32
    assert crossings.queries.tolist() == [*range(150, 221), *range(261, 356)]
    assert crossings.keys.tolist() == [*range(130), *range(221, 230)]
    assert (crossings.longest_query, crossings.longest_key) == (95, 130)


def empty(*shape):
    """Of a shape and a type, and no more; dispatch goes to the same signatures as on a GPU."""
    return torch.empty(shape, dtype=torch.bfloat16, device=META).requires_grad_()


@pytest.mark.parametrize("name", CASES)
def test_torchs_kernels_take_the_calls(name):
    """Their signatures, and the shapes they give back; nothing is computed."""
    layout, kernel = CASES[name], VarlenFlash()
    leaves = [empty(1, heads, layout.length, 64) for heads in (4, 2, 2)]
    for part in kernel.parts(layout, META):
        taken = [leaves[0][:, :, part.queries], *(tensor[:, :, part.keys] for tensor in leaves[1:])]
        with torch.no_grad():
            out, lse = kernel.forward(*taken, part, 0.1)
            found = kernel.backward(torch.empty_like(out), *taken, out, lse, part, 0.1)
        assert (out.shape, out.dtype) == (taken[0].shape, torch.bfloat16)
        assert (lse.shape, lse.dtype) == (out.shape[:-1], torch.float32)
        assert [one.shape for one in found] == [one.shape for one in taken]
    out = kernel.attend(*leaves, layout, 0.1)
    gradients = torch.autograd.grad(out, leaves, torch.empty_like(out))
    assert [(one.shape, one.dtype) for one in (out, *gradients)] == [(one.shape, one.dtype) for one in (leaves[0], *leaves)]


def test_the_kernel_of_sequences_is_never_told_of_one_query():
    """Told one, torch's kernel mixes up the log-sum-exps of grouped heads (its shortcut for decoding)."""
    layout, told = Layout(8, ((0, 3), (3, 1), (4, 3), (7, 1)), ((3, 1, 0, 2), (7, 1, 4, 2))), []

    class Listening(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, arguments=(), named=None):
            if "_flash_attention" in str(function):
                told.append(arguments[5 if "forward" in str(function) else 8])
            return function(*arguments, **(named or {}))

    with Listening():
        leaves = [empty(1, heads, 8, 64) for heads in (4, 2, 2)]
        out = VarlenFlash().attend(*leaves, layout, 0.1)
        torch.autograd.grad(out, leaves, torch.empty_like(out))
    assert told == [3, 2, 3, 2]


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_flex_attentions_mask_is_the_layouts(name):
    """Its plain version on the CPU, which has no backward; the proof on a GPU runs the compiled one with gradients."""
    from torch.nn.attention.flex_attention import flex_attention

    layout = CASES[name]
    query, key, value = (tensor.detach() for tensor in tensors(layout, 4, 2, 16))
    found = flex_attention(query, key, value, block_mask=block_mask(layout, CPU), scale=0.3, enable_gqa=True)
    assert torch.allclose(found, dense(query, key, value, layout, 0.3), atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kernel", [FlashOnCPU(), PlainVarlen(), Dense()], ids=lambda kernel: kernel.name)
def test_right_kernels_pass_their_proof(kernel, dtype):
    assert prove(kernel, CPU, dtype, 64) is None


class Wrong(PlainVarlen):
    name = "wrong"

    def differentiate(self, grad, query, key, value, out, lse, part, scale):
        one, two, three = super().differentiate(grad, query, key, value, out, lse, part, scale)
        return one, two * (1 if part.causal else 1.2), three


class Blind(Dense):
    name = "blind"

    def attend(self, query, key, value, layout, scale):
        return scaled_dot_product_attention(query, key, value, is_causal=True, scale=scale)


class Raising(Dense):
    name = "raising"

    def attend(self, query, key, value, layout, scale):
        raise NotImplementedError("no kernel\nfor this card")


class Unfit(Raising):
    def takes(self, device, dtype, width):
        return False


def test_a_kernel_that_raises_or_differs_is_named_and_the_next_one_taken(caplog):
    right = PlainVarlen()
    with caplog.at_level(logging.WARNING):
        assert first_proven((Unfit(), Raising(), Wrong(), Blind(), right), CPU, torch.bfloat16, 16) is right
        assert isinstance(first_proven((Raising(),), CPU, torch.float32, 16), Dense)
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == (
        "raising is not used for packed attention in torch.bfloat16, heads of 16, on cpu: "
        "NotImplementedError: no kernel for this card"
    )
    assert "wrong is not used" in lines[1]
    assert "its gradient of key is off by" in lines[1]
    assert "its output is off by" in lines[2]
    assert len(lines) == 4


def test_a_proof_leaves_no_trace_on_what_runs_about_it():
    """Random numbers, inference mode, autocast, and the hooks that computing activations again counts tensors with."""
    before, packed = torch.get_rng_state(), []
    with (
        torch.inference_mode(),
        torch.autocast("cpu", dtype=torch.bfloat16),
        torch.autograd.graph.saved_tensors_hooks(lambda tensor: packed.append(tensor), lambda _: None),
    ):
        right = PlainVarlen()
        assert first_proven((right,), CPU, torch.float32, 16) is right
    assert not packed
    assert torch.equal(torch.get_rng_state(), before)


def test_the_choice_by_device(monkeypatch):
    assert isinstance(attention_choice.kernel_for(CPU, torch.float32, 64), FlashOnCPU)
    assert isinstance(attention_choice.kernel_for(torch.device("mps"), torch.float32, 64), Dense)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    kernel = VarlenFlash()
    assert kernel.takes(CUDA, torch.bfloat16, 64)
    for dtype, width in ((torch.float32, 64), (torch.bfloat16, 60), (torch.float16, 264)):
        assert not kernel.takes(CUDA, dtype, width)
    assert not kernel.takes(CPU, torch.bfloat16, 64)
    assert not Flex().takes(CPU, torch.bfloat16, 64)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert not kernel.takes(CUDA, torch.bfloat16, 64)
