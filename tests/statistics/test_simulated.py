"""What the statistics promise, on simulated systems: intervals cover, tests keep their level, power is what it says."""

import numpy as np
import pytest

from benchmarks.verdicts import FAILURES, HEAVY, NORMAL, WORDS, covered, said
from lpo_tts.statistics import (
    bootstrap_wer,
    detectable,
    influences,
    paired_bootstrap_wer,
    permutation_test,
    prompts_needed,
)

pytestmark = pytest.mark.slow


def errors_of(rng, words, hard, rate, seeds=2):
    """Errors of one system: prompts differ in difficulty, seeds of a prompt share it, and errors are skewed."""
    return np.minimum(words[:, None], rng.poisson((rate * words * hard)[:, None], size=(len(words), seeds))).sum(axis=1)


def systems(rng, num_prompts, rate_a, rate_b):
    """(errors, words) per prompt of two systems."""
    words = rng.integers(4, 12, size=num_prompts)
    hard = rng.gamma(2.0, 0.5, size=num_prompts)
    return [np.stack([errors_of(rng, words, hard, rate), 2 * words], axis=1).astype(float) for rate in (rate_a, rate_b)]


@pytest.mark.parametrize("num_prompts", [10, 20, 60])
def test_intervals_cover(num_prompts):
    rng, trials = np.random.default_rng(7), 800
    paired = alone = 0
    truth = np.concatenate([systems(rng, 4000, 0.1, 0.1)[0] for _ in range(50)]).sum(axis=0)
    for trial in range(trials):
        a, b = systems(rng, num_prompts, 0.1, 0.1)
        found = paired_bootstrap_wer(*a.T, *b.T, range(num_prompts), num_resamples=1000, seed=trial).difference
        one = bootstrap_wer(*a.T, range(num_prompts), num_resamples=1000, seed=trial)
        paired += found.low <= 0 <= found.high
        alone += one.low <= truth[0] / truth[1] <= one.high
    # Standard error 0.8 points. The difference is nearly symmetric; one rate is skewed, so few prompts cover somewhat less.
    assert 0.93 <= paired / trials <= 0.98
    assert (0.88 if num_prompts < 20 else 0.91) <= alone / trials <= 0.98


@pytest.mark.parametrize(("num_prompts", "noise", "least"), [(8, 0.0, 0.01), (30, 0.0, 0.025), (30, 0.05, 0.038)])
def test_the_permutation_test_finds_nothing_where_there_is_nothing(num_prompts, noise, least):
    rng, trials = np.random.default_rng(3), 1500
    found = []
    for trial in range(trials):
        a, b = (one + [1.0, 0.0] * rng.normal(0, noise, size=(num_prompts, 1)) for one in systems(rng, num_prompts, 0.1, 0.1))
        found.append(permutation_test(a, b, num_permutations=499, seed=trial).p)
    # Standard error at 0.05: 0.0056. Whole errors give equal differences, which count as extreme: below the level; noise
    # makes them unequal, and the level is met.
    assert least <= np.mean(np.array(found) < 0.05) <= 0.05 + 0.0113


@pytest.mark.parametrize(
    ("world", "margin", "size"),
    [
        (FAILURES, 0.02, 20),
        (FAILURES, 0.02, 180),
        (NORMAL, 0.02, 10),
        (NORMAL, 0.02, 180),
        (HEAVY, 0.02, 180),
        (WORDS, 0.02, 180),
    ],
)
def test_not_worse_is_rarely_said_of_what_is_worse_by_the_margin(world, margin, size):
    assert said(world, margin, size, margin, 400)[1] <= 0.05 + 0.022  # two standard errors


def test_not_worse_is_mostly_said_of_what_is_as_good_and_the_bootstrap_says_too_much():
    assert said(NORMAL, 0.02, 180, 0.0, 200)[1] > 0.7
    bootstrap, tested = said(FAILURES, 0.02, 20, 0.02, 200)
    assert bootstrap > 0.5
    assert tested == 0


def test_equal_prompts_do_not_claim_an_interval():
    with_zero, given, none = covered(40, 0.02, 400)
    assert with_zero < 0.7
    assert given > 0.93
    assert none == pytest.approx(0.98**40, abs=0.08)


def test_as_many_prompts_as_were_called_for_show_the_difference_four_times_in_five():
    rng = np.random.default_rng(11)
    pilot = systems(rng, 2000, 0.10, 0.08)
    spread, true = influences(*pilot).std(ddof=1), 0.02
    needed = prompts_needed(spread, true, alpha=0.05)
    assert needed is not None
    assert detectable(spread, needed, alpha=0.05) <= true
    shown = [permutation_test(*systems(rng, needed, 0.10, 0.08), num_permutations=399, seed=k).p < 0.05 for k in range(500)]
    # Standard error 1.8 points; words are capped at their number, which takes a little off the true difference.
    assert 0.74 <= np.mean(shown) <= 0.86
