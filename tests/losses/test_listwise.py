"""Losses of ranked lists."""

import math

import pytest
import torch

from lpo_tts.errors import ConfigError, ContractError
from lpo_tts.logprobs import ListLogps, Logps
from lpo_tts.losses.base import Context
from lpo_tts.losses.dpo import DPO
from lpo_tts.losses.listwise import LiPO, PlackettLuce

X = [1, -2.5, -2]


def lists(values, sizes, dtype=torch.float64):
    total = torch.tensor([float(v) for v in values], dtype=dtype, requires_grad=True)
    return ListLogps(Logps(total, torch.ones(len(values), dtype=torch.int64)), tuple(sizes))


def evaluate(loss, x, sizes, scores=None, dtype=torch.float64):
    """The output at these log-ratios, and the gradient of the summed losses."""
    policy = lists(x, sizes, dtype)
    context = Context(scores=None if scores is None else torch.tensor(scores))
    output = loss(policy, lists([0] * len(x), sizes, dtype), context)
    return output, torch.autograd.grad(output.losses.sum(), policy.answers.total)[0]


def test_plackett_luce_vector():
    output, gradient = evaluate(PlackettLuce(), X, [3])
    assert output.losses.tolist() == pytest.approx([1.61271183], abs=1e-8)
    assert gradient.tolist() == pytest.approx([-0.05910867, -0.02243411, 0.08154278], abs=1e-8)
    assert output.chosen_rewards.tolist() == pytest.approx([0.1])
    assert output.rejected_rewards.tolist() == pytest.approx([-0.2])
    assert not output.chosen_rewards.requires_grad


def test_lipo_vector():
    output, gradient = evaluate(LiPO(), X, [3], [1, 0.5, 0])
    assert output.losses.tolist() == pytest.approx([0.57676665], abs=1e-8)
    # by hand, with ranks 1, 3, 2 and the weights held
    gains = [2**psi - 1 for psi in (1, 0.5, 0)]
    discounts = [1 / math.log(1 + rank) for rank in (1, 3, 2)]
    expected = [0.0, 0.0, 0.0]
    for i, j in [(0, 1), (0, 2), (1, 2)]:
        weight = abs(gains[i] - gains[j]) * abs(discounts[i] - discounts[j])
        slope = 0.1 * weight / (1 + math.exp(0.1 * (X[i] - X[j])))
        expected[i] -= slope
        expected[j] += slope
    assert gradient.tolist() == pytest.approx(expected, abs=1e-8)
    assert output.chosen_rewards.tolist() == pytest.approx([0.1])
    assert output.rejected_rewards.tolist() == pytest.approx([-0.2])


@pytest.mark.parametrize("loss", [PlackettLuce(), LiPO()], ids=repr)
def test_lists_do_not_see_each_other(loss):
    together, gradient = evaluate(loss, [*X, 3, -1, 0.5, 2], [3, 2, 1, 1], [1, 0.5, 0, 0.7, 0.2, 0.1, 0.9])
    one, first = evaluate(loss, X, [3], [1, 0.5, 0])
    two, second = evaluate(loss, [3, -1], [2], [0.7, 0.2])
    assert together.losses.tolist() == pytest.approx([one.losses.item(), two.losses.item(), 0, 0])  # one answer: nothing to say
    assert gradient.tolist() == pytest.approx([*first.tolist(), *second.tolist(), 0, 0])
    assert together.losses.shape == together.chosen_rewards.shape == together.rejected_rewards.shape == (4,)


def test_a_list_of_two_is_dpo():
    output, gradient = evaluate(PlackettLuce(beta=0.3), [1, -2], [2])
    assert output.losses.item() == pytest.approx(math.log1p(math.exp(-0.9)))
    assert gradient.sum().item() == pytest.approx(0, abs=1e-12)
    assert PlackettLuce().beta == DPO().beta


@pytest.mark.parametrize("loss", [PlackettLuce(), LiPO()], ids=repr)
def test_equal_logps_raise_the_best_and_lower_the_worst(loss):
    output, gradient = evaluate(loss, [0, 0, 0, 0], [4], [0.9, 0.6, 0.3, 0.0])
    assert gradient[0] < 0 < gradient[-1]
    if isinstance(loss, PlackettLuce):
        assert output.losses.item() == pytest.approx(math.log(24))


def test_lipo_compares_only_different_labels_and_goes_by_them_alone():
    output, gradient = evaluate(LiPO(), X, [3], [0.5, 0.5, 0.5])
    assert output.losses.item() == 0
    assert gradient.tolist() == [0, 0, 0]
    _, gradient = evaluate(LiPO(), [0, 0], [2], [0.0, 1.0])
    assert gradient[0] > 0 > gradient[1]


def test_lipo_without_usable_scores_is_refused():
    with pytest.raises(ContractError, match=r"LiPO weighs answers by their labels \(context.scores"):
        evaluate(LiPO(), X, [3])
    with pytest.raises(ContractError, match=r"the score of answer 1 is nan, expected \[0, 64\]"):
        evaluate(LiPO(), X, [3], [1.0, float("nan"), 0])
    with pytest.raises(ContractError, match="the score of answer 2 is -1"):
        evaluate(LiPO(), X, [3], [1.0, 0.5, -1])
    with pytest.raises(ContractError, match=r"the score of answer 0 is 100.*scale the scores"):
        evaluate(LiPO(), X, [3], [100.0, 0.5, 0])
    with pytest.raises(ContractError, match=r"\(2,\) scores for \(3,\) answers"):
        evaluate(LiPO(), X, [3], [1.0, 0.5])


def test_lists_that_do_not_fit_are_refused():
    with pytest.raises(ContractError, match=r"lists of sizes \[2, 2\] do not make up the 3 answers"):
        evaluate(PlackettLuce(), X, [2, 2])
    with pytest.raises(ContractError, match=r"the policy scored lists of \(2, 1\) answers, the reference \(1, 2\)"):
        PlackettLuce()(lists(X, [2, 1]), lists(X, [1, 2]))
    with pytest.raises(ContractError, match="no reference log-probs"):
        PlackettLuce()(lists(X, [3]), None)


@pytest.mark.parametrize("loss", [PlackettLuce(), LiPO()], ids=repr)
def test_finite_at_extremes(loss):
    output, gradient = evaluate(loss, [-1e4, 0, 1e4], [3], [64.0, 0.5, 0], torch.float32)
    assert bool(torch.isfinite(output.losses).all())
    assert bool(torch.isfinite(gradient).all())


@pytest.mark.parametrize("loss", [PlackettLuce, LiPO])
def test_values_out_of_range_are_refused(loss):
    with pytest.raises(ConfigError, match=rf"{loss.__name__}.beta must be above 0, found 0"):
        loss(beta=0)
    assert (loss.data, loss.over_batch, loss().needs_reference) == ("list", False, "logps")
