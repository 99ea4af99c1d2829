"""KTO token by token."""

import pytest
import torch

from lpo_tts.errors import ConfigError, ContractError
from lpo_tts.logprobs import Logps, PairLogps
from lpo_tts.losses.base import Context
from lpo_tts.losses.tkto import TKTO, token_weights


def answers(rows, dtype=torch.float64, width=None):
    """Log-probs token by token, padded with 0 to `width`."""
    width = width or max((len(row) for row in rows), default=1)
    grid = torch.tensor([[*row, *[0.0] * (width - len(row))] for row in rows], dtype=dtype).reshape(len(rows), width)
    grid.requires_grad_()
    return Logps(grid.sum(-1), torch.tensor([len(row) for row in rows], dtype=torch.int64), grid)


def mismatched(per_token, tokens=4):
    counts = torch.full((len(per_token),), tokens)
    total = torch.tensor(per_token, dtype=torch.float64) * tokens
    return Logps(total, counts), Logps(torch.zeros_like(total), counts)


def zeros_like(logps):
    return answers([[0.0] * int(n) for n in logps.num_tokens], logps.total.dtype, logps.tokens.shape[1])


def evaluate(loss, desirable, undesirable, z0=(0.0,), importance=None, dtype=torch.float64, width=None):
    policy = PairLogps(answers(desirable, dtype, width=width), answers(undesirable, dtype, width=width))
    reference = PairLogps(zeros_like(policy.chosen), zeros_like(policy.rejected))
    importance = None if importance is None else tuple(torch.tensor(side, dtype=dtype) for side in importance)
    output = loss(policy, reference, Context(mismatched=mismatched(list(z0)), importance=importance))
    gradients = torch.autograd.grad(output.losses.sum(), (policy.chosen.tokens, policy.rejected.tokens), allow_unused=True)
    return output, gradients


def test_token_weights():
    ratio = torch.tensor([0.1, 2.5, -3], dtype=torch.float64)
    assert token_weights(ratio, 1, -1, 1).tolist() == pytest.approx([1.10517092, 2.71828183, 0.36787944], abs=1e-8)
    assert token_weights(ratio, -1, -1, 1).tolist() == pytest.approx([0.90483742, 0.36787944, 2.71828183], abs=1e-8)
    with pytest.raises(ConfigError, match="low = 1 lies above high = -1"):
        token_weights(ratio, 1, 1, -1)


def test_value_is_the_weighted_mean_of_ktos_values():
    importance = ([[1.5, 0.5, 9.0]], [[2.0, 0.0, 1.0]])
    output, (chosen, rejected) = evaluate(TKTO(), [[1, -2.5]], [[-30, -2, 4]], [0.6, -0.2, 0.5, 0.3], importance, width=3)
    kto = [0.48250714, 0.56954622, 0.04608883, 0.44275215]  # at z0 = 0.3
    last = torch.sigmoid(torch.tensor(0.37)).item()
    assert output.losses.tolist() == pytest.approx(
        [(1.5 * kto[0] + 0.5 * kto[1]) / 2, (2 * kto[2] + 0 * kto[3] + last) / 3], abs=1e-7
    )
    assert chosen[0].tolist() == pytest.approx([-1.5 * 0.0249694 / 2, -0.5 * 0.02451633 / 2, 0], abs=1e-7)
    assert rejected[0, :2].tolist() == pytest.approx([2 * 0.004396465 / 3, 0], abs=1e-7)
    assert output.chosen_rewards.item() == pytest.approx(0.1 * (1 - 2.5) / 2)


def test_equal_logps_and_no_importance():
    output, (chosen, rejected) = evaluate(TKTO(desirable_weight=2), [[0, 0], [0]], [[0, 0, 0]])
    assert output.losses.tolist() == [1, 1, 0.5]
    assert bool((chosen[0] < 0).all())
    assert chosen[1].tolist() == [-0.05, 0]  # padding is not touched
    assert bool((rejected > 0).all())


def test_padding_changes_nothing():
    narrow, _ = evaluate(TKTO(), [[1, -2.5]], [[-3, 0.5]], [0.3])
    wide, _ = evaluate(TKTO(), [[1, -2.5]], [[-3, 0.5]], [0.3], width=7)
    assert narrow.losses.tolist() == wide.losses.tolist()


def test_z0_is_per_token():
    output, _ = evaluate(TKTO(), [[0.3]], [], [0.4, 0.2])
    assert output.losses.item() == pytest.approx(0.5)
    clamped, _ = evaluate(TKTO(), [[0.0]], [], [-5])
    assert clamped.losses.item() == 0.5


@pytest.mark.parametrize("sign", [1, -1])
def test_finite_at_extremes(sign):
    output, gradients = evaluate(TKTO(), [[sign * 1e4]], [[sign * 1e4, -1e4]], dtype=torch.float32)
    assert all(bool(torch.isfinite(values).all()) for values in (output.losses, *gradients))


def test_what_is_missing_is_refused():
    policy = PairLogps(answers([[1.0, 2.0]]), answers([[1.0]]))
    bare = Logps(torch.zeros(1), torch.tensor([2])), Logps(torch.zeros(1), torch.tensor([1]))
    with pytest.raises(ContractError, match="TKTO compares token by token"):
        TKTO()(policy, PairLogps(*bare), Context(mismatched=mismatched([0.0])))
    with pytest.raises(ContractError, match="TKTO takes its reference point"):
        TKTO()(policy, policy)
    with pytest.raises(ContractError, match=r"importance of tokens has shape \(1, 1\), the tokens have \(1, 2\); give one"):
        evaluate(TKTO(), [[1, 2]], [[1]], importance=([[1.0]], [[1.0]]))


@pytest.mark.parametrize("name", ["beta", "desirable_weight", "undesirable_weight"])
def test_values_out_of_range_are_refused(name):
    with pytest.raises(ConfigError, match=rf"TKTO.{name} must be above 0, found 0"):
        TKTO(**{name: 0})


def test_what_is_declared():
    loss = TKTO()
    assert (loss.data, loss.over_batch, loss.needs_tokens, loss.needs_reference) == ("unpaired", True, True, "tokens")
    assert not loss.takes_weights
