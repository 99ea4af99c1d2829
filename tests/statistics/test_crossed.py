"""The two-way bootstrap on small tables, by hand."""

import numpy as np
import pytest

from lpo_tts.errors import ContractError
from lpo_tts.statistics.crossed import Crossed

LISTENERS = [name for name in "abcdefgh" for _ in range(6)]
ITEMS = list(range(6)) * 8


def test_the_variance_is_that_of_listeners_and_items_less_that_of_single_answers():
    # Two listeners, two items; mean 1/4. Influences: (1, 0, 0, 0) less 1/4, each over 4.
    found = Crossed(["a", "a", "b", "b"], [1, 2, 1, 2]).variance([1, 0, 0, 0])
    # Sums by listener (0.5, -0.5), by item the same, single 0.75 and three times -0.25; squares over 16.
    assert found == pytest.approx(max(0.5 + 0.5 - 0.75, 0.5, 0.5, 0.75) / 16)
    # Listeners alone differ: 2 of 2 against 0 of 2. Sums by listener 1 and -1, by item 0, single four times 0.5.
    assert Crossed(["a", "a", "b", "b"], [1, 2, 1, 2]).variance([1, 1, 0, 0]) == pytest.approx(2 / 16)


def test_resamples_spread_as_the_theory_says_and_intervals_as_the_two_way_variance():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2, size=48).astype(float)
    crossed = Crossed(LISTENERS, ITEMS, num_resamples=20_000, seed=1)
    drawn = crossed.sums(np.stack([values, np.ones(48)], axis=1))
    influences = (values - values.mean()) / 48
    by_listener, by_item = (np.array([influences[np.array(names) == name].sum() for name in dict.fromkeys(names)])
                            for names in (LISTENERS, ITEMS))  # fmt: skip
    expected = (by_listener**2).sum() + (by_item**2).sum() + (influences**2).sum()
    assert (drawn[:, 0] / drawn[:, 1]).var() == pytest.approx(expected, rel=0.15)
    wide = Crossed(LISTENERS, ITEMS, num_resamples=20_000).mean(values, span=(0, 1), confidence=0.68)
    # 68 % is one standard deviation each way; 6 items widen it by the t distribution of 5 degrees, by about a fifth.
    half = (wide.high - wide.low) / 2
    assert 1.0 < half / np.sqrt(crossed.variance(values)) < 1.4


def test_the_estimate_is_the_plain_mean_and_the_interval_holds_it():
    values = np.tile([0.0, 0.5, 1.0, 1.0, 0.0, 1.0], 8)
    values[:3] = 1.0
    found = Crossed(LISTENERS, ITEMS, num_resamples=500).mean(values, span=(0, 1))
    assert found.estimate == pytest.approx(values.mean())
    assert 0 <= found.low < found.estimate < found.high <= 1
    assert found.num_clusters == 6


def test_a_difference_is_over_the_same_listeners_and_items():
    rng = np.random.default_rng(3)
    people, texts = LISTENERS * 2, ITEMS * 2
    kind = {name: 2 * number for number, name in enumerate("abcdefgh")}  # some rate all things higher
    base = np.array([kind[name] for name in LISTENERS]) + rng.normal(0, 0.3, size=48)
    values = np.concatenate([base, base + 1 + rng.normal(0, 0.3, size=48)])
    first, second = np.arange(96) < 48, np.arange(96) >= 48
    crossed = Crossed(people, texts, num_resamples=2000)
    found = crossed.difference(values, first, second, span=(0, 20))
    assert found.estimate == pytest.approx(values[second].mean() - values[first].mean())
    assert 0.7 < found.low < found.high < 1.3
    alone = crossed.mean(values, among=second, span=(0, 20))
    assert alone.high - alone.low > 5


def test_of_one_mind_there_is_an_interval_by_the_number_of_listeners_or_items():
    """Eight listeners and six items: six is what both speak for."""
    alike = 0.025 ** (1 / 6)
    found = Crossed(LISTENERS, ITEMS, num_resamples=100).mean([1.0] * 48, span=(0, 1))
    assert (found.low, found.high, found.num_clusters) == (pytest.approx(alike), 1.0, 6)
    swapped = Crossed(ITEMS, LISTENERS, num_resamples=100).mean([1.0] * 48, span=(0, 1))
    assert (swapped.low, swapped.high) == (found.low, found.high)
    ties = Crossed(LISTENERS, ITEMS, num_resamples=100).mean([0.5] * 48, span=(0, 1))
    assert (ties.low, ties.high) == (pytest.approx(0.5 * alike), pytest.approx(1 - 0.5 * alike))


@pytest.mark.parametrize(("people", "texts"), [(200, 1), (1, 200), (4, 50), (50, 4), (1, 1)])
def test_of_one_mind_few_listeners_or_few_items_give_no_interval_either(people, texts):
    listeners, items = zip(*[(one, other) for one in range(people) for other in range(texts)], strict=True)
    found = Crossed(listeners, items, num_resamples=100).mean([1.0] * (people * texts), span=(0, 1))
    assert (found.estimate, found.low, found.high, found.num_clusters) == (1.0, None, None, min(people, texts))


def test_a_difference_needs_enough_listeners_and_items_on_both_sides():
    """One item of the first system and six of the second are no basis for an interval."""
    first = np.array([item == 0 for item in ITEMS] + [False] * 48)
    second = np.arange(96) >= 48
    for values in (second.astype(float), np.arange(96) % 5 / 4):
        found = Crossed(LISTENERS * 2, ITEMS * 2, num_resamples=100).difference(values, first, second, span=(0, 1))
        assert (found.low, found.high, found.num_clusters) == (None, None, 1)


def test_few_listeners_or_few_items_give_no_interval():
    few = Crossed(["a", "b", "c", "d"] * 6, [k for k in range(6) for _ in range(4)], num_resamples=100)
    found = few.mean(np.arange(24) % 3 / 2, span=(0, 1))
    assert (found.low, found.high, found.num_clusters) == (None, None, 4)


def test_a_difference_that_everybody_hears_alike_has_no_spread_however_much_their_ratings_differ():
    base = np.tile([1.0, 2.0, 3.0, 1.0, 2.0, 1.0], 8)
    found = Crossed(LISTENERS * 2, ITEMS * 2, num_resamples=100).difference(
        np.concatenate([base, base + 1]), np.arange(96) < 48, np.arange(96) >= 48, span=(1, 5)
    )
    assert found.estimate == pytest.approx(1)
    alike = 0.025 ** (1 / 6)
    assert (found.low, found.high) == (pytest.approx(alike - 4 * (1 - alike)), pytest.approx(alike + 4 * (1 - alike)))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ContractError, match="a listener and an item for each answer, found 2 and 1"):
        Crossed(["a", "b"], [1])
    with pytest.raises(ContractError, match="found 0 and 0"):
        Crossed([], [])
    with pytest.raises(ContractError, match="expected 2 finite values"):
        Crossed(["a", "b"], [1, 2]).mean([0.5, float("nan")], span=(0, 1))
    with pytest.raises(ContractError, match="expected some of 2 answers"):
        Crossed(["a", "b"], [1, 2]).mean([0.5, 1.0], among=[False, False], span=(0, 1))
