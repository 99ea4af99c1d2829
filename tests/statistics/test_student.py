"""Student's t against published tables, and against scipy where it is installed."""

import math

import pytest

from lpo_tts.statistics.intervals import expanded_tail
from lpo_tts.statistics.student import NORMAL, t_cdf, t_quantile


@pytest.mark.parametrize(("freedom", "value"), [(1, 12.706), (2, 4.303), (4, 2.776), (10, 2.228), (29, 2.045), (120, 1.980)])
def test_quantiles_of_the_printed_tables(freedom, value):
    assert t_quantile(0.975, freedom) == pytest.approx(value, abs=5e-4)
    assert t_quantile(0.025, freedom) == pytest.approx(-t_quantile(0.975, freedom))


def test_one_degree_of_freedom_is_the_cauchy_distribution():
    assert t_cdf(1.0, 1) == pytest.approx(0.75)
    assert t_cdf(0.0, 7) == 0.5


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 19, 30, 59, 400, 2019, 50_000])
def test_matches_scipy(freedom):
    scipy = pytest.importorskip("scipy.stats")
    for value in (-6.0, -1.2, 0.0, 0.4, 2.7):
        assert t_cdf(value, freedom) == pytest.approx(scipy.t.cdf(value, freedom), abs=1e-5 if freedom > 20_000 else 1e-12)
    for share in (1e-4, 0.025, 0.3, 0.9):
        assert t_quantile(share, freedom) == pytest.approx(scipy.t.ppf(share, freedom), rel=1e-4)


@pytest.mark.parametrize("num_clusters", [5, 12, 40, 400])
def test_an_expanded_tail_is_that_of_a_t_interval(num_clusters):
    share = expanded_tail(0.05, num_clusters)
    assert share < 0.05
    # As far from the centre, in standard errors of the bootstrap, as t is in those of the sample.
    width = math.sqrt((num_clusters - 1) / num_clusters) * NORMAL.inv_cdf(share)
    assert t_cdf(width, num_clusters - 1) == pytest.approx(0.05)


def test_with_many_clusters_nothing_is_expanded():
    assert expanded_tail(0.025, 100_000) == pytest.approx(0.025, rel=1e-3)
