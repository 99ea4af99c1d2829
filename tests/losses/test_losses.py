"""Values and gradients of the losses against worked-out vectors, and what every loss must do."""

import dataclasses

import pytest
import torch

from lpo_tts.errors import ConfigError, ContractError
from lpo_tts.losses import REGISTRY
from lpo_tts.losses.base import Logps, PairLogps
from lpo_tts.losses.dpo import Dpo
from lpo_tts.losses.ipo import Ipo
from lpo_tts.losses.lpo import Lpo, LpoPaper, LpoR, LpoSte, LpoSteDynamic
from lpo_tts.losses.sft import Sft

# lc, lr, Rc, Rr, Nc, Nr
CASES = {
    "A": (-40, -45, -41, -43, 10, 12),
    "B": (-300.5, -310, -298, -305, 100, 110),
    "C": (-80, -130, -90, -100, 20, 25),
}
# per loss: (value, d/dlc, d/dlr) of A, B and C
VECTORS = [
    (LpoPaper(), (0.89333333, -0.04, 0.03333333), (1.2418182, -0.104, 0.003636364), (0.32, -0.02, 0.016)),
    (Lpo(), (1.7866667, -0.08, 0.06666667), (2.2336364, -0.108, 0.007272727), (0.64, -0.04, 0.032)),
    (LpoR(), (1.8933333, -0.08, 0.01333333), (2.2627273, -0.108, 0.001454545), (1.408, -0.04, 0.0064)),
    (LpoSte(), (1.7866667, -0.06666667, 0.01111111), (2.2336364, -0.1066667, 0.001212121), (0.64, -0.03333333, 0.005333333)),
    (
        LpoSte(beta=1.0, gamma=10),
        (0.93333333, -0.3333333, 0.05555556),
        (2.1681818, -0.1333333, 0.006060606),
        (4.8, 0.1666667, -0.02666667),
    ),
    (
        LpoSte(beta=0.01, gamma=0.1, r2=0.4, reduction="sum"),
        (1.88, -0.02857143, 0.01142857),
        (2.15, -0.1285714, 0.01142857),
        (0.4, -0.02857143, 0.01142857),
    ),
    (
        LpoSte(beta=0.1, gamma=0, r2=0.4, reduction="sum"),
        (0.8, -0.2857143, 0.1142857),
        (1, -0.2857143, 0.1142857),
        (14, 0.2857143, -0.1142857),
    ),
    (
        LpoSteDynamic(),
        (1.7866667, -0.04530195, 0.02891504),
        (2.2336364, -0.1040409, 0.003599175),
        (0.64, -0.03382139, 0.004942888),
    ),
    (
        LpoSte(beta=1.0, overshoot="stop"),
        (0.93333333, -0.3333333, 0.05555556),
        (2.1681818, -0.1333333, 0.006060606),
        (0, 0, 0),
    ),
    (
        Dpo(),
        (0.55435524, -0.04255575, 0.04255575),
        (0.57593942, -0.04378235, 0.04378235),
        (0.018149928, -0.001798621, 0.001798621),
    ),
    (
        Dpo(label_smoothing=0.1),
        (0.58435524, -0.03255575, 0.03255575),
        (0.60093942, -0.03378235, 0.03378235),
        (0.41814993, 0.008201379, -0.008201379),
    ),
    (Ipo(), (22.404444, -0.9466667, 0.7888889), (24.795873, -0.09959091, 0.09053719), (10.89, -0.33, 0.264)),
    (Sft(), (4.0, -0.1, 0), (3.005, -0.01, 0), (4.0, -0.05, 0)),
]
ALL = [REGISTRY.get(name)() for name in REGISTRY]


def evaluate(loss, lc, lr, Rc, Rr, Nc, Nr):
    """Value and gradients with respect to the summed policy log-probs, in float64."""
    lc, lr = (torch.tensor([float(v)], dtype=torch.float64, requires_grad=True) for v in (lc, lr))
    Nc, Nr = torch.tensor([Nc]), torch.tensor([Nr])
    reference = PairLogps(
        Logps(torch.tensor([float(Rc)], dtype=torch.float64), Nc), Logps(torch.tensor([float(Rr)]).double(), Nr)
    )
    output = loss(PairLogps(Logps(lc, Nc), Logps(lr, Nr)), reference)
    gradients = torch.autograd.grad(output.losses.sum(), (lc, lr), allow_unused=True)
    return output, tuple(0.0 if g is None else g.item() for g in gradients)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("row", VECTORS, ids=lambda row: repr(row[0]))
def test_value_and_gradients(row, case):
    output, gradients = evaluate(row[0], *CASES[case])
    value, chosen, rejected = row[1 + "ABC".index(case)]
    assert output.losses.item() == pytest.approx(value, rel=1e-6, abs=1e-6)
    assert gradients == pytest.approx((chosen, rejected), rel=2e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("loss", "value"),
    [
        (LpoPaper(), 1),
        (Lpo(), 2),
        (LpoR(), 2),
        (LpoSte(), 2),
        (LpoSteDynamic(), 2),
        (LpoSte(beta=1.3), 2),
        (Dpo(), 0.69314718),
        (Ipo(), 25),
    ],
    ids=repr,
)
def test_value_at_init(loss, value):
    output, _ = evaluate(loss, -40, -45, -40, -45, 10, 12)
    assert output.losses.item() == pytest.approx(value, abs=1e-8)
    assert output.chosen_rewards.item() == output.rejected_rewards.item() == 0


