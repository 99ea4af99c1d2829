"""What pilots say about r2, worked by hand: b / a, rho, the verdict, and what is printed."""

import math

import pytest
import torch

from lpo_tts.losses.lpo import LpoR, LpoSte
from lpo_tts.training.r2 import Estimate, Trial, pull, reference_rho

SPREAD = torch.tensor([-0.01, 0.01] * 20, dtype=torch.float64)


def moved(chosen, rejected, spread=SPREAD):
    """40 pairs around these means; the spread of both is the same, so that x1 - x2 has none."""
    return torch.stack([chosen + spread, rejected + spread], 1)


def trial(r2, chosen, rejected=None, pull=0.3, mirrored=None, stopped=""):
    rejected = chosen if rejected is None else rejected
    other = moved(chosen, rejected) if mirrored is None else moved(*mirrored)
    return Trial(r2, pull, 32, moved(chosen, rejected), other, stopped)


@pytest.mark.parametrize(
    ("r2", "gamma", "expected"),
    [(0.4, 0.1, 0.3404), (0.86, 0.1, 0.6978), (1, 0, 1.0), (2, 0.1, 1.4545), (1, 1, 0.2857), (0, 0, 0)],
)
def test_the_pull_of_lpo_ste_is_worked_out_by_hand(r2, gamma, expected):
    factor = 4 * 0.2 / (1 + r2)
    assert pull(LpoSte(beta=0.2, gamma=gamma, r2=r2)) == pytest.approx(factor * r2 / (factor + gamma))
    assert pull(LpoSte(beta=0.2, gamma=gamma, r2=r2)) == pytest.approx(expected, abs=1e-4)


def test_the_pull_counts_r1_gamma_ratio_and_the_form():
    assert pull(LpoR(beta=0.2, gamma=0.2, r1=2, r2=0.5)) == pytest.approx(0.8 * 0.5 / (0.8 * 2 + 0.2))
    assert pull(LpoSte(beta=0.2, gamma_ratio=3, r1=2, r2=0.5)) == pytest.approx(0.25 / 4)  # r2 / r1 over 1 + gamma_ratio
    assert pull(LpoSte(gamma=0.0, r1=1e-300, r2=1e300)) == math.inf  # the settings allow it; it is printed as "not finite"


def test_an_estimate_has_the_standard_error_of_its_mean_and_is_clear_beyond_two_of_them():
    one = Estimate.of(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    assert one.value == 2.5
    assert one.error == pytest.approx(math.sqrt(5 / 3) / 2)
    assert one.clear
    assert not Estimate.of(torch.tensor([-1.0, 2.0, 1.0])).clear
    assert not Estimate.of(torch.tensor([1.0])).clear
    assert str(Estimate.of(torch.tensor([1.0]))) == "+1.000"
    assert str(Estimate(-0.0814, 0.0062)) == "-0.081 ± 0.006"
    for bad in (math.nan, math.inf, -math.inf):
        assert str(Estimate(bad, 0.1)) == "not finite"


def test_rho_is_the_ratio_of_the_even_parts_and_the_linear_part_is_the_odd_one():
    one = trial(0.4, -0.09, -0.15, mirrored=(-0.13, -0.10))
    assert one.linear.value == pytest.approx(0.02)  # (-0.09 + 0.13) / 2
    assert one.rho == pytest.approx(0.11 / 0.125)
    assert one.accuracy == 1.0
    assert one.chosen.value == pytest.approx(-0.09)
    assert one.rejected.value == pytest.approx(-0.15)


def test_rho_is_not_measured_where_an_even_part_is_not_clearly_below_0():
    assert trial(0.4, 0.05, -0.15, mirrored=(-0.05, -0.10)).rho is None  # even part of x1: 0
    assert trial(0.4, -0.001, -0.15).rho is None  # within two standard errors
    assert trial(0.4, 0.2, 0.1).rho is None
    assert trial(0.4, -math.inf, -0.15).rho is None
    assert trial(0.4, math.nan, math.nan).rho is None


def test_rho_is_taken_at_the_smallest_r2_where_it_can_be_measured():
    apart = trial(0.2, -0.09, -0.1)
    assert reference_rho([trial(0.4, -0.05, -0.1), apart, trial(0.0, 0.1)]) == (
        pytest.approx(0.9),
        "measured along the displacement at r2 = 0.2",
    )
    rho, origin = reference_rho([trial(0.0, 0.1)])
    assert rho == 1.0
    assert origin.startswith("not measured")
