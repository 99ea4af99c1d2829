"""The claims of LPO, and its two ways to give each of beta and gamma."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lpo_tts.errors import ConfigError
from lpo_tts.logprobs import Logps, PairLogps
from lpo_tts.losses.dpo import DPO
from lpo_tts.losses.lpo import LPO, LPOR, LPOSTE, LPOPaper, LPOSTEDynamic

A = (-40, -45, -41, -43, 10, 12)
C = (-80, -130, -90, -100, 20, 25)  # large margin: 1.7 nats per token


def gradients(loss, x1, x2):
    """Value and d loss / d x1, d loss / d x2 of answers of one token under a reference of log-prob 0."""
    lc, lr = (torch.tensor([x], dtype=torch.float64, requires_grad=True) for x in (x1, x2))
    one, zero = torch.tensor([1]), torch.zeros(1, dtype=torch.float64)
    output = loss(PairLogps(Logps(lc, one), Logps(lr, one)), PairLogps(Logps(zero, one), Logps(zero, one)))
    chosen, rejected = torch.autograd.grad(output.losses.sum(), (lc, lr))
    return output.losses.item(), chosen.item(), rejected.item()


log_ratio = st.floats(-50, 50)
weight = st.floats(0.05, 20)


@settings(max_examples=200, deadline=None)
@given(x1=log_ratio, x2=log_ratio, r1=weight, r2=weight, beta=st.floats(0.01, 5))
def test_the_two_gradients_stand_as_r1_to_r2_at_any_margin(x1, x2, r1, r2, beta):
    """Each is its own weight times 4 beta / (r1 + r2), whatever the log-ratios; only the sign knows the offset."""
    loss = LPOSTE(beta=beta, gamma=0, r1=r1, r2=r2)
    beyond = x1 - x2 - loss.target_margin
    assume(abs(beyond) > 1e-6)
    value, chosen, rejected = gradients(loss, x1, x2)
    sign = -1 if beyond < 0 else 1
    assert chosen * (r1 + r2) / (4 * beta) == pytest.approx(sign * r1)
    assert rejected * (r1 + r2) / (4 * beta) == pytest.approx(-sign * r2)
    assert value == pytest.approx(4 * beta * abs(beyond))  # the value knows neither r1 nor r2


@settings(max_examples=100, deadline=None)
@given(x1=log_ratio, x2=log_ratio, r1=weight, r2=weight, gamma=st.floats(0, 30))
def test_the_floor_adds_gamma_to_the_chosen_gradient_alone_and_below_the_reference_alone(x1, x2, r1, r2, gamma):
    assume(abs(x1) > 1e-9)
    assume(abs(x1 - x2 - 2.5) > 1e-6)
    with_floor = gradients(LPOSTE(gamma=gamma, r1=r1, r2=r2), x1, x2)
    without = gradients(LPOSTE(gamma=0, r1=r1, r2=r2), x1, x2)
    assert with_floor[1] - without[1] == pytest.approx(-gamma if x1 < 0 else 0, abs=1e-9)
    assert with_floor[2] == without[2]


@settings(max_examples=100, deadline=None)
@given(x1=log_ratio, x2=log_ratio, beta=st.floats(0.01, 1))
def test_dpo_cannot_tell_the_two_gradients_apart(x1, x2, beta):
    """What LPO's weights are for: DPO moves both log-ratios alike, and less the larger the margin."""
    _, chosen, rejected = gradients(DPO(beta=beta), x1, x2)
    assert chosen == -rejected == pytest.approx(-beta / (1 + torch.tensor(beta * (x1 - x2)).double().exp().item()))


@settings(max_examples=50, deadline=None)
@given(x1=st.floats(-2, 2), x2=st.floats(-2, 2))
def test_the_dynamic_form_weighs_the_rejected_answer_by_its_ratio_to_the_chosen(x1, x2):
    assume(abs(x1 - x2 - 2.5) > 1e-6)
    _, chosen, rejected = gradients(LPOSTEDynamic(gamma=0), x1, x2)
    assert -rejected / chosen == pytest.approx(torch.tensor(x2 - x1).double().exp().item())


def test_r2_of_zero_leaves_the_rejected_answer_alone():
    _, chosen, rejected = gradients(LPOSTE(r2=0, gamma=0), 0.1, 0.2)
    assert (chosen, rejected) == (pytest.approx(-0.8), 0)


