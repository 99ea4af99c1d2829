"""BCO's threshold: the running mean of the rewards."""

import pytest

from lpo_tts.losses.base import Context
from lpo_tts.losses.bco import BCO

ROWS = ([-40.0, -80.0], [-45.0, -130.0], [-41.0, -90.0], [-43.0, -100.0], [10, 20], [12, 25])  # x1 = 1, 10; x2 = -2, -30


def test_threshold_follows_the_mean_of_all_rewards(evaluate):
    loss = BCO()
    output, _, _ = evaluate(loss, *ROWS)
    assert output.observed["reward"].tolist() == pytest.approx([-0.05, -1.0])
    state = loss.initial_state()
    assert state == {"delta": 0.0}
    for expected in (-0.0525, -0.09975):
        state = loss.next_state(state, {"reward": -0.525})
        assert state == {"delta": pytest.approx(expected)}


def test_momentum_of_one_stays_trls_bco_pair(evaluate):
    loss = BCO(momentum=1.0)
    assert loss.next_state(loss.initial_state(), {"reward": 7.0}) == {"delta": 0.0}


def test_threshold_is_where_the_two_pulls_are_equal(evaluate):
    """At a reward equal to delta both sides have half their gradient, whatever delta is."""
    _, chosen, rejected = evaluate(BCO(), 7.0, 7.0, 0.0, 0.0, 10, 10, Context(state={"delta": 0.7}))
    assert (chosen.item(), rejected.item()) == pytest.approx((-0.05, 0.05))
