"""Strengths by hand, and what cannot be ranked."""

import math

import numpy as np
import pytest

from lpo_tts.errors import ContractError
from lpo_tts.statistics.bradley_terry import connected, log_strengths


def test_two_systems_have_the_odds_of_their_wins():
    # Seven wins to two, and half of one tie for each: odds of 7.5 to 2.5.
    first, second = log_strengths([[0, 7], [2, 0]])
    assert first - second == pytest.approx(math.log(3))
    assert first + second == pytest.approx(0)


def test_a_tie_is_half_a_win_for_each():
    assert log_strengths([[0, 3.5], [3.5, 0]]) == pytest.approx([0, 0])


def test_many_comparisons_give_back_the_strengths_they_came_from():
    true = np.array([0.9, 0.2, -0.3, -0.8])
    wins = 1e7 / (1 + np.exp(true[None, :] - true[:, None]))
    assert log_strengths(wins) == pytest.approx(true, abs=1e-5)


def test_strengths_meet_the_equations_of_the_likelihood():
    wins = np.array([[0, 5, 2, 0], [3, 0, 4, 0], [1, 2, 0, 6], [0, 0, 3, 0]], dtype=float)
    found = log_strengths(wins)
    together = ((wins + wins.T) > 0) & ~np.eye(4, dtype=bool)
    held = wins + 0.5 * together
    expected = ((held + held.T) / (1 + np.exp(found[None, :] - found[:, None]))).sum(axis=1)
    assert held.sum(axis=1) == pytest.approx(expected, rel=1e-6)  # wins are as many as are expected


def test_who_has_won_all_has_a_finite_strength():
    found = log_strengths([[0, 9, 9], [0, 0, 5], [0, 4, 0]])
    assert np.isfinite(found).all()
    assert found.argmax() == 0


def test_resamples_are_fitted_side_by_side():
    tables = np.array([[[0, 7], [2, 0]], [[0, 1], [6, 0]]], dtype=float)
    assert log_strengths(tables) == pytest.approx(np.stack([log_strengths(one) for one in tables]), abs=1e-6)


def test_groups_that_were_never_compared_have_no_common_scale():
    apart = np.zeros((4, 4))
    apart[0, 1] = apart[2, 3] = 3
    assert not connected(apart + apart.T > 0)
    with pytest.raises(ContractError, match="never compared"):
        log_strengths(apart)
    with pytest.raises(ContractError, match=r"found shape \(2, 3\)"):
        log_strengths(np.ones((2, 3)))
