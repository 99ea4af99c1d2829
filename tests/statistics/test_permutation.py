"""Paired permutation test: by hand, against scipy, and its level."""

import itertools

import numpy as np
import pytest

from lpo_tts.errors import ContractError
from lpo_tts.statistics import permutation_test


def ones(values):
    return np.stack([np.asarray(values, dtype=float), np.ones(len(values))], axis=1)


def test_three_prompts_by_hand():
    # Differences 1, 2, 3: of the 8 ways to flip signs, all plus and all minus reach |mean| = 2.
    found = permutation_test(ones([0, 0, 0]), ones([1, 2, 3]))
    assert (found.p, found.exact, found.num_permutations) == (2 / 8, True, 8)
    # Differences 1, 2, -3 have the mean 0, which every permutation reaches.
    assert permutation_test(ones([0, 0, 3]), ones([1, 2, 0])).p == 1.0


def test_a_ratio_is_computed_anew_in_each_permutation():
    a, b = np.array([[4.0, 4], [0, 6], [1, 8]]), np.array([[0.0, 5], [3, 4], [1, 2]])
    found = []
    for swaps in itertools.product((0, 1), repeat=3):
        swap = np.array(swaps)[:, None] == 1
        new_a, new_b = np.where(swap, b, a).sum(axis=0), np.where(swap, a, b).sum(axis=0)
        found.append(abs(new_b[0] / new_b[1] - new_a[0] / new_a[1]))
    expected = sum(one >= found[0] - 1e-12 for one in found) / 8
    assert permutation_test(a, b).p == expected


def test_prompts_with_equal_entries_change_nothing_and_leave_an_exact_test():
    a = np.concatenate([np.full((500, 2), 3.0), [[0, 4], [1, 4], [2, 4]]])
    b = np.concatenate([np.full((500, 2), 3.0), [[1, 4], [3, 4], [5, 4]]])
    found = permutation_test(a, b)
    assert (found.p, found.exact, found.num_permutations) == (0.25, True, 8)
    same = permutation_test(a, a)
    assert (same.p, same.exact) == (1.0, True)


def test_drawn_permutations_count_the_observed_one_and_repeat_themselves():
    rng = np.random.default_rng(0)
    a = ones(rng.normal(size=40))
    apart = permutation_test(a, a + [5.0, 0.0], num_permutations=999)
    assert (apart.p, apart.exact, apart.num_permutations) == (1 / 1000, False, 999)
    b = ones(a[:, 0] + rng.normal(size=40))
    assert permutation_test(a, b, seed=3) == permutation_test(a, b, seed=3)
    assert permutation_test(a, b, seed=3) != permutation_test(a, b, seed=4)
    assert permutation_test(a, b).p == pytest.approx(permutation_test(b, a).p)


def test_drawn_permutations_come_close_to_all_of_them():
    rng = np.random.default_rng(1)
    a, b = ones(rng.normal(size=12)), ones(rng.normal(0.4, 1, size=12))
    every = permutation_test(a, b, num_permutations=2**12)
    assert every.exact
    assert permutation_test(a, b, num_permutations=4000).p == pytest.approx(every.p, abs=0.03)


def test_matches_scipy_on_a_ratio_of_sums():
    scipy = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(5)
    words = rng.integers(3, 12, size=(9, 2)).astype(float)
    errors = rng.binomial(words.astype(int), 0.3).astype(float)
    place = np.arange(9)

    def difference(x, y, axis=-1):
        # Entries are numbers of rows, so that numerator and denominator change places together.
        x, y = x.astype(int), y.astype(int)
        flat_errors, flat_words = errors.T.ravel(), words.T.ravel()
        return flat_errors[y].sum(axis) / flat_words[y].sum(axis) - flat_errors[x].sum(axis) / flat_words[x].sum(axis)

    expected = scipy.permutation_test(
        (place, place + 9), difference, permutation_type="samples", vectorized=True, n_resamples=np.inf
    )
    found = permutation_test(np.stack([errors[:, 0], words[:, 0]], 1), np.stack([errors[:, 1], words[:, 1]], 1))
    assert found.exact
    assert found.p == pytest.approx(expected.pvalue)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.ones((3, 2)), np.ones((4, 2)), "of one size"),
        (np.ones((3, 2)), np.zeros((3, 2)), "positive denominators"),
        (np.full((3, 2), np.nan), np.ones((3, 2)), "finite sums"),
    ],
)
def test_what_cannot_be_tested_is_refused(a, b, message):
    with pytest.raises(ContractError, match=message):
        permutation_test(a, b)
