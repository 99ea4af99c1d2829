"""Log-probs without logits: values and gradients of log-softmax, and that the logits are never there."""

import copy

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import LlamaConfig, LlamaForCausalLM

from lpo_tts.lm import head as module
from lpo_tts.lm.head import token_logps, vocabulary_statistics
from lpo_tts.lm.logps import Wanted, answer_logps, frozen_rows
from lpo_tts.training.batch import collate
from lpo_tts.training.examples import PairExample

ROWS, WIDTH, VOCABULARY = 24, 12, 50


def made(seed=0, bias=True, dtype=torch.float32):
    g = torch.Generator().manual_seed(seed)
    hidden = torch.randn(ROWS, WIDTH, generator=g).to(dtype).requires_grad_()
    weight = torch.randn(VOCABULARY, WIDTH, generator=g).to(dtype).requires_grad_()
    offset = torch.randn(VOCABULARY, generator=g).to(dtype).requires_grad_() if bias else None
    targets = torch.randint(0, VOCABULARY, (ROWS,), generator=g)
    targets[:4] = targets[0]  # one token several times
    return hidden, weight, offset, targets, torch.randn(ROWS, generator=g)


def expected(hidden, weight, bias, targets, factor):
    """Values and gradients by float64 log-softmax."""
    leaves = [None if one is None else one.detach().double().requires_grad_() for one in (hidden, weight, bias)]
    values = torch.nn.functional.linear(*leaves).log_softmax(-1).gather(1, targets[:, None]).squeeze(1)
    (values * factor.double()).sum().backward()
    return values.detach(), [None if one is None else one.grad for one in leaves]


@pytest.mark.parametrize("tile", [1, 7, 25, 50, 64])  # 7 and 64 do not divide the vocabulary
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_and_gradients_are_those_of_log_softmax(tile, bias, dtype):
    hidden, weight, offset, targets, factor = made(bias=bias, dtype=dtype)
    values = token_logps(hidden, weight, offset, targets, tile)
    assert values.dtype == torch.float32
    exact, grads = expected(hidden, weight, offset, targets, factor)
    assert torch.allclose(values.double(), exact, atol=1e-5)
    (values * factor).sum().backward()
    for leaf, grad in zip((hidden, weight, offset), grads, strict=True):
        if leaf is not None:
            assert leaf.grad.dtype == dtype
            assert torch.allclose(leaf.grad.double(), grad, atol=1e-5)


@pytest.mark.parametrize("height", [87.0, 200.0, 3000.0, -3000.0])
def test_logits_far_above_those_of_the_first_tile(height):
    hidden, weight, _, targets, factor = made(bias=False)
    offset = torch.zeros(VOCABULARY)
    offset[33] = height  # in the fifth tile of 8
    targets[5] = 33
    offset.requires_grad_()
    values = token_logps(hidden, weight, offset, targets, 8)
    exact, grads = expected(hidden, weight, offset, targets, factor)
    assert bool(values.isfinite().all())
    assert torch.allclose(values.double(), exact, rtol=1e-6, atol=1e-5)
    (values * factor).sum().backward()
    for leaf, grad in zip((hidden, weight, offset), grads, strict=True):
        assert torch.allclose(leaf.grad.double(), grad, atol=1e-4)


def test_only_wanted_gradients_are_made():
    hidden, weight, offset, targets, factor = made()
    _, grads = expected(hidden, weight, offset, targets, factor)
    (token_logps(hidden, weight.detach(), offset.detach(), targets, 7) * factor).sum().backward()
    assert weight.grad is offset.grad is None
    assert torch.allclose(hidden.grad.double(), grads[0], atol=1e-5)
    (token_logps(hidden.detach(), weight, offset.detach(), targets, 7) * factor).sum().backward()
    assert offset.grad is None
    assert torch.allclose(weight.grad.double(), grads[1], atol=1e-5)
    assert not token_logps(hidden.detach(), weight.detach(), None, targets).requires_grad


def test_bf16_autocast_multiplies_in_bf16_and_sums_in_float32():
    hidden, weight, offset, targets, factor = made()
    exact, grads = expected(hidden, weight, offset, targets, factor)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        values = token_logps(hidden, weight, offset, targets, 7)
    assert values.dtype == torch.float32
    apart = (values.double() - exact).abs().max()
    assert 1e-6 < apart < 0.05
    (values * factor).sum().backward()
    for leaf, grad in zip((hidden, weight, offset), grads, strict=True):
        assert leaf.grad.dtype == torch.float32
        assert (leaf.grad.double() - grad).abs().max() < 0.03 * grad.abs().max()


class Largest(TorchDispatchMode):
    """The most elements any tensor has that an operation makes."""

    def __init__(self):
        super().__init__()
        self.found = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for one in out if isinstance(out, (tuple, list)) else [out]:
            if isinstance(one, torch.Tensor):
                self.found = max(self.found, one.numel())
        return out


def test_logits_are_never_there():
    rows, width, vocabulary, tile = 256, 8, 1000, 100
    hidden, weight = torch.randn(rows, width, requires_grad=True), torch.randn(vocabulary, width, requires_grad=True)
    targets = torch.randint(0, vocabulary, (rows,))
    with Largest() as plain:
        torch.nn.functional.linear(hidden, weight).log_softmax(-1).gather(1, targets[:, None]).sum().backward()
    assert plain.found >= rows * vocabulary  # the probe sees them where they are
    with Largest() as ours:
        token_logps(hidden, weight, None, targets, tile).sum().backward()
    assert ours.found == rows * tile


