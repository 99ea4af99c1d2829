"""Holm's correction, equivalence by a margin and power, by hand arithmetic."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpo_tts.errors import ContractError
from lpo_tts.statistics import Draws, detectable, equivalence_test, holm, influences, prompts_needed


def test_holm_by_hand():
    # Sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1 = 0.04, 0.06, 0.06, 0.04; each at least the one before.
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.7, 0.6]) == [1.0, 1.0]
    assert holm([]) == []
    with pytest.raises(ContractError, match=r"in \[0, 1\], found 1.5"):
        holm([1.5])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_no_correction_and_bonferroni_and_keeps_the_order(values):
    found = holm(values)
    assert all(p <= one <= min(1.0, p * len(values)) + 1e-12 for p, one in zip(values, found, strict=True))
    order = sorted(range(len(values)), key=lambda k: values[k])
    assert all(found[a] <= found[b] for a, b in itertools.pairwise(order))


def test_the_p_of_equivalence_is_the_share_beyond_the_margin():
    resamples = np.linspace(-0.03, 0.01, 9999)  # 24.99 % lie at or below -0.02, none at or above 0.02
    found = equivalence_test(-0.01, resamples, 0.02, alpha=0.05, num_clusters=100_000)
    assert found is not None
    assert found.above_p == pytest.approx(0.25, abs=0.001)
    assert found.below_p == pytest.approx(1 / 10_000, rel=1e-3)
    assert found.p == found.above_p
    assert (found.interval.low, found.interval.high) == (pytest.approx(-0.028, abs=1e-4), pytest.approx(0.008, abs=1e-4))
    assert found.interval.confidence == pytest.approx(0.9)


@pytest.mark.parametrize("num_clusters", [8, 40, 3000])
def test_p_is_below_alpha_where_the_interval_lies_within_the_margin(num_clusters):
    rng = np.random.default_rng(num_clusters)
    for shift in np.linspace(-0.03, 0.03, 25):
        resamples = rng.normal(shift, 0.01, size=5000)
        found = equivalence_test(shift, resamples, 0.02, alpha=0.05, num_clusters=num_clusters)
        assert found is not None
        low, high = found.interval.low, found.interval.high
        edge = min(abs(low + 0.02), abs(high - 0.02))
        assert edge < 2e-4 or (found.p < 0.05) == (low > -0.02 and high < 0.02)


def test_few_prompts_show_no_equivalence_and_a_margin_must_be_one():
    assert equivalence_test(0.0, np.zeros(100), 0.02, alpha=0.05, num_clusters=4) is None
    with pytest.raises(ContractError, match="margin above 0, found 0"):
        equivalence_test(0.0, np.zeros(100), 0, alpha=0.05, num_clusters=40)
    with pytest.raises(ContractError, match=r"alpha in \(0, 0.5\), found 0.5"):
        equivalence_test(0.0, np.zeros(100), 0.1, alpha=0.5, num_clusters=40)


def test_power_by_the_textbook():
    # Cohen 1988: a paired standardised difference of 0.5 at two-sided 5 % and 80 % power: (1.960 + 0.842)² / 0.25 = 31.4.
    assert prompts_needed(1.0, 0.5, alpha=0.05) == 32
    assert detectable(1.0, 100, alpha=0.05) == pytest.approx(0.28016, abs=1e-5)
    needed = prompts_needed(0.07, 0.005, alpha=0.05)
    assert needed is not None
    assert detectable(0.07, needed, alpha=0.05) == pytest.approx(0.005, rel=1e-3)
    assert prompts_needed(0.0, 0.5, alpha=0.05) is None
    assert detectable(0.0, 100, alpha=0.05) is None


def test_influences_of_means_are_the_centred_differences():
    a, b = np.array([[1.0, 1], [3, 1], [8, 1]]), np.array([[2.0, 1], [3, 1], [1, 1]])
    assert influences(a, b).tolist() == pytest.approx([1 + 2, 0 + 2, -7 + 2])


def test_influences_give_the_spread_of_the_bootstrap():
    rng = np.random.default_rng(0)
    words = rng.integers(4, 30, size=300).astype(float)
    a, b = (np.stack([rng.binomial(words.astype(int), rate).astype(float), words], axis=1) for rate in (0.12, 0.1))
    sums = Draws(300, 4000).sums(np.concatenate([a, b], axis=1))
    spread = (sums[:, 2] / sums[:, 3] - sums[:, 0] / sums[:, 1]).std()
    assert influences(a, b).std(ddof=1) / math.sqrt(300) == pytest.approx(spread, rel=0.05)
