"""How far work on audio is: a bar with the time left on a terminal, else lines in the log now and then."""

import io
import sys
import time

import pytest

from lpo_tts.steps import progress
from lpo_tts.steps.progress import Meter


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_the_log_tells_now_and_then_how_long_it_will_take(clock, caplog):
    caplog.set_level("INFO", logger="lpo_tts")
    with Meter("evaluate") as meter:
        meter(0, 3600)
        clock[0] += 59
        meter(100, 3600)
        assert not caplog.messages
        clock[0] += 61
        meter(200, 3600)  # an eighteenth of it took 2 minutes
        clock[0] += 10
        meter(300, 3600)
        clock[0] += 60
        meter(3600, 3600)
    assert caplog.messages == ["evaluate: 200 of 3600 s of audio, about 34 min left"]


@pytest.mark.parametrize(("seconds", "text"), [(5, "1 min"), (100, "2 min"), (3600, "1 h 00 min"), (9000, "2 h 30 min")])
def test_times_are_rounded_as_people_say_them(seconds, text):
    assert progress._clock(seconds) == text


def test_a_terminal_has_a_bar_in_seconds_of_audio(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Meter("evaluate") as meter:
        meter(0, 200)
        meter._bar.mininterval = 0
        meter(50, 200)
        shown = str(meter._bar)
    assert shown.startswith("evaluate:  25% |")
    assert "50 of 200 s of audio" in shown
    assert shown.endswith("left")


def test_nothing_is_shown_where_nothing_is_done(monkeypatch, caplog):
    with Meter("evaluate") as meter:
        assert not meter.started
    assert not caplog.messages
