"""beta-DPO: the batch's beta, the pairs it leaves out, and its running means."""

import pytest
import torch

from lpo_tts.losses.base import Context
from lpo_tts.losses.beta_dpo import BetaDPO


def run(evaluate, loss, margins, mean=0.0, std=0.0, **more):
    n, dtype = len(margins), more.pop("dtype", torch.float64)
    context = Context(state={"mean": mean, "std": std}, **more)
    return evaluate(loss, margins, [0.0] * n, [0.0] * n, [0.0] * n, [10] * n, [10] * n, context, dtype)


def test_losses_of_a_batch(evaluate):
    """beta_B = 0.1 (1 + 0.6 (15.1667 - 5)) = 0.71."""
    output, chosen, rejected = run(evaluate, BetaDPO(keep=1.0), [3.0, 2.5, 40.0], mean=5.0, std=10.0)
    assert output.losses.tolist() == pytest.approx([0.11229002, 0.15656216, 4.6e-13], abs=1e-8)
    assert chosen.tolist() == pytest.approx([-0.71 / (1 + 2.718281828459045 ** (0.71 * m)) for m in (3.0, 2.5, 40.0)])
    assert torch.equal(chosen, -rejected)  # beta_B has no gradient
    assert output.chosen_rewards.tolist() == pytest.approx([0.3, 0.25, 4.0])


def test_weights():
    weights = BetaDPO().weights(torch.tensor([3.0, 2.5, 40.0], dtype=torch.float64), {"mean": 5.0, "std": 10.0})
    assert weights.tolist() == pytest.approx([0.98019867, 0.96923323, 0.00218749], abs=1e-8)


def test_the_least_typical_pairs_are_left_out_and_the_others_make_up_for_them(evaluate):
    margins = [4.0, 5.0, 40.0, 6.0, 5.5]
    output, chosen, _ = run(evaluate, BetaDPO(), margins, mean=5.0, std=10.0)
    beta = 0.1 * (1 + 0.6 * (20.5 / 4 - 5))
    dpo = [torch.nn.functional.softplus(torch.tensor(-beta * m, dtype=torch.float64)).item() for m in margins]
    assert output.losses[2] == chosen[2] == 0
    assert output.losses.mean().item() == pytest.approx(sum(dpo[i] for i in (0, 1, 3, 4)) / 4)


@pytest.mark.parametrize(("keep", "rows", "kept"), [(0.8, 5, 4), (0.8, 3, 2), (0.1, 3, 1), (0.7, 10, 7), (1.0, 3, 3)])
def test_share_kept(keep, rows, kept, evaluate):
    output, _, _ = run(evaluate, BetaDPO(keep=keep), [float(m) for m in range(rows)], mean=0.0, std=1.0)
    assert (output.losses > 0).sum() == kept


def test_pairs_that_are_equally_near_are_all_kept(evaluate):
    assert (run(evaluate, BetaDPO(), [1.0] * 5, mean=0.0, std=1.0)[0].losses > 0).all()
    assert (run(evaluate, BetaDPO(keep=0.4), [4.0, 6.0, 5.0, 4.0, 9.0], mean=5.0)[0].losses > 0).tolist() == [True] * 4 + [False]
    # rounding decides nothing: a batch at the reference is kept whole, whatever the last bits are
    output, _, _ = run(evaluate, BetaDPO(), [1e-6, -3e-6, 0.0, 5e-6, -2e-6])
    assert output.losses.tolist() == pytest.approx([0.69314718] * 5, abs=1e-6)


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 2, 0, 3, 1]])
def test_outliers_are_left_out_where_all_weights_are_zero_in_float32(evaluate, order):
    """From M0 = 0 and a std of 0.01, margins of some nats are hundreds of std away: exp(-(m / std)^2 / 2) underflows."""
    margins = [2.0, 2.5, 60.0, 3.0, 1.5]
    assert not BetaDPO().weights(torch.tensor(margins), {"mean": 0.0, "std": 0.01}).any()
    output, _, _ = run(evaluate, BetaDPO(), [margins[i] for i in order], std=0.01, dtype=torch.float32)
    assert (output.losses > 0).tolist() == [i != 2 for i in order]
    beta = 0.1 * (1 + 0.6 * 2.25)  # the mean of the four that stay
    dpo = [torch.nn.functional.softplus(torch.tensor(-beta * m)).item() for m in (2.0, 2.5, 3.0, 1.5)]
    assert output.losses.mean().item() == pytest.approx(sum(dpo) / 4, rel=1e-6)


