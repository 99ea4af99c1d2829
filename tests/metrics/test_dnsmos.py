"""DNSMOS with the network of the package."""

import math

import pytest
import torch

from lpo_tts.errors import ConfigError
from lpo_tts.metrics.base import Speech
from lpo_tts.metrics.dnsmos import Dnsmos

pytest.importorskip("onnxruntime")
pytest.importorskip("speechmos")


@pytest.fixture(scope="module")
def loaded():
    return Dnsmos().load()


def speech(audio, rate=16000):
    return Speech(id="x", audio=audio, sample_rate=rate, text="")


def buzz(seconds, rate=16000):
    """A vowel-like sound: harmonics of 120 Hz that come and go four times a second."""
    time = torch.arange(int(seconds * rate)) / rate
    tones = sum(torch.sin(2 * math.pi * 120 * k * time) / k for k in range(1, 20))
    return 0.1 * tones * (0.5 + 0.5 * torch.sin(2 * math.pi * 4 * time))


def test_values_are_on_the_scale_and_noise_is_heard_in_the_background(loaded):
    clean = buzz(2.0)
    noisy = clean + 0.1 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    first, second = loaded.judge([speech(clean), speech(noisy)])
    assert 1.0 <= first.value <= 5.0
    assert set(first.detail) == {"sig", "bak"}
    assert second.detail["bak"] < first.detail["bak"] - 0.3


def test_other_sample_rates_and_loud_samples_are_taken(loaded):
    low, high = loaded.judge([speech(buzz(1.0)), speech(buzz(1.0, 24000), 24000)])
    assert high.value == pytest.approx(low.value, abs=0.15)
    assert loaded.judge([speech(20 * buzz(1.0))])[0].value is not None


def test_too_short_and_nan_have_no_value(loaded):
    short, empty, broken = loaded.judge([speech(buzz(0.1)), speech(torch.empty(0)), speech(torch.full((16000,), float("nan")))])
    assert short.value is empty.value is broken.value is None
    assert short.detail["reason"] == "the audio is too short: 0.10 s, at least 0.3 s are needed"
    assert broken.detail["reason"] == "the audio holds NaN or infinity"


def test_settings():
    with pytest.raises(ConfigError, match="min_duration must be above 0 s"):
        Dnsmos(min_duration=0)
    with pytest.raises(ConfigError, match="num_threads must be at least 1"):
        Dnsmos(num_threads=0)
