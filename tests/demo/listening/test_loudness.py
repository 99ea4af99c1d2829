"""Loudness by ITU-R BS.1770, of clips as short as words."""

import math

import pytest
import torch

pytest.importorskip("pyloudnorm", reason="loudness needs pyloudnorm: pip install lpo-tts[demo]")

from demo.listening.loudness import PEAK, TARGET, loudness, matched

RATE = 48000


def tone(peak, seconds=2.0, hertz=997, rate=RATE):
    return peak * torch.sin(2 * math.pi * hertz * torch.arange(round(rate * seconds)) / rate)


def test_a_full_scale_tone_in_one_channel_has_the_loudness_that_the_standard_says():
    assert loudness(tone(1.0), RATE) == pytest.approx(-3.01, abs=0.05)  # BS.1770-4, annex 1
    assert loudness(tone(0.1), RATE) == pytest.approx(-23.01, abs=0.05)
    assert loudness(tone(0.1, rate=16000), 16000) == pytest.approx(-23.01, abs=0.1)


def test_ears_hear_less_of_low_tones():
    assert loudness(tone(0.1, hertz=50), RATE) < loudness(tone(0.1), RATE) - 2


def test_a_silent_tail_does_not_count_and_a_clip_of_one_syllable_is_measured():
    with_tail = torch.cat([tone(0.1), torch.zeros(10 * RATE)])
    assert loudness(with_tail, RATE) == pytest.approx(-23.0, abs=0.5)  # ungated it would be -30.8
    assert loudness(tone(0.1, 0.2), RATE) == pytest.approx(-23.0, abs=0.3)
    for length in (0.399, 0.4, 0.401):
        assert loudness(tone(0.1, length), RATE) == pytest.approx(-23.0, abs=0.2)


def test_silence_and_next_to_nothing_have_no_loudness():
    assert loudness(torch.zeros(RATE), RATE) == -math.inf
    assert loudness(torch.zeros(0), RATE) == -math.inf
    assert loudness(tone(0.5, 0.01), RATE) == -math.inf
    assert loudness(tone(1e-6), RATE) == -math.inf


def test_clips_come_out_equally_loud():
    waves = matched([tone(0.9), tone(0.001, 0.3), tone(0.05, hertz=300)], RATE)
    assert [loudness(wave, RATE) for wave in waves] == pytest.approx([TARGET] * 3, abs=0.1)


def test_where_a_peak_forbids_the_target_all_stay_lower_together():
    spiky = tone(0.001)
    spiky[1000] = 0.5
    clips = matched([spiky, tone(0.5)], RATE)
    levels = [loudness(wave, RATE) for wave in clips]
    assert levels[0] == pytest.approx(levels[1], abs=0.1)
    assert levels[0] < TARGET - 3
    assert float(clips[0].abs().max()) == pytest.approx(PEAK, abs=1e-3)


def test_silence_stays_silence():
    silent, heard = matched([torch.zeros(RATE), tone(0.3)], RATE)
    assert float(silent.abs().max()) == 0
    assert loudness(heard, RATE) == pytest.approx(TARGET, abs=0.1)
