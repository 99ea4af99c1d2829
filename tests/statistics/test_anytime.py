"""The confidence sequence: evidence by hand, bounds, advice, forecasts."""

import math
import random

import numpy as np
import pytest

from lpo_tts.errors import ContractError
from lpo_tts.statistics.anytime import Evidence, advise


def robbins(wins, losses, mean):
    """∫ p^wins (1 - p)^losses dp over mean^wins (1 - mean)^losses."""
    beta = math.factorial(wins) * math.factorial(losses) / math.factorial(wins + losses + 1)
    return beta / (mean**wins * (1 - mean) ** losses)


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (1, 0), (5, 0), (8, 0), (3, 2), (12, 5), (60, 40), (120, 60)])
@pytest.mark.parametrize("mean", [0.5, 0.3, 0.9])
def test_votes_of_one_trial_each_give_the_beta_binomial_mixture(wins, losses, mean):
    found = Evidence([1.0] * wins + [0.0] * losses).log(mean)
    assert found == pytest.approx(math.log(robbins(wins, losses, mean)), abs=1e-9)


def test_shares_give_the_integral_of_straight_lines():
    # Against 1/2 a share of 3/4 is 3/2 p + 1/2 (1 - p) = 1/2 + p, whose square has the integral (1.5^3 - 0.5^3) / 3 = 13/12.
    assert Evidence([0.75]).log(0.5) == pytest.approx(0.0)
    assert Evidence([0.75, 0.75]).log(0.5) == pytest.approx(math.log(13 / 12))
    # Against 1/4 it is 3 p + 1/3 (1 - p), on average 5/3.
    assert Evidence([0.75]).log(0.25) == pytest.approx(math.log(5 / 3))


def test_seven_listeners_of_one_mind_are_too_few_and_eight_decide():
    # 2^7 / 8 = 16 and 2^8 / 9 = 28.4, where 1 / 0.05 = 20 are asked for.
    assert advise([1.0] * 7).kind == "go on"
    found = advise([1.0] * 8)
    assert (found.kind, found.more, found.toward) == ("decided", 0, "")
    assert found.low == pytest.approx((1 / (9 * 20)) ** (1 / 8), abs=1e-9)
    assert found.high == 1.0
    assert advise([0.0] * 8).high == pytest.approx(1 - found.low)
    assert advise([1.0] * 8, alpha=0.01).kind == "go on"


@pytest.mark.parametrize(("seen", "more"), [(1, 7), (5, 3), (7, 1)])
def test_what_is_to_come_is_told(seen, more):
    found = advise([1.0] * seen)
    assert (found.kind, found.more, found.toward) == ("go on", more, "decided")


@pytest.mark.parametrize("shares", [[0.65, 0.6, 0.5, 0.7, 0.55], [0.45, 0.5, 0.55, 0.5], [0.5, 0.52, 0.48, 0.56]])
def test_listeners_like_those_before_bring_what_was_told(shares):
    told = advise(shares)
    assert told.more is not None
    rounds = math.ceil((len(shares) + told.more) / len(shares))
    assert advise(shares * rounds).kind == told.toward
    assert advise(shares * (rounds - 2)).kind == "go on"


def test_equivalent_only_within_the_margin():
    found = advise([0.5] * 200)
    assert found.kind == "equivalent"
    assert 0.45 <= found.low < 0.5 < found.high <= 0.55
    assert found.negligible
    assert advise([0.5] * 200, margin=0.01).kind == "go on"
    slight = advise([0.52] * 600)
    assert (slight.kind, slight.negligible) == ("decided", True)


def test_bounds_hold_the_mean_and_are_the_ends_of_what_is_not_excluded():
    shares = [0.2, 0.9, 0.65, 0.4, 1.0, 0.7, 0.8, 0.55, 0.6]
    evidence = Evidence(shares)
    low, high = evidence.bounds(0.05)
    assert low < np.mean(shares) < high
    assert evidence.log(low) == pytest.approx(math.log(20), abs=1e-6)
    assert evidence.log(high) == pytest.approx(math.log(20), abs=1e-6)
    assert evidence.log(float(np.mean(shares))) <= 0
    inside = [evidence.log(mean) for mean in np.linspace(low, high, 50)]
    assert max(inside) <= math.log(20) + 1e-6


def test_order_means_nothing():
    shares = [0.2, 0.9, 0.65, 0.4, 1.0]
    mixed = shares.copy()
    random.Random(1).shuffle(mixed)
    assert Evidence(shares).bounds(0.05) == pytest.approx(Evidence(mixed).bounds(0.05))


def test_the_path_is_the_evidence_after_each_value():
    shares = [0.2, 0.9, 0.65, 0.4, 1.0]
    expected = [Evidence(shares[:size]).log(0.4) for size in range(1, 6)]
    assert Evidence(shares).path(0.4) == pytest.approx(expected)
    assert Evidence([]).path(0.4).shape == (0,)


def test_nobody_has_finished():
    found = advise([])
    assert (found.kind, found.low, found.high, found.num_listeners, found.more) == ("go on", 0.0, 1.0, 0, None)


def test_what_will_not_be_decided_is_not_promised():
    assert advise([0.4, 0.6001], margin=0.001).more is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.2],), r"expected values in \[0, 1\]"),
        (([math.nan],), r"expected values in \[0, 1\]"),
        (([0.5], 0.6), "expected a margin in"),
        (([0.5], 0.05, 0.0), "alpha must lie in"),
    ],
)
def test_what_cannot_be_is_refused(arguments, message):
    shares, *rest = arguments
    with pytest.raises(ContractError, match=message):
        advise(shares, **dict(zip(("margin", "alpha"), rest, strict=False)))
