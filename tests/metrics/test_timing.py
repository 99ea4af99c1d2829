"""Pauses, speaking rate, repetitions and the spread of pitch, and that one recogniser listens once for all of them."""

import math
import sys
from pathlib import Path

import pytest
import torch

from lpo_tts.errors import ConfigError
from lpo_tts.metrics.base import Speech
from lpo_tts.metrics.ending import Ending
from lpo_tts.metrics.pauses import Pauses
from lpo_tts.metrics.pitch_spread import PitchSpread
from lpo_tts.metrics.repetition import Repetition
from lpo_tts.metrics.speaking_rate import SpeakingRate

sys.path.insert(0, str(Path(__file__).parent))

from timed import RATE, Told, noise, silence, speech, tone

WORDS = (("gate", 0.2, 0.5), ("blue", 0.9, 1.2), ("four", 1.25, 1.55))
PARTS = (silence(0.2), tone(0.3), silence(0.4), tone(0.3), silence(0.05), tone(0.3), silence(0.7))


def test_the_longest_pause_lies_between_words():
    judgement = Pauses(Told(WORDS)).load().judge([speech(*PARTS)])[0]
    assert judgement.value == pytest.approx(0.4, abs=0.021)
    assert len(judgement.detail["pauses"]) == 1  # 50 ms are a plosive; what lies before and after the words is no pause
    assert judgement.detail["total"] == judgement.value
    noisy = Speech(id="n", audio=torch.cat(PARTS) + noise(2.25, -60), sample_rate=RATE, text="a")
    assert Pauses(Told(WORDS)).load().judge([noisy])[0].value == pytest.approx(0.4, abs=0.021)
    both = Pauses(Told(WORDS), shortest=0.02).load().judge([speech(*PARTS)])[0]
    assert len(both.detail["pauses"]) == 2


def test_words_per_second_of_speech():
    judgement = SpeakingRate(Told(WORDS)).load().judge([speech(*PARTS)])[0]
    assert judgement.value == pytest.approx(3 / (1.55 - 0.2 - 0.4), rel=0.03)
    assert judgement.detail["num_words"] == 3


def test_nothing_heard_has_no_rate_and_no_pause_but_no_repetition_either():
    for metric in (Pauses, SpeakingRate):
        assert metric(Told(())).load().judge([speech(silence(1.0))])[0].detail == {"reason": "no word is heard"}
    assert Repetition(Told(())).load().judge([speech(silence(1.0))])[0].value == 0.0


def test_repeated_runs_are_counted():
    words = (*WORDS, ("blue", 1.6, 1.8), ("four", 1.8, 2.0))
    assert Repetition(Told(words)).load().judge([speech(*PARTS)])[0].value == 1.0
    assert Repetition(Told(words), order=1).load().judge([speech(*PARTS)])[0].value == 2.0
    with pytest.raises(ConfigError, match="order must be at least 1"):
        Repetition(Told(()), order=0)


def test_metrics_with_one_recogniser_load_it_once_and_listen_once():
    recogniser = Told((("one", 0.2, 0.5),))
    metrics = [metric(recogniser).load() for metric in (Ending, Pauses, SpeakingRate, Repetition)]
    items = [speech(*PARTS), speech(tone(0.5), silence(0.1))]
    for metric in metrics:
        metric.judge(items)
    assert len(recogniser.heard) == 2
    metrics[0].judge([speech(*PARTS)])  # equal, and another waveform
    assert len(recogniser.heard) == 3


def test_long_silence_around_the_speech_is_kept_from_the_recogniser_and_times_stay_right():
    recogniser = Told((("four", 0.2, 0.5),))  # in what it is given, which begins 0.2 s before the sound
    item = speech(silence(3.0), tone(0.3), silence(4.0), text="four")
    detail = Ending(recogniser).load().judge([item])[0].detail
    assert recogniser.heard == [pytest.approx(0.7, abs=0.03)]
    assert detail["last_word_end"] == pytest.approx(3.3, abs=0.03)
    assert (detail["kind"], detail["trailing_silence"]) == ("trailing_silence", pytest.approx(4.0, abs=0.03))


@pytest.mark.slow
def test_the_spread_of_pitch_is_that_of_the_glide():
    pytest.importorskip("librosa", reason="the package librosa is not installed")
    times = torch.arange(2 * RATE) / RATE
    logs = math.log2(120) + times / 2  # one octave in two seconds: evenly spread over 12 semitones
    phase = torch.cumsum(2 * torch.pi * 2**logs / RATE, 0)
    glide = 0.05 * sum(torch.sin(number * phase) / number for number in range(1, 8))
    found = PitchSpread().load().judge([Speech(id="g", audio=glide, sample_rate=RATE, text="")])[0]
    assert found.value == pytest.approx(12 / math.sqrt(12), rel=0.1)
    assert found.detail["median"] == pytest.approx(120 * 2**0.5, rel=0.05)
    hiss = PitchSpread(min_voiced=1.0).load().judge([Speech(id="n", audio=noise(2.0, -20), sample_rate=RATE, text="")])[0]
    assert hiss.value is None
    assert "voiced" in hiss.detail["reason"]


def test_bounds_of_pitch_are_checked():
    with pytest.raises(ConfigError, match=r"highest must be above lowest = 200, found 100"):
        PitchSpread(lowest=200, highest=100)
