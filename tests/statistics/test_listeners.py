"""Variance components, binomial tails and the price of a difference, by hand."""

import math

import numpy as np
import pytest

from lpo_tts.errors import ContractError
from lpo_tts.statistics import sign_test
from lpo_tts.statistics.listeners import binomial_tail, listeners_needed, spread_of


def test_the_spread_of_listeners_is_what_chance_does_not_explain():
    # Three listeners, two answers each: means 1, 3, 5. Within: (0.5 * 3) / 3 = 0.5. Between: 2 * 8 / 2 = 8, less 0.5, over 2.
    found = spread_of([0.5, 1.5, 2.5, 3.5, 4.5, 5.5], ["a", "a", "b", "b", "c", "c"])
    assert found is not None
    assert found.within == pytest.approx(math.sqrt(0.5))
    assert found.between == pytest.approx(math.sqrt(3.75))
    # Drawn in by 3.75 / (3.75 + 0.25).
    assert found.shrunk == {"a": pytest.approx(3 - 2 * 0.9375), "b": pytest.approx(3), "c": pytest.approx(3 + 2 * 0.9375)}


def test_listeners_no_more_apart_than_by_chance_have_no_spread():
    found = spread_of([0, 1, 1, 0, 0, 1], ["a", "a", "b", "b", "c", "c"])
    assert found is not None
    assert found.between == 0
    assert set(found.shrunk.values()) == {0.5}
    alike = spread_of([1.0] * 4, ["a", "a", "b", "b"])
    assert (alike.between, alike.within, alike.shrunk) == (0, 0, {"a": 1, "b": 1})


def test_unequal_numbers_of_answers_bring_no_bias():
    rng = np.random.default_rng(2)
    found = []
    for _ in range(300):
        counts = rng.integers(2, 30, size=25)
        names = np.repeat(np.arange(25), counts)
        values = rng.normal(0, 0.3, size=25)[names] + rng.normal(0, 0.5, size=len(names))
        found.append(spread_of(values, names.tolist()).between ** 2)
    assert np.mean(found) == pytest.approx(0.09, rel=0.1)  # standard error 2 %


def test_one_listener_or_one_answer_each_tells_no_spread():
    assert spread_of([0, 1], ["a", "a"]) is None
    assert spread_of([0, 1], ["a", "b"]) is None


def test_binomial_tail():
    assert binomial_tail(5, 5) == 1 / 32
    assert binomial_tail(4, 5) == 6 / 32
    assert binomial_tail(0, 5) == binomial_tail(0, 0) == 1
    assert 2 * binomial_tail(9, 12) == pytest.approx(sign_test(9, 3))
    with pytest.raises(ContractError, match="from 0 to 5 successes, found 6"):
        binomial_tail(6, 5)


def test_the_price_of_a_difference():
    spread = spread_of([0.5, 1.5, 2.5, 3.5, 4.5, 5.5], ["a", "a", "b", "b", "c", "c"])
    # (1.95996 + 0.84162)^2 * (3.75 + 0.5 / 5) / 1
    assert listeners_needed(spread, 5, 1.0) == math.ceil((1.959964 + 0.841621) ** 2 * 3.85)
    assert listeners_needed(spread, 50, 1.0) < listeners_needed(spread, 5, 1.0)
