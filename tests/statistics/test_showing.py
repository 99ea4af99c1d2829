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


def plain(values):
    """Values of as many prompts as the table of a mean: each over 1."""
    return np.stack([np.asarray(values, dtype=float), np.ones(len(values))], axis=1)


@pytest.mark.parametrize(("num_prompts", "failures"), [(6, 0), (20, 0), (40, 1), (180, 0), (180, 2)])
def test_failures_that_are_counted_give_the_exact_binomial_test(num_prompts, failures):
    """Clopper and Pearson: p against "a share of margin or more fails" is the chance of so few failures at that share."""
    margin = 0.03
    new = np.arange(num_prompts) < failures
    found = equivalence_test(plain(np.zeros(num_prompts)), plain(new), margin, 1.0, alpha=0.05)
    assert found is not None
    terms = (math.comb(num_prompts, k) * margin**k * (1 - margin) ** (num_prompts - k) for k in range(failures + 1))
    assert found.below_p == pytest.approx(sum(terms), abs=0.02)  # five standard errors of 10,000 draws
    assert found.p >= found.below_p
    if failures == 0:
        assert found.interval.high == pytest.approx(1 - 0.05 ** (1 / num_prompts), rel=0.04)


def test_six_prompts_without_an_error_are_not_equivalent_to_half_a_point():
    faultless = plain(np.zeros(6))
    found = equivalence_test(faultless, faultless, 0.005, 1.0, alpha=0.05)
    assert found is not None
    assert found.p > 0.9
    assert found.interval.high > 0.3
    assert found.interval.low == pytest.approx(-found.interval.high, rel=0.01), "the same weights on both sides"


def test_without_a_chance_of_worse_prompts_it_is_the_bayesian_bootstrap():
    rng = np.random.default_rng(2)
    words = rng.integers(4, 30, size=400).astype(float)
    old, new = (np.stack([rng.binomial(words.astype(int), rate), words], axis=1) for rate in (0.10, 0.12))
    found = equivalence_test(old, new, 0.03, 1e-9, alpha=0.05, num_resamples=4000)
    assert found is not None
    spread = influences(old, new).std(ddof=1) / math.sqrt(400)
    assert found.interval.estimate == pytest.approx(0.02, abs=0.02)
    assert found.interval.high - found.interval.estimate == pytest.approx(1.645 * spread, rel=0.1)
    assert found.interval.estimate - found.interval.low == pytest.approx(1.645 * spread, rel=0.1)
    wider = equivalence_test(old, new, 0.03, 1.0, alpha=0.05, num_resamples=4000)
    assert wider.interval.high > found.interval.high
    assert wider.p > found.p


@pytest.mark.parametrize("num_prompts", [8, 40, 300])
def test_p_is_below_alpha_where_the_interval_lies_within_the_margin(num_prompts):
    rng = np.random.default_rng(num_prompts)
    noise = rng.normal(0, 0.01, size=num_prompts)
    for shift in np.linspace(-0.03, 0.03, 13):
        found = equivalence_test(plain(np.zeros(num_prompts)), plain(noise + shift), 0.02, 0.1, alpha=0.05, num_resamples=2000)
        assert found is not None
        low, high = found.interval.low, found.interval.high
        edge = min(abs(low + 0.02), abs(high - 0.02))
        assert edge < 2e-4 or (found.p < 0.05) == (low > -0.02 and high < 0.02)


def test_few_prompts_show_no_equivalence_and_what_cannot_be_is_refused():
    some = plain(np.zeros(40))
    assert equivalence_test(some[:4], some[:4], 0.02, 1.0, alpha=0.05) is None
    for more, margin, bound, alpha, message in [
        (some, 0, 1.0, 0.05, "margin above 0, found 0"),
        (some, 0.02, 0.0, 0.05, "bound above 0, found 0"),
        (some, 0.1, 1.0, 0.5, r"alpha in \(0, 0.5\), found 0.5"),
        (some[1:], 0.1, 1.0, 0.05, "two tables .* of one size"),
        (some * [1, 0], 0.1, 1.0, 0.05, "positive denominators"),
    ]:
        with pytest.raises(ContractError, match=message):
            equivalence_test(some, more, margin, bound, alpha=alpha)


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
