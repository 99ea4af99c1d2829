"""The losses that look at score margins: ODPO, reward-aware RPO and weighted DPO."""

import math

import pytest
import torch

from lpo_tts.errors import ContractError
from lpo_tts.losses.base import Context
from lpo_tts.losses.dpo import DPO
from lpo_tts.losses.odpo import ODPO
from lpo_tts.losses.rpo import RPO
from lpo_tts.losses.weighted_dpo import WeightedDPO

A = (-40, -45, -41, -43, 10, 12)
ALL = pytest.mark.parametrize("make", [ODPO, RPO, WeightedDPO])


def scored(**metrics):
    return Context(margins={name: torch.tensor(values, dtype=torch.float64) for name, values in metrics.items()})


@ALL
def test_a_metric_that_is_not_there_is_named_with_those_that_are(make, evaluate):
    name = make.__name__
    assert make().needs_margins
    with pytest.raises(ContractError, match=f"{name} needs every pair's margin in the metric 'wer'.*margins in: mos, sim; set"):
        evaluate(make(), *A, scored(sim=[0.1], mos=[0.2]))
    with pytest.raises(ContractError, match="'nisqa', but the pairs have margins in: none at all"):
        evaluate(make(metric="nisqa"), *A)


@ALL
def test_a_pair_that_was_not_scored_is_refused(make, evaluate):
    batch = ([-40.0] * 3, [-45.0] * 3, [-41.0] * 3, [-43.0] * 3, [10] * 3, [12] * 3)
    with pytest.raises(ContractError, match=r"'wer', but 2 of 3 pairs of the batch have none \(nan"):
        evaluate(make(), *batch, scored(wer=[math.nan, 0.5, math.nan]))


@ALL
def test_the_metric_named_is_the_one_taken(make, evaluate):
    one = evaluate(make(metric="sim"), *A, scored(wer=[0.9], sim=[0.3]))[0].losses
    assert torch.equal(one, evaluate(make(), *A, scored(wer=[0.3]))[0].losses)


def test_odpo_without_offset_is_dpo(evaluate):
    dpo = evaluate(DPO(), *A)[0].losses.item()
    assert evaluate(ODPO(), *A, scored(wer=[1.0]))[0].losses.item() == pytest.approx(dpo)
    assert evaluate(ODPO(alpha=0), *A, scored(wer=[0.2]))[0].losses.item() == pytest.approx(dpo)


def test_odpo_asks_more_of_clearer_pairs(evaluate):
    losses = [evaluate(ODPO(), *A, scored(wer=[gap]))[0].losses.item() for gap in (0.0, 0.1, 1.0, 5.0)]
    assert losses == sorted(losses)
    assert len(set(losses)) == 4


@pytest.mark.parametrize("gap", [0.0, -0.5])
def test_odpo_still_moves_a_pair_whose_answers_are_equally_good(gap, evaluate):
    output, chosen, rejected = evaluate(ODPO(), *A, scored(wer=[gap]))
    assert 0 < output.losses.item() < 1e-5
    assert chosen.item() < 0 < rejected.item()


def test_weight_is_clamped_to_one_and_scales_dpo(evaluate):
    dpo = evaluate(DPO(), *A)[0].losses.item()
    for margin, weight in ((0.0, 0), (0.25, 0.25), (1.0, 1), (3.0, 1), (-0.5, 0)):
        assert evaluate(WeightedDPO(), *A, scored(wer=[margin]))[0].losses.item() == pytest.approx(weight * dpo)


def test_rpo_is_zero_and_without_gradient_at_its_target_and_turns_round_there(evaluate):
    """Beta m = eta gap: 0.1 * 24 = 3 * 0.8."""
    slopes = []
    for m in (23.0, 24.0, 25.0):
        output, chosen, rejected = evaluate(RPO(eta=3), -40 + m, -40, -40, -40, 10, 10, scored(wer=[0.8]))
        assert chosen == -rejected
        assert output.losses.item() >= -1e-12
        slopes.append(chosen.item())
    assert slopes[0] < 0 < slopes[2]
    assert slopes[1] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("gap", "value"), [(0.0, 0.0), (1e4, math.log(2))])
def test_rpo_at_init(gap, value, evaluate):
    output, _, _ = evaluate(RPO(), -40, -45, -40, -45, 10, 12, scored(wer=[gap]))
    assert output.losses.item() == pytest.approx(value, abs=1e-12)
