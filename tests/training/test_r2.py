"""What pilots say about r2, worked by hand: b / a, rho, the verdict, and what is printed."""

import math
import re

import pytest
import torch

from lpo_tts.losses.lpo import LPOR, LPOSTE
from lpo_tts.training.r2 import AT_THE_EDGE, DANGEROUS, SAFE, Estimate, Trial, judge, lines, pull, reference_rho

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
    assert pull(LPOSTE(beta=0.2, gamma=gamma, r2=r2)) == pytest.approx(factor * r2 / (factor + gamma))
    assert pull(LPOSTE(beta=0.2, gamma=gamma, r2=r2)) == pytest.approx(expected, abs=1e-4)


def test_the_pull_counts_r1_gamma_ratio_and_the_form():
    assert pull(LPOR(beta=0.2, gamma=0.2, r1=2, r2=0.5)) == pytest.approx(0.8 * 0.5 / (0.8 * 2 + 0.2))
    assert pull(LPOSTE(beta=0.2, gamma_ratio=3, r1=2, r2=0.5)) == pytest.approx(0.25 / 4)  # r2 / r1 over 1 + gamma_ratio
    assert pull(LPOSTE(gamma=0.0, r1=1e-300, r2=1e300)) == math.inf  # the settings allow it; it is printed as "not finite"


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
    assert origin == "taken, since the answers did not clearly fall along any displacement"


ZERO = trial(0.0, -0.08, pull=0.0)


@pytest.mark.parametrize(
    ("chosen", "pull", "word"),
    [
        (-0.10, 0.34, SAFE),  # r2 adds a quarter to the fall, b / a is 0.38 rho
        (-0.155, 0.34, SAFE),  # just short of doubling it
        (-0.17, 0.34, AT_THE_EDGE),  # the fall alone
        (-0.10, 0.46, AT_THE_EDGE),  # b / a above rho / 2 alone
        (-0.10, 1.2, AT_THE_EDGE),  # far above, but nothing to be seen of it
        (-0.17, 0.53, AT_THE_EDGE),  # both, but b / a below 0.6 rho
        (-0.17, 0.55, DANGEROUS),  # both
        (-0.49, 0.34, AT_THE_EDGE),
        (-0.51, 0.0, DANGEROUS),  # collapsed, whatever b / a says
        (0.02, 0.34, SAFE),
        (0.02, 0.55, AT_THE_EDGE),
    ],
)
def test_the_verdict_follows_the_rule(chosen, pull, word):
    assert judge(trial(0.4, chosen, pull=pull), ZERO, 0.9).word == word


def test_the_reasons_name_what_was_measured():
    assert judge(trial(0.8, -0.24, pull=0.63), ZERO, 0.9).reasons == (
        "b/a is 0.70 of rho",
        "r2 lowers the chosen by 0.160, 2.00 times what the rate alone does",
    )
    assert judge(trial(0.0, -0.8, pull=0.0), trial(0.0, -0.8, pull=0.0), 0.9).reasons == (
        "the chosen stand 0.80 nats per token below the reference",
    )
    assert judge(trial(0.4, -0.1), ZERO, 0.9).reasons == ()


def test_where_the_rate_alone_raises_the_chosen_a_fall_below_the_reference_is_r2s():
    zero = trial(0.0, 0.05, pull=0.0)
    assert judge(trial(0.4, 0.02), zero, 0.9).word == SAFE
    fell = judge(trial(0.4, -0.02), zero, 0.9)
    assert (fell.word, fell.reasons) == (AT_THE_EDGE, ("r2 lowers the chosen by 0.070",))


def test_a_difference_within_two_standard_errors_is_no_fall():
    loud = Trial(0.4, 0.3, 32, moved(-0.2, -0.2, 100 * SPREAD), moved(-0.2, -0.2), "")
    assert judge(loud, ZERO, 0.9).word == SAFE


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_log_ratios_that_are_not_finite_are_dangerous_and_never_printed_as_inf(bad):
    broken = trial(0.4, bad, pull=bad)
    assert judge(broken, ZERO, 0.9).word == DANGEROUS
    text = "\n".join(lines([ZERO, broken, trial(0.8, -0.1, pull=math.inf)], 0.4))
    assert "inf" not in text.replace("not finite", "")
    assert "nan" not in text
    assert "0.4 *" in text
    everything = "\n".join(lines([trial(0.0, bad, pull=0.0), broken], 0.4))
    assert "inf" not in everything.replace("not finite", "")


def test_training_that_broke_off_is_dangerous():
    stopped = judge(trial(0.4, -0.1, stopped="step 3: the loss is not finite for pairs p1"), ZERO, 0.9)
    assert stopped.word == DANGEROUS
    assert stopped.reasons == ("training broke off after 32 steps: step 3: the loss is not finite for pairs p1",)


def test_the_table_has_a_row_for_every_r2_and_ends_with_the_rule():
    found = lines([ZERO, trial(0.4, -0.10, -0.14, pull=0.34), trial(0.8, -0.24, -0.3, pull=0.65)], 0.4)
    assert re.split(r"  +", found[0]) == [
        "r2",
        "x1 (chosen)",
        "x2 (rejected)",
        "x1 to 1st order",
        "x1 > x2",
        "b/a",
        "rho",
        "verdict",
    ]
    assert [row.split()[0] for row in found[1:4]] == ["0", "0.4", "0.8"]
    assert [row.split("  ")[-1].strip() for row in found[1:4]] == [SAFE, SAFE, DANGEROUS]
    assert "no signal" in found[1]  # plus and minus the displacement gave the same
    assert "100 %" in found[2]
    assert "0.4 *" in found[2]
    assert found[4].endswith("r2 = 0 shows what the rate alone does to the chosen answers: -0.080 ± 0.002")
    assert found[5] == "rho = 1.00, measured along the displacement at r2 = 0"
    assert found[6].startswith("r2 = 0.8: dangerous: b/a is 0.65 of rho; r2 lowers the chosen by 0.160, 2.00 times")
    assert found[7] == "the largest of these r2 that is safe: 0.4"
    assert found[8].startswith("rule (constants ours, from the mini run): safe = b/a at most 0.5 rho")
    assert found[9].startswith("rate does; dangerous = b/a above 0.6 rho and r2 lowers them by more, or x1 below -0.5")


def test_where_the_rate_alone_destroys_the_model_it_is_the_rate_that_is_named():
    high = trial(0.0, -2.0, pull=0.0)
    found = lines([high, trial(0.4, -2.5)], 0.4)
    assert "none of these r2 is safe; lower the rate first" in found
