"""What a metric says of its values is read in one place, and numbers are printed in their unit."""

import pytest

from lpo_tts.errors import ConfigError
from lpo_tts.metrics import REGISTRY
from lpo_tts.metrics.base import scale_of, weight_of
from lpo_tts.scale import Scale

RATE, SCORE, SECONDS = (
    Scale(higher_is_better=False, unit="%"),
    Scale(higher_is_better=True),
    Scale(higher_is_better=False, unit="s"),
)


@pytest.mark.parametrize(
    ("scale", "value", "text"),
    [(RATE, 0.125, "12.50 %"), (RATE, None, "–"), (SCORE, 0.8125, "0.812"), (SCORE, -0.1, "−0.100"), (SECONDS, 1.5, "1.500 s")],
)
def test_values_are_printed_in_their_unit(scale, value, text):
    assert scale.text(value) == text


def test_a_sign_is_shown_on_request_and_zero_has_none():
    assert RATE.number(0.05, signed=True) == "+5.00"
    assert RATE.number(-0.000001, signed=True) == "0.00"
    assert SECONDS.text(2, 0) == "2 s"


@pytest.mark.parametrize("name", REGISTRY)
def test_every_metric_says_what_its_values_mean(name):
    metric = REGISTRY.get(name)
    if name == "http":  # its recipe says what the numbers mean
        metric = metric(url="http://localhost/score", higher_is_better=True)
    scale = scale_of(metric)
    assert scale.title
    assert scale.short


def test_what_is_left_out_is_a_plain_mean_under_the_name_of_the_class():
    class Loud:
        higher_is_better = True

    scale = scale_of(Loud())
    assert (scale.aggregate, scale.unit, scale.missing, scale.title, scale.short) == ("mean", "", None, "Loud", "Loud")
    assert weight_of(Loud(), "a text") is None


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({}, "says `higher_is_better: ClassVar"),
        ({"higher_is_better": 1}, "says `higher_is_better: ClassVar"),
        ({"higher_is_better": True, "aggregate": "median"}, "aggregate must be one of ratio, mean, found 'median'"),
        ({"higher_is_better": True, "aggregate": "ratio"}, "a ratio counts missing candidates; say as what"),
        ({"higher_is_better": True, "missing": "all"}, "expected missing to be a finite number or None, found 'all'"),
        ({"higher_is_better": True, "perfect": float("inf")}, "expected perfect to be a finite number or None, found inf"),
    ],
)
def test_what_cannot_be_is_refused(said, message):
    with pytest.raises(ConfigError, match=message):
        scale_of(type("Mine", (), said))
