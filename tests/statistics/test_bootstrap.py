"""Bootstrap intervals against closed forms, brute force and known coverage; sign test against the binomial."""

import itertools
import math

import numpy as np
import pytest

from lpo_tts.errors import ContractError
from lpo_tts.statistics import (
    bootstrap_mean,
    bootstrap_wer,
    cluster_sums,
    paired_bootstrap_mean,
    paired_bootstrap_wer,
    percentile_interval,
    resampled_sums,
    sign_test,
)


def test_corpus_wer_is_errors_over_words_not_a_mean_of_rates():
    interval = bootstrap_wer([1, 0, 4, 0, 0], [2, 10, 8, 1, 1], ["p", "q", "r", "s", "t"])
    assert interval.estimate == 5 / 22
    assert interval.low <= interval.estimate <= interval.high


@pytest.mark.parametrize("num_clusters", [1, 2, 4])
def test_below_five_prompts_there_is_an_estimate_and_no_interval(num_clusters):
    names = [f"p{k % num_clusters}" for k in range(24)]  # many answers do not make up for few prompts
    rows = [1] * 24, [4] * 24, [2] * 24, [4] * 24
    paired = paired_bootstrap_wer(*rows, names)
    found = [bootstrap_wer(*rows[:2], names), bootstrap_mean(rows[0], names), paired.difference, paired.relative]
    assert [interval.estimate for interval in found] == [0.25, 1.0, 0.25, 1.0]
    assert {(interval.low, interval.high, interval.num_clusters) for interval in found} == {(None, None, num_clusters)}


def test_five_prompts_have_an_interval_and_a_prompt_without_words_is_none():
    five = bootstrap_wer([0, 1, 2, 3, 4], [4] * 5, range(5))
    assert five.num_clusters == 5
    assert five.low < 0.5 < five.high
    assert bootstrap_wer([0, 1, 2, 3, 0], [4, 4, 4, 4, 0], range(5)).low is None


def test_prompts_that_are_all_the_same_have_no_interval_and_one_other_gives_one():
    assert bootstrap_wer([0] * 40, [4] * 40, range(40)).high is None
    one = bootstrap_wer([1, *[0] * 39], [4] * 40, range(40))
    assert one.low == 0 < one.high
    rows = [0] * 40, [4] * 40
    paired = paired_bootstrap_wer(*rows, *rows, range(40))
    assert (paired.difference.estimate, paired.difference.low, paired.relative) == (0, None, None)


def test_cluster_sums_keep_order_of_first_appearance():
    sums, names = cluster_sums([np.array([1.0, 2.0, 4.0]), np.array([1.0, 1.0, 1.0])], ["q", "p", "q"])
    assert names == ["q", "p"]
    assert sums.tolist() == [[5.0, 2.0], [2.0, 1.0]]


def test_all_resamples_of_three_clusters_match_brute_force():
    errors, words = np.array([0.0, 1.0, 5.0]), np.array([4.0, 6.0, 5.0])
    exact = [errors[list(draw)].sum() / words[list(draw)].sum() for draw in itertools.product(range(3), repeat=3)]
    drawn = resampled_sums(np.stack([errors, words], axis=1), num_resamples=60_000, seed=3)
    rates = drawn[:, 0] / drawn[:, 1]
    for value in set(exact):
        expected = exact.count(value) / 27
        assert np.isclose(rates, value).mean() == pytest.approx(expected, abs=0.008)


def test_interval_of_a_mean_matches_the_normal_form():
    values = np.random.default_rng(0).normal(3.0, 2.0, size=2000)
    interval = bootstrap_mean(values, list(range(2000)))
    half = 1.96 * values.std() / math.sqrt(2000)
    assert interval.low == pytest.approx(values.mean() - half, abs=0.006)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.006)


def test_seeds_of_one_prompt_do_not_count_as_independent():
    values = np.random.default_rng(1).normal(size=100)
    once = bootstrap_mean(values, list(range(100)))
    tripled = bootstrap_mean(np.repeat(values, 3), list(np.repeat(np.arange(100), 3)))
    assert tripled.high - tripled.low == pytest.approx(once.high - once.low, rel=1e-9)


@pytest.mark.parametrize("num_clusters", [60])
def test_coverage_of_the_paired_interval_on_simulated_systems(num_clusters):
    rng = np.random.default_rng(7)
    covered, trials = 0, 300
    true_difference = 0.05 - 0.15
    for trial in range(trials):
        words = rng.integers(4, 9, size=num_clusters)
        hard = rng.uniform(0.5, 1.5, size=num_clusters)  # prompts differ in difficulty; its mean is 1
        a, b = rng.binomial(words, 0.15 * hard), rng.binomial(words, 0.05 * hard)
        paired = paired_bootstrap_wer(a, words, b, words, range(num_clusters), num_resamples=1000, seed=trial)
        covered += paired.difference.low <= true_difference <= paired.difference.high
    assert 0.90 <= covered / trials <= 0.98