def test_logits_are_never_there_in_a_whole_model(monkeypatch):
    monkeypatch.setattr(module, "TILE", 64)
    monkeypatch.setattr(module.token_logps, "__defaults__", (64,))
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=1200, **sizes))
    batch = collate([PairExample("a", [1, 2], list(range(60)), list(range(100, 164)))], pack=False)
    places = len(batch["positions"])
    for head, there in (("fused", False), ("answers", True), ("full", True)):
        with Largest() as probe:
            answer_logps(model, batch, Wanted(head=head)).total.sum().backward()
        assert (probe.found >= places * 1200) == there, head


def kl(logits, reference_logits, targets):
    """A statistic of both models' distributions, one of the policy alone, and the target's own log-prob."""
    ours, theirs = logits.log_softmax(-1), reference_logits.log_softmax(-1)
    return {
        "kl": (theirs.exp() * (theirs - ours)).sum(-1),
        "entropy": -(ours.exp() * ours).sum(-1),
        "own": ours.gather(1, targets[:, None]).squeeze(1),
    }


def test_statistics_over_the_vocabulary_in_chunks(monkeypatch):
    monkeypatch.setattr(module, "ROWS", 7)
    g = torch.Generator().manual_seed(4)
    head, other = torch.nn.Linear(WIDTH, VOCABULARY), torch.nn.Linear(WIDTH, VOCABULARY, bias=False)
    hidden, frozen, targets = (
        torch.randn(ROWS, WIDTH, generator=g, requires_grad=True),
        torch.randn(ROWS, WIDTH, generator=g),
        torch.randint(0, VOCABULARY, (ROWS,), generator=g),
    )
    factors = torch.randn(3, ROWS, generator=g)
    copied, again = copy.deepcopy(head), hidden.detach().clone().requires_grad_()
    found = vocabulary_statistics(kl, hidden, head, (frozen, other.weight, None), targets)
    direct = kl(copied(again), other(frozen).detach(), targets)
    assert found.keys() == direct.keys()
    for name, values in direct.items():
        assert found[name].shape == (ROWS,)
        assert torch.allclose(found[name], values, atol=1e-5), name
    for statistics in (found, direct):
        sum((values * factor).sum() for values, factor in zip(statistics.values(), factors, strict=True)).backward()
    for one, two in ((hidden, again), (head.weight, copied.weight), (head.bias, copied.bias)):
        assert torch.allclose(one.grad, two.grad, atol=1e-5)
    assert other.weight.grad is None


def test_statistics_hold_one_chunk_of_logits_at_a_time(monkeypatch):
    monkeypatch.setattr(module, "ROWS", 16)
    rows, vocabulary = 128, 500
    head, hidden = torch.nn.Linear(8, vocabulary), torch.randn(rows, 8, requires_grad=True)
    with Largest() as probe:
        found = vocabulary_statistics(kl, hidden, head, (hidden.detach(), head.weight, None), torch.zeros(rows).long())
        found["kl"].sum().backward()
    assert probe.found == 16 * vocabulary


def test_statistics_of_a_model_reach_the_answers_and_its_weights():
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model, other = (LlamaForCausalLM(LlamaConfig(vocab_size=30, initializer_range=0.5, **sizes)) for _ in range(2))
    batch = collate([PairExample("a", [1, 2], [3, 4, 5], [6]), PairExample("b", [7], [8], [9, 9])], pack=False)
    _, rows = frozen_rows(other, batch)
    logps = answer_logps(model, batch, Wanted(statistics=kl, reference=rows, tokens=True))
    assert torch.allclose(logps.vocabulary["own"], logps.tokens, atol=1e-5)
    ours = model(torch.tensor([[1, 2, 3, 4, 5]])).logits[0, 1:4].log_softmax(-1)
    theirs = other(torch.tensor([[1, 2, 3, 4, 5]])).logits[0, 1:4].log_softmax(-1)
    exact = (theirs.exp() * (theirs - ours)).sum(-1)
    assert torch.allclose(logps.vocabulary["kl"][0], exact, atol=1e-5)
    assert not logps.vocabulary["kl"][1, 1:].any()
    logps.vocabulary["kl"][0].sum().backward()
    assert all(weight.grad is None for weight in other.parameters())
    grads = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    model.zero_grad()
    exact.sum().backward()
    for name, weight in model.named_parameters():
        assert torch.allclose(grads[name], weight.grad, atol=1e-5), name


def test_accumulating_in_place_gives_the_same_sum_without_a_second_gradient():
    torch.manual_seed(0)
    hidden, weight, targets = torch.randn(9, 8), torch.randn(50, 8), torch.randint(0, 50, (9,))
    sums = []
    for accumulate in (False, True):
        one = weight.clone().requires_grad_()
        for part in (slice(0, 4), slice(4, 9)):
            token_logps(hidden[part], one, None, targets[part], 16, accumulate=accumulate).sum().backward()
        sums.append(one.grad)
    assert torch.allclose(sums[0], sums[1], atol=1e-6)
    # a gradient asked for apart is given, and what stands in .grad is left alone
    before = one.grad.clone()
    (apart,) = torch.autograd.grad(token_logps(hidden, one, None, targets, 16).sum(), one)
    assert torch.equal(one.grad, before)
    assert torch.allclose(apart, before, atol=1e-5)