def test_the_weights_of_lpo_r_move_the_kink_but_those_of_lpo_ste_do_not():
    weighted, apart = LPOR(beta=1.0, gamma=0, r2=0.2), LPOSTE(beta=1.0, gamma=0, r2=0.2)
    x1, x2 = 0.3, -0.4  # m = 0.7 > 0.5, but x1 - 0.2 x2 = 0.38 < 0.5
    tensors = torch.tensor([x1]), torch.tensor([x2])
    assert not weighted.beyond_target(*tensors)
    assert apart.beyond_target(*tensors)
    assert gradients(weighted, x1, x2)[1] < 0 < gradients(apart, x1, x2)[1]


@pytest.mark.parametrize("loss", [LPOPaper, LPO, LPOR, LPOSTE, LPOSTEDynamic])
def test_overshoot(loss, evaluate):
    """Case C at margin 0.5 is far beyond the offset."""
    (value, (chosen, rejected)), reject_only, stop = (
        (output.losses.item(), tuple(one.item() for one in both))
        for output, *both in (evaluate(loss(margin=0.5, overshoot=rule), *C) for rule in ("reflect", "reject_only", "stop"))
    )
    assert value > 0
    assert chosen > 0 > rejected  # paper: chosen pushed down, rejected up
    assert reject_only[0] == pytest.approx(value)
    assert reject_only[1][0] == 0 > reject_only[1][1]
    assert stop == (0, (0, 0))


def test_overshoot_reject_only_sends_all_of_the_correction_to_the_rejected(evaluate):
    _, chosen, rejected = evaluate(LPOSTE(beta=1.0, overshoot="reject_only"), *C)
    assert (chosen.item(), rejected.item()) == pytest.approx((0, -4 / 25))


def test_overshoot_does_nothing_below_the_offset(evaluate):
    for rule in ("stop", "reject_only"):
        assert evaluate(LPOSTE(overshoot=rule), *A)[1:] == evaluate(LPOSTE(), *A)[1:]


def test_margin_is_another_way_to_give_beta(evaluate):
    assert evaluate(LPOSTE(margin=0.5), *A)[1:] == evaluate(LPOSTE(beta=1.0), *A)[1:]
    assert LPOSTE(beta=1.0, margin=0.5).target_margin == 0.5
    assert (LPOSTE().strength, LPOSTE().target_margin, LPOSTE().floor_weight) == (0.2, 2.5, 10)
    with pytest.raises(ConfigError, match=r"beta = 0.2 means margin = 2.5, but margin = 0.5 is given"):
        LPOSTE(beta=0.2, margin=0.5)


def test_gamma_ratio_is_gamma_over_the_preference_gradient():
    assert LPOSTE(gamma_ratio=15).floor_weight == pytest.approx(15 * 4 * 0.2 / 1.2)
    assert LPO(gamma_ratio=3).floor_weight == pytest.approx(3 * 4 * 0.2)
    with pytest.raises(ConfigError, match="give one of them"):
        LPOSTE(gamma=10, gamma_ratio=15)


@pytest.mark.parametrize("loss", [LPOPaper, LPO, LPOR, LPOSTE, LPOSTEDynamic])
def test_chosen_gradient_is_what_it_says(loss):
    """At the start, where the dynamic weight is 1."""
    assert -gradients(loss(gamma=0), 1e-9, 0.0)[1] == pytest.approx(loss().chosen_gradient())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LPOSTE(beta=0), r"LPOSTE.beta must be above 0, found 0"),
        (lambda: LPOSTE(beta=float("nan")), r"LPOSTE.beta must be above 0, found nan"),
        (lambda: LPOPaper(margin=0), r"LPOPaper.margin must be above 0, found 0"),
        (lambda: LPO(gamma=-1), r"LPO.gamma must be at least 0, found -1"),
        (lambda: LPO(gamma_ratio=-1), r"LPO.gamma_ratio must be at least 0, found -1"),
        (lambda: LPOR(r1=0), r"LPOR.r1 must be above 0, found 0"),
        (lambda: LPOSTE(r2=-0.1), r"LPOSTE.r2 must be at least 0, found -0.1"),
        (lambda: LPOSTE(overshoot="bounce"), "'bounce' is none of reflect, stop, reject_only"),
        (lambda: LPOSTEDynamic(reduction="sum"), "must be 'mean'"),
    ],
)
def test_values_out_of_range_are_refused_with_the_range(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