def test_the_filter_works_from_the_first_step_on(evaluate):
    """Before there is a std, the pairs are ranked all the same."""
    output, _, _ = run(evaluate, BetaDPO(), [1.0, 2.0, 30.0, -1.5, 0.5])
    assert (output.losses > 0).tolist() == [True, True, False, True, True]


def test_the_kept_pairs_are_those_of_the_largest_weights(evaluate):
    margins = torch.randn(40, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3 + 1
    weights = BetaDPO().weights(margins, {"mean": 0.7, "std": 2.0})
    output, _, _ = run(evaluate, BetaDPO(), margins.tolist(), mean=0.7, std=2.0)
    assert torch.equal(output.losses > 0, weights >= weights.topk(32).values[-1])


def test_the_authors_order_of_the_running_mean_is_a_smaller_sensitivity(evaluate):
    """They move M0 before the loss: b (1 + a (mean - M0')) with M0' = 0.9 M0 + 0.1 mean, over three steps, by hand."""
    state, moved = BetaDPO().initial_state(), 0.0
    for margins in ([1.0, 4.0, -0.5], [2.0, 3.0, 7.0], [-1.0, 0.5, 6.0]):
        mean = sum(margins) / 3
        moved = 0.9 * moved + 0.1 * mean
        beta = 0.1 * (1 + 0.6 * (mean - moved))
        expected = [torch.nn.functional.softplus(torch.tensor(-beta * m, dtype=torch.float64)).item() for m in margins]
        loss = BetaDPO(keep=1.0, sensitivity=0.9 * 0.6)
        output, _, _ = run(evaluate, loss, margins, **state)
        assert output.losses.tolist() == pytest.approx(expected, abs=1e-12)
        state = loss.next_state(state, {name: values.mean().item() for name, values in output.observed.items()})
        assert state["mean"] == pytest.approx(moved)


def test_beta_has_a_floor(evaluate):
    _, chosen, _ = run(evaluate, BetaDPO(keep=1.0), [-50.0, -50.0], mean=5.0, std=10.0)
    assert chosen.tolist() == pytest.approx([-1e-3 * 0.5125] * 2, abs=1e-6)


def test_mean_and_std_run_along(evaluate):
    loss = BetaDPO()
    assert loss.initial_state() == {"mean": 0.0, "std": 0.0}
    output, _, _ = run(evaluate, loss, [1.0, 3.0])
    observed = {name: values.mean().item() for name, values in output.observed.items()}
    assert observed == {"margin": 2.0, "margin_square": 5.0}
    state = loss.next_state(loss.initial_state(), observed)
    assert state == pytest.approx({"mean": 0.2, "std": 0.1})
    assert loss.next_state(state, observed) == pytest.approx({"mean": 0.38, "std": 0.19})
    assert loss.next_state(state, {"margin": 1.0, "margin_square": 1.0 - 1e-9})["std"] == pytest.approx(0.09)  # rounding


def test_two_processes_share_beta_and_filter(evaluate):
    margins = [4.0, 5.0, 40.0, 6.0, 5.5]
    whole, chosen, _ = run(evaluate, BetaDPO(), margins, mean=5.0, std=10.0)
    everyone = torch.tensor(margins, dtype=torch.float64)
    for part in (slice(2), slice(2, None)):
        output, d_chosen, _ = run(evaluate, BetaDPO(), margins[part], mean=5.0, std=10.0, gather=lambda _: everyone)
        torch.testing.assert_close(output.losses, whole.losses[part])
        torch.testing.assert_close(d_chosen, chosen[part])