@pytest.mark.parametrize("loss", ALL, ids=lambda loss: REGISTRY.name_of(type(loss)))
def test_every_loss_raises_chosen_and_lowers_rejected_at_equal_logps(loss):
    output, (chosen, rejected) = evaluate(loss, -40, -40, -40, -40, 10, 10)
    assert chosen < 0
    assert rejected >= 0 if isinstance(loss, Sft) else rejected > 0
    assert output.losses.shape == output.chosen_rewards.shape == output.rejected_rewards.shape == (1,)
    assert not output.chosen_rewards.requires_grad
    assert loss.needs_reference in ("none", "logps")
    assert loss.reduction in ("sum", "mean")
    assert dataclasses.replace(loss) == loss


@pytest.mark.parametrize("loss", ALL, ids=lambda loss: REGISTRY.name_of(type(loss)))
def test_terms_add_up_to_the_loss(loss):
    output, _ = evaluate(loss, *CASES["B"])
    if output.terms:
        assert sum(output.terms.values()).item() == pytest.approx(output.losses.item())


def test_r1_and_r2_scale_the_two_gradients_independently():
    """The preference gradients stand as r1 : r2, and changing one weight leaves the other's share of its own."""
    for r1, r2 in [(1.0, 0.2), (1.0, 1.0), (0.5, 2.0), (3.0, 0.1)]:
        loss = LpoSte(r1=r1, r2=r2)
        output, (chosen, rejected) = evaluate(loss, -40, -45, -41, -43, 10, 10)
        factor = 4 * 0.2 / (r1 + r2) / 10
        assert (-chosen / factor, rejected / factor) == pytest.approx((r1, r2))
        assert output.losses.item() == pytest.approx(4 * 0.2 * abs(0.3 - 2.5))  # the value knows neither r1 nor r2


@pytest.mark.parametrize("loss", [LpoPaper, Lpo, LpoR, LpoSte, LpoSteDynamic])
def test_overshoot(loss):
    """Case C at margin 0.5 is far beyond the offset."""
    (value, (chosen, rejected)), reject_only, stop = (
        ((o := evaluate(loss(margin=0.5, overshoot=rule), *CASES["C"]))[0].losses.item(), o[1])
        for rule in ("reflect", "reject_only", "stop")
    )
    assert value > 0
    assert chosen > 0 > rejected  # paper: chosen pushed down, rejected up
    assert reject_only[0] == pytest.approx(value)
    assert reject_only[1][0] == 0 > reject_only[1][1]
    assert stop == (0, (0, 0))


def test_overshoot_reject_only_sends_all_of_the_correction_to_the_rejected():
    _, (chosen, rejected) = evaluate(LpoSte(beta=1.0, overshoot="reject_only"), *CASES["C"])
    assert (chosen, rejected) == pytest.approx((0, -4 / 25))


def test_margin_is_another_way_to_give_beta():
    assert evaluate(LpoSte(margin=0.5), *CASES["A"])[1] == evaluate(LpoSte(beta=1.0), *CASES["A"])[1]
    assert LpoSte(beta=1.0, margin=0.5).target_margin == 0.5
    assert (LpoSte().strength, LpoSte().target_margin, LpoSte().floor_weight) == (0.2, 2.5, 10)
    with pytest.raises(ConfigError, match=r"beta = 0.2 means margin = 2.5, but margin = 0.5 is given"):
        LpoSte(beta=0.2, margin=0.5)


def test_gamma_ratio_is_gamma_over_the_preference_gradient():
    assert LpoSte(gamma_ratio=15).floor_weight == pytest.approx(15 * 4 * 0.2 / 1.2)
    assert Lpo(gamma_ratio=3).floor_weight == pytest.approx(3 * 4 * 0.2)
    with pytest.raises(ConfigError, match="give one of them"):
        LpoSte(gamma=10, gamma_ratio=15)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LpoSte(beta=0), r"LpoSte.beta = 0 lies outside \(0, infinity\)"),
        (lambda: LpoSte(beta=float("nan")), r"LpoSte.beta = nan lies outside \(0, infinity\)"),
        (lambda: Lpo(gamma=-1), r"Lpo.gamma = -1 lies outside \[0, infinity\)"),
        (lambda: LpoR(r1=0), r"LpoR.r1 = 0 lies outside \(0, infinity\)"),
        (lambda: LpoSte(r2=-0.1), r"LpoSte.r2 = -0.1 lies outside \[0, infinity\)"),
        (lambda: LpoSte(overshoot="bounce"), "'bounce' is none of reflect, stop, reject_only"),
        (lambda: LpoSteDynamic(reduction="sum"), "must be 'mean'"),
        (lambda: Dpo(beta=-1), r"Dpo.beta = -1 lies outside \(0, infinity\)"),
        (lambda: Dpo(label_smoothing=0.5), r"lies outside \[0, 0.5\)"),
        (lambda: Dpo(label_smoothing=0.7), r"Dpo.label_smoothing = 0.7 lies outside \[0, 0.5\]"),
        (lambda: Ipo(beta=0.0), r"Ipo.beta = 0.0 lies outside \(0, infinity\)"),
    ],
)
def test_values_out_of_range_are_refused_with_the_range(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_policy_and_reference_that_counted_other_tokens_are_refused():
    one, two = torch.tensor([1]), torch.tensor([2])
    zero = torch.zeros(1)
    policy = PairLogps(Logps(zero, one), Logps(zero, one))
    with pytest.raises(ContractError, match=r"scored \[1\] tokens of the rejected answers, the reference \[2\]"):
        Lpo()(policy, PairLogps(Logps(zero, one), Logps(zero, two)))
    with pytest.raises(ContractError, match="no reference log-probs"):
        Dpo()(policy, None)


def test_unknown_loss_names_its_neighbours():
    with pytest.raises(ConfigError, match="lpo-ste"):
        REGISTRY.get("lpo_ste")
