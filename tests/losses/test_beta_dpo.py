"""beta-DPO: the batch's beta, the pairs it leaves out, and its running means."""

import pytest
import torch

from lpo_tts.losses.base import Context
from lpo_tts.losses.beta_dpo import BetaDpo


def run(evaluate, loss, margins, mean=0.0, std=0.0, **more):
    n = len(margins)
    context = Context(state={"mean": mean, "std": std}, **more)
    return evaluate(loss, margins, [0.0] * n, [0.0] * n, [0.0] * n, [10] * n, [10] * n, context)


def test_losses_of_a_batch(evaluate):
    """beta_B = 0.1 (1 + 0.6 (15.1667 - 5)) = 0.71."""
    output, chosen, rejected = run(evaluate, BetaDpo(keep=1.0), [3.0, 2.5, 40.0], mean=5.0, std=10.0)
    assert output.losses.tolist() == pytest.approx([0.11229002, 0.15656216, 4.6e-13], abs=1e-8)
    assert chosen.tolist() == pytest.approx([-0.71 / (1 + 2.718281828459045 ** (0.71 * m)) for m in (3.0, 2.5, 40.0)])
    assert torch.equal(chosen, -rejected)  # beta_B has no gradient
    assert output.chosen_rewards.tolist() == pytest.approx([0.3, 0.25, 4.0])


def test_weights():
    weights = BetaDpo().weights(torch.tensor([3.0, 2.5, 40.0], dtype=torch.float64), {"mean": 5.0, "std": 10.0})
    assert weights.tolist() == pytest.approx([0.98019867, 0.96923323, 0.00218749], abs=1e-8)


def test_the_least_typical_pairs_are_left_out_and_the_others_make_up_for_them(evaluate):
    margins = [4.0, 5.0, 40.0, 6.0, 5.5]
    output, chosen, _ = run(evaluate, BetaDpo(), margins, mean=5.0, std=10.0)
    beta = 0.1 * (1 + 0.6 * (20.5 / 4 - 5))
    dpo = [torch.nn.functional.softplus(torch.tensor(-beta * m, dtype=torch.float64)).item() for m in margins]
    assert output.losses[2] == chosen[2] == 0
    assert output.losses.mean().item() == pytest.approx(sum(dpo[i] for i in (0, 1, 3, 4)) / 4)


@pytest.mark.parametrize(("keep", "rows", "kept"), [(0.8, 5, 4), (0.8, 3, 2), (0.1, 3, 1), (0.7, 10, 7), (1.0, 3, 3)])
def test_share_kept(keep, rows, kept, evaluate):
    output, _, _ = run(evaluate, BetaDpo(keep=keep), [float(m) for m in range(rows)], mean=0.0, std=1.0)
    assert (output.losses > 0).sum() == kept


def test_equal_weights_and_a_first_step_leave_nothing_out(evaluate):
    assert (run(evaluate, BetaDpo(), [1.0] * 5, mean=0.0, std=1.0)[0].losses > 0).all()
    assert (run(evaluate, BetaDpo(), [1.0, 2.0, 30.0])[0].losses > 0).all()


def test_beta_has_a_floor(evaluate):
    _, chosen, _ = run(evaluate, BetaDpo(keep=1.0), [-50.0, -50.0], mean=5.0, std=10.0)
    assert chosen.tolist() == pytest.approx([-1e-3 * 0.5125] * 2, abs=1e-6)


def test_mean_and_std_run_along(evaluate):
    loss = BetaDpo()
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
    whole, chosen, _ = run(evaluate, BetaDpo(), margins, mean=5.0, std=10.0)
    everyone = torch.tensor(margins, dtype=torch.float64)
    for part in (slice(2), slice(2, None)):
        output, d_chosen, _ = run(evaluate, BetaDpo(), margins[part], mean=5.0, std=10.0, gather=lambda _: everyone)
        torch.testing.assert_close(output.losses, whole.losses[part])
        torch.testing.assert_close(d_chosen, chosen[part])
