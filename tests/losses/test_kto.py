"""KTO on unpaired answers and on pairs."""

import pytest
import torch

from lpo_tts.errors import ConfigError, ContractError
from lpo_tts.logprobs import Logps, PairLogps
from lpo_tts.losses.base import Context
from lpo_tts.losses.kto import KTO, KTOPair

# lc, lr, Rc, Rr, Nc, Nr
A, B, C = (-40, -45, -41, -43, 10, 12), (-300.5, -310, -298, -305, 100, 110), (-80, -130, -90, -100, 20, 25)


def answers(values, counts=None, dtype=torch.float64):
    total = torch.tensor([float(v) for v in values], dtype=dtype)
    return Logps(total, torch.tensor(counts) if counts else torch.ones(len(values), dtype=torch.int64))


def mismatched(ratios, dtype=torch.float64):
    return answers(ratios, dtype=dtype), answers([0] * len(ratios), dtype=dtype)


def evaluate(loss, chosen, rejected, context, dtype=torch.float64):
    """The output at these log-ratios, and the gradients of the summed losses with respect to them."""
    x1, x2 = (torch.tensor([float(v) for v in x], dtype=dtype, requires_grad=True) for x in (chosen, rejected))
    policy = PairLogps(Logps(x1, torch.ones(len(x1), dtype=torch.int64)), Logps(x2, torch.ones(len(x2), dtype=torch.int64)))
    reference = PairLogps(answers([0] * len(x1), dtype=dtype), answers([0] * len(x2), dtype=dtype))
    output = loss(policy, reference, context)
    return output, torch.autograd.grad(output.losses.sum(), (x1, x2), allow_unused=True)


@pytest.mark.parametrize(
    ("case", "desirable", "undesirable"),
    [
        (A, (0.48250714, -0.0249694), (0.44275215, 0.02467227)),
        (B, (0.56954622, -0.02451633), (0.37051689, 0.02332341)),
        (C, (0.2748805, -0.01993212), (0.046088827, 0.004396465)),
    ],
)
def test_value_and_gradients(case, desirable, undesirable):
    lc, lr, rc, rr, nc, nr = case
    policy = PairLogps(answers([lc], [nc]), answers([lr], [nr]))
    policy.chosen.total.requires_grad_()
    policy.rejected.total.requires_grad_()
    output = KTO()(policy, PairLogps(answers([rc], [nc]), answers([rr], [nr])), Context(mismatched=mismatched([0.3])))
    chosen, rejected = torch.autograd.grad(output.losses.sum(), (policy.chosen.total, policy.rejected.total))
    assert output.losses.tolist() == pytest.approx([desirable[0], undesirable[0]], abs=1e-6)
    assert (chosen.item(), rejected.item()) == pytest.approx((desirable[1], undesirable[1]), abs=1e-6, rel=2e-6)
    assert output.chosen_rewards.item() == pytest.approx(0.1 * (lc - rc))
    assert output.rejected_rewards.item() == pytest.approx(0.1 * (lr - rr))


def test_unpaired_batch():
    context = Context(mismatched=mismatched([0.6, -0.2, 0.5, 0.3]))  # z0 = 0.3
    output, _ = evaluate(KTO(), [1, -2.5], [-30, -2], context)
    assert output.losses.tolist() == pytest.approx([0.48250714, 0.56954622, 0.04608883, 0.44275215], abs=1e-7)
    assert output.losses.mean().item() == pytest.approx(0.38522358, abs=1e-7)
    output, _ = evaluate(KTO(desirable_weight=1.33), [1, -2.5], [-30, -2], context)
    assert output.losses.mean().item() == pytest.approx(0.47201799, abs=1e-7)


def test_weights_scale_their_own_side():
    context = Context(mismatched=mismatched([0.2]))
    plain, _ = evaluate(KTO(), [1], [2], context)
    heavy, _ = evaluate(KTO(desirable_weight=2, undesirable_weight=3), [1], [2], context)
    assert (heavy.losses / plain.losses).tolist() == pytest.approx([2, 3])


def test_z0_is_clamped_at_zero_and_without_gradient():
    ours, theirs = mismatched([-3, 1])
    ours.total.requires_grad_()
    output, _ = evaluate(KTO(), [1], [], Context(mismatched=(ours, theirs)))
    assert output.losses.item() == pytest.approx(torch.sigmoid(torch.tensor(-0.1)).item())
    assert not torch.autograd.grad(output.losses.sum(), ours.total, allow_unused=True)[0]


