"""What quality predictors share: reasons for what cannot be measured, waveforms for the rest."""

import pytest
import torch

from lpo_tts.metrics.base import Judgement, Speech
from lpo_tts.metrics.waveforms import in_order, measurable, not_finite, rounded


def speech(audio, rate=16000):
    return Speech(id="x", audio=audio, sample_rate=rate, text="")


def test_what_cannot_be_measured_has_its_reason_and_the_rest_is_resampled():
    given = [
        speech(torch.zeros(16000)),
        speech(3 * torch.ones(8000), 8000),
        speech(torch.ones(100)),
        speech(torch.ones(24000), 24000),
    ]
    without, waves = measurable(given, 0.3, 16000)
    assert {index: one.detail["reason"] for index, one in without.items()} == {
        0: "the audio is silent",
        2: "the audio is too short: 0.01 s, at least 0.3 s are needed",
    }
    assert [len(waves[1]), len(waves[3])] == [16000, 16000]
    assert float(waves[1].max()) == 1.0, "as a wav file would clip it"
    assert float(given[1].audio.max()) == 3.0, "the speech itself is left as it was"


def test_without_a_rate_each_keeps_its_own():
    without, waves = measurable([speech(torch.ones(4000), 8000), speech(torch.ones(24000), 48000)], 0.3, None)
    assert not without
    assert {index: len(wave) for index, wave in waves.items()} == {0: 4000, 1: 24000}


def test_a_scrap_of_which_no_sample_is_left_has_no_value():
    without, waves = measurable([speech(torch.ones(1), 192000)], 1e-9, 16000)
    assert without or len(waves[0]) == 1


def test_small_things():
    assert in_order({1: Judgement(value=2.0), 0: Judgement(value=1.0)}) == [Judgement(value=1.0), Judgement(value=2.0)]
    assert rounded({"a": 1.23456}) == {"a": pytest.approx(1.2346)}
    assert [not_finite(value) for value in (1.0, float("nan"), float("-inf"))] == [False, True, True]
