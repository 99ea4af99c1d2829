"""DPO that counts what exceeds the shorter answer less."""

import pytest
import torch

from lpo_tts.errors import ConfigError, ContractError
from lpo_tts.logprobs import Logps, PairLogps
from lpo_tts.losses.dpo import DPO
from lpo_tts.losses.ld_dpo import LDDPO

CHOSEN = ([-1, -2, -0.5, -1.5], [-1.2, -2.1, -0.4, -1.9])
REJECTED = ([-1, -2.2], [-1.1, -1.8])


def answers(rows, dtype=torch.float64, width=None):
    width = width or max(len(row) for row in rows)
    tokens = torch.tensor([[*row, *[0.0] * (width - len(row))] for row in rows], dtype=dtype, requires_grad=True)
    return Logps(tokens.sum(-1), torch.tensor([len(row) for row in rows]), tokens)


def evaluate(loss, chosen, rejected, dtype=torch.float64, width=None):
    """`chosen` and `rejected` are (policy, reference) lists of rows."""
    policy = PairLogps(answers(chosen[0], dtype, width), answers(rejected[0], dtype))
    reference = PairLogps(answers(chosen[1], dtype, width), answers(rejected[1], dtype))
    output = loss(policy, reference)
    return output, torch.autograd.grad(output.losses.sum(), (policy.chosen.tokens, policy.rejected.tokens))


def test_vector():
    output, (chosen, rejected) = evaluate(LDDPO(alpha=0.3), [[row] for row in CHOSEN], [[row] for row in REJECTED])
    assert output.losses.item() == pytest.approx(0.65924219, abs=1e-8)
    assert output.chosen_rewards.item() == pytest.approx(0.1 * 0.39)
    assert output.rejected_rewards.item() == pytest.approx(-0.1 * 0.3)
    slope = 0.1 * torch.sigmoid(torch.tensor(-0.1 * 0.69)).item()
    assert chosen[0].tolist() == pytest.approx([-slope, -slope, -0.3 * slope, -0.3 * slope], rel=1e-6)
    assert rejected[0].tolist() == pytest.approx([slope, slope], rel=1e-6)


def test_the_longer_answer_may_be_the_rejected():
    output, (_, rejected) = evaluate(LDDPO(alpha=0), [[row] for row in REJECTED], [[row] for row in CHOSEN])
    assert output.rejected_rewards.item() == pytest.approx(0.1 * 0.3)
    assert rejected[0, 2:].tolist() == [0, 0]


def test_alpha_1_is_dpo():
    chosen, rejected = [[row] for row in CHOSEN], [[row] for row in REJECTED]
    mine, gradients = evaluate(LDDPO(alpha=1), chosen, rejected)
    dpo, expected = evaluate(DPO(), chosen, rejected)
    assert mine.losses.item() == pytest.approx(dpo.losses.item())
    assert all(torch.allclose(*both) for both in zip(gradients, expected, strict=True))


def test_rows_and_padding_do_not_matter_to_each_other():
    one, _ = evaluate(LDDPO(), [[row] for row in CHOSEN], [[row] for row in REJECTED])
    two, _ = evaluate(LDDPO(), [[row, [-1.0]] for row in CHOSEN], [[row, [-3.0]] for row in REJECTED], width=9)
    assert two.losses[0].item() == pytest.approx(one.losses.item())


def test_equal_logps_and_extremes():
    rows = [[-1.0, -2.0, -3.0]], [[-1.0, -2.0, -3.0]]
    output, (chosen, rejected) = evaluate(LDDPO(), rows, rows)
    assert output.losses.item() == pytest.approx(0.69314718)
    assert bool((chosen < 0).all())
    assert bool((rejected > 0).all())
    for sign in (1, -1):
        far, gradients = evaluate(LDDPO(), ([[sign * 1e4]], [[0]]), ([[-sign * 1e4]], [[0]]), torch.float32)
        assert all(bool(torch.isfinite(values).all()) for values in (far.losses, *gradients))


def test_whole_answers_alone_are_refused():
    bare = PairLogps(Logps(torch.zeros(1), torch.tensor([1])), Logps(torch.zeros(1), torch.tensor([1])))
    with pytest.raises(ContractError, match="LDDPO compares token by token"):
        LDDPO()(bare, bare)
    with pytest.raises(ContractError, match="no reference log-probs"):
        LDDPO()(bare, None)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beta": 0}, r"LDDPO.beta must be above 0, found 0"),
        ({"alpha": 1.5}, r"LDDPO.alpha must be at least 0 and at most 1, found 1.5"),
    ],
)
def test_values_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        LDDPO(**settings)


def test_what_is_declared():
    assert (LDDPO().needs_reference, LDDPO.needs_tokens) == ("tokens", True)
