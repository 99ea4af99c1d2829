"""Token-level DPO: the KL over the vocabulary, and what each form does with it."""

import pytest
import torch

from lpo_tts.errors import ConfigError, ContractError
from lpo_tts.logprobs import Logps, PairLogps
from lpo_tts.losses.tdpo import TDPO1, TDPO2

# lc, lr, Rc, Rr, Nc, Nr
CASES = {"A": (-40, -45, -41, -43, 10, 12), "B": (-300.5, -310, -298, -305, 100, 110), "C": (-80, -130, -90, -100, 20, 25)}
VECTORS = [
    (TDPO1(), "A", 0.57593942, 0.04378235),
    (TDPO1(), "B", 0.59813887, 0.0450166),
    (TDPO1(), "C", 0.019071676, 0.001889096),
    (TDPO2(), "A", 0.56507067, 0.043168),
    (TDPO2(), "B", 0.586962, 0.04439861),
    (TDPO2(), "C", 0.018605147, 0.001843314),
]


def pairs(chosen, rejected, counts=(1, 1), kl=(0.0, 0.0), dtype=torch.float64):
    """One pair whose KL stands in two tokens."""

    def answer(total, count, divergence):
        vocabulary = {"kl": torch.tensor([[0.25 * divergence, 0.75 * divergence]], dtype=dtype, requires_grad=True)}
        return Logps(torch.tensor([float(total)], dtype=dtype, requires_grad=True), torch.tensor([count]), vocabulary=vocabulary)

    return PairLogps(answer(chosen, counts[0], kl[0]), answer(rejected, counts[1], kl[1]))


def evaluate(loss, case, kl, dtype=torch.float64):
    lc, lr, rc, rr, *counts = case
    policy = pairs(lc, lr, counts, kl, dtype)
    output = loss(policy, pairs(rc, rr, counts, dtype=dtype))
    inputs = [t for a in (policy.chosen, policy.rejected) for t in (a.total, a.vocabulary["kl"])]
    return output, torch.autograd.grad(output.losses.sum(), inputs, allow_unused=True)


@pytest.mark.parametrize(("loss", "case", "value", "gradient"), VECTORS)
def test_value_and_gradients(loss, case, value, gradient):
    output, (chosen, _, rejected, _) = evaluate(loss, CASES[case], (0.4, 0.9))
    assert output.losses.item() == pytest.approx(value, abs=1e-6)
    assert (chosen.item(), rejected.item()) == pytest.approx((-gradient, gradient), rel=2e-6, abs=1e-7)
    lc, lr, rc, rr, *_ = CASES[case]
    assert (output.chosen_rewards.item(), output.rejected_rewards.item()) == pytest.approx((0.1 * (lc - rc), 0.1 * (lr - rr)))


def test_gradient_of_the_kl():
    _, (chosen, chosen_kl, _, rejected_kl) = evaluate(TDPO1(), CASES["A"], (0.4, 0.9))
    assert chosen_kl[0].tolist() == pytest.approx([chosen.item()] * 2)  # D of the chosen acts as its log-prob
    assert rejected_kl[0].tolist() == pytest.approx([-chosen.item()] * 2)
    _, (chosen, chosen_kl, _, rejected_kl) = evaluate(TDPO2(alpha=0.3), CASES["A"], (0.4, 0.9))
    assert chosen_kl is None  # sg(Dc)
    assert rejected_kl[0].tolist() == pytest.approx([-0.3 * chosen.item()] * 2)


def test_kl_over_the_vocabulary():
    logits = torch.tensor([[2.0, 0, -1], [0, 1, 1]], dtype=torch.float64, requires_grad=True)
    reference = torch.tensor([[1.0, 0, 0], [0, 0.5, 1]], dtype=torch.float64, requires_grad=True)
    kl = TDPO2().over_vocabulary(logits, reference, torch.tensor([0, 2]))["kl"]
    assert kl.shape == (2,)
    assert kl.sum().item() == pytest.approx(0.28235317, abs=1e-8)
    mine, theirs = torch.autograd.grad(kl.sum(), (logits, reference), allow_unused=True)
    # d KL(q || p) / d logits of p is p - q
    assert mine.flatten().tolist() == pytest.approx((logits.softmax(-1) - reference.softmax(-1)).flatten().tolist())
    assert theirs is None
    assert TDPO1().over_vocabulary(reference, reference, torch.tensor([0, 0]))["kl"].tolist() == [0, 0]


def test_entries_that_both_models_exclude_do_no_harm():
    logits = torch.tensor([[2.0, 0, -torch.inf]], requires_grad=True)
    kl = TDPO1().over_vocabulary(logits, torch.tensor([[1.0, 1, -torch.inf]]), torch.tensor([0]))["kl"]
    (gradient,) = torch.autograd.grad(kl.sum(), logits)
    assert kl.item() == pytest.approx(TDPO1().over_vocabulary(logits[:, :2], torch.ones(1, 2), torch.tensor([0]))["kl"].item())
    assert bool(torch.isfinite(gradient).all())


@pytest.mark.parametrize("loss", [TDPO1(), TDPO2()], ids=repr)
def test_equal_logps_and_extremes(loss):
    output, gradients = evaluate(loss, (-40, -40, -40, -40, 10, 10), (0, 0))
    assert output.losses.item() == pytest.approx(0.69314718, abs=1e-8)
    assert gradients[0] < 0 < gradients[2]
    for sign in (1, -1):
        output, gradients = evaluate(loss, (sign * 1e4, -sign * 1e4, 0, 0, 10, 10), (1e4, 1.0), torch.float32)
        assert all(bool(torch.isfinite(v).all()) for v in (output.losses, *gradients) if v is not None)


@pytest.mark.parametrize("loss", [TDPO1(), TDPO2()], ids=repr)
def test_rows_do_not_see_each_other(loss):
    generator = torch.Generator().manual_seed(0)
    counts = torch.tensor([3, 2])
    policy, reference = (
        PairLogps(
            *(Logps(9 * r[:, 0], counts, vocabulary={"kl": r[:, 1:].abs()}) for r in torch.randn(2, 2, 4, generator=generator))
        )
        for _ in range(2)
    )
    together = loss(policy, reference).losses
    for row in range(2):
        one = [
            PairLogps(pair.chosen.rows(slice(row, row + 1)), pair.rejected.rows(slice(row, row + 1)))
            for pair in (policy, reference)
        ]
        assert loss(*one).losses.item() == pytest.approx(together[row].item())


def test_what_is_missing_is_refused():
    bare = PairLogps(Logps(torch.zeros(1), torch.tensor([1])), Logps(torch.zeros(1), torch.tensor([1])))
    with pytest.raises(ContractError, match="needs 'kl' of every answer token, found nothing"):
        TDPO1()(bare, bare)
    with pytest.raises(ContractError, match="TDPO2 measures a KL over the vocabulary"):
        TDPO2().over_vocabulary(torch.zeros(1, 3), None, torch.tensor([0]))


def test_values_out_of_range_are_refused():
    with pytest.raises(ConfigError, match=r"TDPO1.beta must be above 0, found 0"):
        TDPO1(beta=0)
    with pytest.raises(ConfigError, match=r"TDPO2.alpha must be at least 0, found -1"):
        TDPO2(alpha=-1)
    assert (TDPO1().needs_reference, TDPO2.needs_logits, TDPO1().reduction) == ("logits", "both", "sum")
