"""Ranges, and settings held against the table of their class."""

from dataclasses import dataclass
from typing import Literal

import pytest

from lpo_tts.bounds import Range, above, at_least, check_settings
from lpo_tts.errors import ConfigError


@pytest.mark.parametrize(
    ("allowed", "inside", "outside", "words"),
    [
        (above(0), (1e-9, 5), (0, -1, float("inf"), float("nan")), "above 0"),
        (at_least(1), (1, 2), (0.9, float("inf")), "at least 1"),
        (above(0).at_most(1), (0.5, 1), (0, 1.1), "above 0 and at most 1"),
        (at_least(0).below(0.5), (0, 0.4), (0.5, -0.1), "at least 0 and below 0.5"),
        (Range(), (-1e9, 0), (float("nan"),), "finite"),
    ],
    ids=str,
)
def test_ranges_hold_their_bounds_and_say_so(allowed, inside, outside, words):
    assert all(value in allowed for value in inside)
    assert not any(value in allowed for value in outside)
    assert str(allowed) == words


@dataclass(frozen=True)
class Kettle:
    volume: float | None = 1.0
    colour: Literal["red", "blue"] = "red"

    bounds = {"volume": above(0).at_most(3)}

    def __post_init__(self):
        check_settings(self, type(self).__name__)


@dataclass(frozen=True)
class Whistling(Kettle):
    pitch: float = 440.0

    bounds = {"pitch": at_least(20)}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Kettle(4), "Kettle.volume must be above 0 and at most 3, found 4"),
        (lambda: Kettle(float("inf")), "Kettle.volume must be above 0 and at most 3, found inf"),
        (lambda: Kettle(colour="green"), "Kettle.colour = 'green' is none of red, blue"),
        (lambda: Whistling(pitch=10), "Whistling.pitch must be at least 20, found 10"),
        (lambda: Whistling(0), "Whistling.volume must be above 0 and at most 3, found 0"),
    ],
)
def test_settings_are_held_against_the_table_of_their_class_and_of_those_above(make, message):
    assert Kettle(None).volume is None
    with pytest.raises(ConfigError) as error:
        make()
    assert str(error.value) == message
