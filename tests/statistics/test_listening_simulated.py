"""What the statistics of listening promise, on simulated listeners: intervals cover, and looking again and again is safe."""

import math

import numpy as np
import pytest

from lpo_tts.statistics.anytime import Evidence, advise
from lpo_tts.statistics.crossed import Crossed

pytestmark = pytest.mark.slow
LIMIT = math.log(20)  # alpha = 0.05


def shares(rng, listeners, trials, mean, spread):
    """Listeners' shares of votes; their true shares have a beta distribution with this mean and standard deviation."""
    if spread:
        size = mean * (1 - mean) / spread**2 - 1
        true = rng.beta(mean * size, (1 - mean) * size, size=listeners)
    else:
        true = np.full(listeners, mean)
    return rng.binomial(trials, true) / trials


def ever(values, mean):
    """Whether a mean is excluded at any of the looks, one after each value."""
    return bool((Evidence(values).path(mean) >= LIMIT).any())


@pytest.mark.parametrize(("trials", "spread"), [(1, 0.0), (20, 0.0), (20, 0.15), (20, 0.3), (10, 0.45)])
@pytest.mark.parametrize("mean", [0.5, 0.55])
def test_a_look_after_every_listener_errs_no_more_often_than_was_asked_for(trials, spread, mean):
    rng, runs = np.random.default_rng(1), 1000
    wrong = sum(ever(shares(rng, 100, trials, mean, spread), mean) for _ in range(runs))
    # Excluding 0.5 there is a wrong "decided", excluding 0.55 a wrong "equivalent". Standard error 0.7 points.
    assert wrong / runs <= 0.05 + 0.014


def test_votes_taken_as_independent_err_far_too_often():
    rng, runs, wrong = np.random.default_rng(2), 100, 0
    for _ in range(runs):
        rates = shares(rng, 30, 10**6, 0.5, 0.25)
        votes = [vote for rate in rates for vote in (rng.random(20) < rate).astype(float)]
        wrong += ever(votes, 0.5)
    assert wrong / runs > 0.3


def test_a_preference_is_found_by_about_as_many_listeners_as_were_told():
    rng, told, came = np.random.default_rng(3), [], []
    for _ in range(60):
        values = shares(rng, 400, 20, 0.62, 0.15)
        advice = advise(values[:12])
        if advice.kind == "go on" and advice.toward == "decided" and advice.more is not None:
            told.append(12 + advice.more)
        came.append(1 + int(np.argmax(Evidence(values).path(0.5) >= LIMIT)))
    assert 0.6 < np.median(told) / np.median(came) < 1.7
    assert np.median(came) < 50


def crossed_votes(rng, num_listeners, num_items, trials, by_listener, by_item):
    """Votes, listeners and items; preferences that listeners and items add to one half."""
    listener, item = (rng.normal(0, spread, size) for spread, size in ((by_listener, num_listeners), (by_item, num_items)))
    names, texts, votes = [], [], []
    for k in range(num_listeners):
        own = rng.permutation(num_items)[:trials]
        votes += (rng.random(trials) < np.clip(0.5 + listener[k] + item[own], 0, 1)).astype(float).tolist()
        names += [k] * trials
        texts += own.tolist()
    return np.array(votes), names, texts


@pytest.mark.parametrize(
    ("num_listeners", "num_items", "trials", "by_listener", "by_item"),
    [(8, 20, 20, 0.15, 0.15), (20, 40, 20, 0.0, 0.0), (20, 40, 20, 0.25, 0.0), (20, 40, 20, 0.0, 0.25), (40, 40, 10, 0.15, 0.15)],
)
def test_intervals_over_listeners_and_items_cover(num_listeners, num_items, trials, by_listener, by_item):
    rng, runs = np.random.default_rng(5), 1000
    covered = naive = 0
    for seed in range(runs):
        votes, names, texts = crossed_votes(rng, num_listeners, num_items, trials, by_listener, by_item)
        found = Crossed(names, texts, num_resamples=600, seed=seed).mean(votes, span=(0, 1))
        covered += found.low <= 0.5 <= found.high
        naive += abs(votes.mean() - 0.5) <= 1.96 * math.sqrt(0.25 / len(votes))
    assert 0.93 <= covered / runs <= 0.985  # standard error 0.7 points
    if by_listener or by_item:
        assert naive / runs < 0.85
