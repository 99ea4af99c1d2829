"""DNSMOS with the network of the package."""

import math

import numpy as np
import pytest
import torch

from lpo_tts.errors import ConfigError
from lpo_tts.metrics.base import Speech
from lpo_tts.metrics.dnsmos import DNSMOS, WINDOW
from lpo_tts.metrics.dnsmos import _windows as windows

pytest.importorskip("onnxruntime")
pytest.importorskip("speechmos")


@pytest.fixture(scope="module")
def loaded():
    return DNSMOS().load()


def speech(audio, rate=16000):
    return Speech(id="x", audio=audio, sample_rate=rate, text="")


def buzz(seconds, rate=16000):
    """A vowel-like sound: harmonics of 120 Hz that come and go four times a second."""
    time = torch.arange(int(seconds * rate)) / rate
    tones = sum(torch.sin(2 * math.pi * 120 * k * time) / k for k in range(1, 20))
    return 0.1 * tones * (0.5 + 0.5 * torch.sin(2 * math.pi * 4 * time))


@pytest.mark.slow
def test_values_are_on_the_scale_and_noise_is_heard_in_the_background(loaded):
    clean = buzz(2.0)
    noisy = clean + 0.1 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    first, second = loaded.judge([speech(clean), speech(noisy)])
    assert 1.0 <= first.value <= 5.0
    assert set(first.detail) == {"sig", "bak"}
    assert second.detail["bak"] < first.detail["bak"] - 0.3


@pytest.mark.slow
def test_other_sample_rates_and_loud_samples_are_taken(loaded):
    low, high = loaded.judge([speech(buzz(1.0)), speech(buzz(1.0, 24000), 24000)])
    assert high.value == pytest.approx(low.value, abs=0.15)
    assert loaded.judge([speech(20 * buzz(1.0))])[0].value is not None


def assert_as_the_package(loaded, clip):
    package = pytest.importorskip("speechmos.dnsmos")
    expected = package.run(clip.numpy(), 16000)
    found = loaded.judge([speech(clip)])[0]
    assert found.value == pytest.approx(float(expected["ovrl_mos"]), abs=1e-5)
    assert found.detail["sig"] == pytest.approx(float(expected["sig_mos"]), abs=6e-5)  # rounded to four digits
    assert found.detail["bak"] == pytest.approx(float(expected["bak_mos"]), abs=6e-5)


LENGTHS = [2.6, 9.01, 10.02, 11.0, 12.0]  # seconds; one to three windows
MANY_WINDOWS = [0.7, 2.0, 2.02, 3.3, 4.504, 5.9, 6.9, 7.77, 8.3, 9.009]


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [*LENGTHS, *(pytest.param(one, marks=pytest.mark.slow) for one in MANY_WINDOWS)])
def test_values_are_those_of_the_package(loaded, seconds):
    noise = torch.randn(int(seconds * 16000), generator=torch.Generator().manual_seed(1))
    assert_as_the_package(loaded, buzz(seconds) + 0.01 * noise)


@pytest.mark.slow
def test_values_of_synthetic_speech_are_those_of_the_package(loaded):
    pytest.importorskip("espeakng_loader")
    from recipes.mini import corpus

    for text in ("gate blue seven four two", "flight nine three and gate gold six five eight room white one zero zero four"):
        assert_as_the_package(loaded, torch.from_numpy(corpus.synthesise(text, corpus.VOICES_SEEN[0])).float())


def test_windows_are_as_many_as_the_package_takes():
    def lengths(seconds):
        return [len(window) for window in windows(np.zeros(int(seconds * 16000), np.float32))]

    assert lengths(9.01) == lengths(10.9) == [WINDOW]  # ten whole seconds hold one window
    assert len(lengths(11.0)) == 2
    assert len(lengths(2.6)) == 1  # doubled to 10.4 s, of which ten whole seconds count
    assert len(lengths(30.0)) == 7  # all later ones end one sample short by rounding
    assert set(lengths(2.0)) == {WINDOW}


def test_silence_has_no_value(loaded):
    assert loaded.judge([speech(torch.zeros(16000))])[0].detail == {"reason": "the audio is silent"}


def test_a_single_sample_does_not_hang():
    judgement = DNSMOS(min_duration=1e-9).load().judge([speech(torch.ones(1), 192000)])[0]
    assert judgement.value is None or judgement.value > 0


def test_too_short_and_nan_have_no_value(loaded):
    short, empty, broken = loaded.judge([speech(buzz(0.1)), speech(torch.empty(0)), speech(torch.full((16000,), float("nan")))])
    assert short.value is empty.value is broken.value is None
    assert short.detail["reason"] == "the audio is too short: 0.10 s, at least 0.3 s are needed"
    assert broken.detail["reason"] == "the audio holds NaN or infinity"


def test_settings():
    with pytest.raises(ConfigError, match="min_duration must be above 0, found 0"):
        DNSMOS(min_duration=0)
    with pytest.raises(ConfigError, match="num_threads must be at least 1"):
        DNSMOS(num_threads=0)