def test_pairing_is_tighter_than_two_separate_intervals_when_difficulty_is_shared():
    rng = np.random.default_rng(2)
    hard = rng.uniform(0, 1, size=200)
    words = np.full(200, 20)
    a = rng.binomial(20, hard)
    b = np.maximum(a - 1, 0)
    paired = paired_bootstrap_wer(a, words, b, words, range(200)).difference
    alone = bootstrap_wer(a, words, range(200))
    assert paired.high < 0
    assert paired.high - paired.low < 0.25 * (alone.high - alone.low)


def test_paired_wer_by_hand():
    paired = paired_bootstrap_wer([2] * 5, [4] * 5, [1] * 5, [4] * 5, range(5))
    assert (paired.wer_a, paired.wer_b) == (0.5, 0.25)
    assert (paired.difference.estimate, paired.difference.low, paired.difference.high) == (-0.25, None, None)
    assert paired.relative is not None
    assert (paired.relative.estimate, paired.relative.low, paired.relative.high) == (-0.5, None, None)


def test_systems_with_other_order_and_number_of_seeds_are_paired_by_cluster():
    paired = paired_bootstrap_wer([4, 0, 0, 0, 0], [4] * 5, [0] * 8 + [4, 4], [4] * 10, list("pqrst"), list("qqrrssttpp"))
    assert paired.difference.estimate == 0
    assert (paired.difference.low, paired.difference.high) == (None, None), "every prompt has the same difference"


def test_relative_change_is_none_where_the_baseline_makes_no_error():
    assert paired_bootstrap_wer([0, 0], [4, 4], [1, 0], [4, 4], ["p", "q"]).relative is None
    # One erring prompt of five: a third of the resamples leave it out, so the upper end would be infinite.
    names, words = list("pqrst"), [4] * 5
    assert paired_bootstrap_wer([1, 0, 0, 0, 0], words, [0, 1, 0, 0, 0], words, names).relative is None


def test_different_prompts_are_refused():
    with pytest.raises(ContractError, match=r"different prompts \(1 only in a, 1 only in b, e.g. 'q'\)"):
        paired_bootstrap_wer([1, 1], [4, 4], [1, 1], [4, 4], ["p", "q"], ["p", "r"])


def test_paired_mean_by_hand():
    interval = paired_bootstrap_mean([0.5, 0.7] * 3, [0.6, 0.8] * 3, range(6))
    assert interval.estimate == pytest.approx(0.1)
    assert (interval.low, interval.high) == (None, None), "equal but for rounding"


def test_draws_in_chunks_equal_draws_at_once(monkeypatch):
    sums = np.random.default_rng(0).normal(size=(50, 3))
    at_once = resampled_sums(sums, num_resamples=1000, seed=4)
    monkeypatch.setattr("lpo_tts.statistics.draws.CHUNK_ELEMENTS", 7 * 50)
    assert np.allclose(resampled_sums(sums, num_resamples=1000, seed=4), at_once)


def test_same_seed_same_interval():
    values = list(np.random.default_rng(0).normal(size=50))
    assert bootstrap_mean(values, range(50), seed=4) == bootstrap_mean(values, range(50), seed=4)
    assert bootstrap_mean(values, range(50), seed=4) != bootstrap_mean(values, range(50), seed=5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bootstrap_wer([1], [0], ["p"]), "no answer has a word"),
        (lambda: bootstrap_mean([], []), "no answer has a word or a value"),
        (lambda: bootstrap_mean([float("nan")], ["p"]), r"values\[0\] is nan"),
        (lambda: bootstrap_mean([1.0, 2.0], ["p"]), "2 values but 1 clusters"),
        (lambda: bootstrap_mean([1.0], ["p"], confidence=95), r"confidence must lie in \(0, 1\), found 95"),
        (lambda: bootstrap_mean([1.0], ["p"], num_resamples=0), "at least 1"),
        (lambda: paired_bootstrap_mean([1.0], [1.0, 2.0], ["p"]), "a has 1 values and b has 2"),
        (lambda: sign_test(-1, 2), "cannot be negative"),
    ],
)
def test_what_cannot_be_computed_is_refused(call, message):
    with pytest.raises(ContractError, match=message):
        call()


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (5, 0), (8, 2), (2, 8), (10, 10), (37, 61)])
def test_sign_test_matches_the_binomial(wins, losses):
    n, k = wins + losses, min(wins, losses)
    expected = min(1.0, 2 * sum(math.comb(n, i) for i in range(k + 1)) / 2**n)
    assert sign_test(wins, losses) == pytest.approx(expected)


def test_sign_test_known_value_and_large_counts():
    assert sign_test(9, 1) == pytest.approx(0.021484375)
    assert sign_test(5000, 5000) == 1.0
    assert 0 <= sign_test(8000, 2000) < 1e-300


def test_percentile_interval_ignores_an_infinite_tail():
    resamples = np.concatenate([np.arange(999.0), [np.inf]])
    interval = percentile_interval(500.0, resamples, num_clusters=100_000)
    assert interval.high == pytest.approx(974, abs=1)
