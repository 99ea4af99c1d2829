"""Quantiles in resamples of clusters: by hand, and against numpy on the resample written out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lpo_tts.errors import ContractError
from lpo_tts.statistics import Draws, Quantiles

SHARES = (0.5, 0.05, 0.95)


def test_by_hand():
    found = Quantiles([3.0, 1.0, 2.0, 9.0], [0, 0, 1, 1], 2, (0.5, 0.25, 0.95))
    assert found.estimates().tolist() == [2.0, 1.0, 9.0]
    assert found.of(np.array([[2.0, 0.0], [0.0, 1.0], [1.0, 3.0]])).tolist() == [
        [1.0, 1.0, 3.0],
        [2.0, 2.0, 9.0],
        [2.0, 2.0, 9.0],
    ]


def test_without_a_value_there_is_none():
    assert np.isnan(Quantiles([], [], 3, SHARES).estimates()).all()
    assert np.isnan(Quantiles([1.0], [0], 2, SHARES).of(np.array([[0.0, 2.0]]))).all()


@pytest.mark.parametrize("width", [0.0, 1.0, 5.0])  # 0: most are not in the window, and are looked for among all
@given(seed=st.integers(0, 2**32 - 1), num_clusters=st.integers(1, 30), num_values=st.integers(1, 120))
@settings(max_examples=30, deadline=None)
def test_matches_numpy_on_the_resample_written_out(width, seed, num_clusters, num_values):
    rng = np.random.default_rng(seed)
    values = np.round(rng.normal(size=num_values), 1)  # with ties
    clusters = rng.integers(num_clusters, size=num_values)
    draws = Draws(num_clusters, 15, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lpo_tts.statistics.quantiles.WIDTH", width)
        found = Quantiles(values, clusters, num_clusters, SHARES).resampled(draws)
    counts = np.concatenate(list(draws.blocks())).astype(int)
    for row, count in zip(found, counts, strict=True):
        drawn = np.repeat(values, count[clusters])
        if len(drawn):
            assert row.tolist() == [np.quantile(drawn, share, method="inverted_cdf") for share in SHARES]
        else:
            assert np.isnan(row).all()


def test_what_is_no_value_is_refused():
    with pytest.raises(ContractError, match="a value is not finite"):
        Quantiles([np.nan], [0], 1, SHARES)
    with pytest.raises(ContractError, match="one cluster per value"):
        Quantiles([1.0, 2.0], [0], 1, SHARES)