def test_z0_is_the_mean_over_all_processes():
    def gather(rows):
        return torch.cat([rows, rows.new_tensor([0.5, 0.3])])

    here, _ = evaluate(KTO(), [1, -2.5], [-30, -2], Context(mismatched=mismatched([0.6, -0.2]), gather=gather))
    assert here.losses.mean().item() == pytest.approx(0.38522358, abs=1e-7)


@pytest.mark.parametrize(("desirable", "undesirable"), [([1.0, 2.0], []), ([], [1.0, 2.0, 3.0])])
def test_either_side_may_be_empty(desirable, undesirable):
    output, gradients = evaluate(KTO(), desirable, undesirable, Context(mismatched=mismatched([0.3])))
    assert len(output.losses) == len(desirable) + len(undesirable)
    assert len(output.chosen_rewards) == len(desirable)
    assert len(output.rejected_rewards) == len(undesirable)
    assert all(bool((g != 0).all()) for g in gradients)


def test_at_equal_logps_desirable_is_raised_undesirable_lowered():
    output, (chosen, rejected) = evaluate(KTO(), [0, 0], [0], Context(mismatched=mismatched([0, 0])))
    assert output.losses.tolist() == [0.5] * 3
    assert chosen.tolist() == [-0.025] * 2
    assert rejected.tolist() == [0.025]
    assert not output.chosen_rewards.requires_grad


def test_missing_mismatched_answers_are_refused():
    with pytest.raises(ContractError, match="KTO takes its reference point from answers under other rows' prompts"):
        evaluate(KTO(), [1], [2], Context())
    with pytest.raises(ContractError, match="no rows on any process"):
        evaluate(KTO(), [1], [2], Context(mismatched=mismatched([])))


@pytest.mark.parametrize(
    ("detach", "gradient"),
    [(False, [-0.00685652, -0.00680249, -0.00597712]), (True, [-0.00415627, -0.00410223, -0.00327687])],
)
def test_pair_batch(detach, gradient):
    output, (chosen, rejected) = evaluate(KTOPair(detach_kl=detach), [1, -2.5, 10], [-2, -5, -30], Context())
    assert output.losses.shape == (3,)
    assert output.losses.mean().item() == pytest.approx(0.33955890, abs=1e-7)
    assert (chosen / 3).tolist() == pytest.approx(gradient, abs=1e-8)
    assert (rejected / 3).tolist() == pytest.approx([0.00393249, 0.0035876, 0.00058068], abs=1e-8)
    assert sum(output.terms.values()).tolist() == pytest.approx(output.losses.tolist())


def test_pair_takes_its_kl_from_all_processes():
    everywhere, _ = evaluate(KTOPair(), [1, -2.5, 10], [-2, -5, -30], Context())

    def gather(rows):  # another process has the second pair
        return torch.cat([rows, rows.new_tensor([-2.5 if rows.sum() > 0 else -5.0])])

    here, _ = evaluate(KTOPair(), [1, 10], [-2, -30], Context(gather=gather))
    assert here.losses.tolist() == pytest.approx(everywhere.losses[[0, 2]].tolist())


def test_pair_at_equal_logps():
    output, (chosen, rejected) = evaluate(KTOPair(), [0, 0], [0, 0], Context())
    assert output.losses.tolist() == [0.5, 0.5]
    assert bool((chosen < 0).all())
    assert bool((rejected > 0).all())


@pytest.mark.parametrize("loss", [KTO(), KTOPair(), KTOPair(detach_kl=False)], ids=repr)
@pytest.mark.parametrize("sign", [1, -1])
def test_finite_at_extremes(loss, sign):
    context = Context(mismatched=mismatched([sign * 1e4], torch.float32))
    output, gradients = evaluate(loss, [sign * 1e4] * 2, [-sign * 1e4] * 2, context, torch.float32)
    assert all(bool(torch.isfinite(values).all()) for values in (output.losses, *gradients))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: KTO(beta=0), r"KTO.beta must be above 0, found 0"),
        (lambda: KTO(desirable_weight=0), r"KTO.desirable_weight must be above 0, found 0"),
        (lambda: KTO(undesirable_weight=-1), r"KTO.undesirable_weight must be above 0, found -1"),
        (lambda: KTOPair(beta=float("inf")), r"KTOPair.beta must be above 0 and finite, found inf"),
    ],
)
def test_values_out_of_range_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_what_is_declared():
    assert (KTO.data, KTO.over_batch, KTO().needs_reference, KTO().reduction) == ("unpaired", True, "logps", "sum")
    assert (KTOPair.data, KTOPair.over_batch) == ("pair", True)
