"""Judges of quality on recordings of LJSpeech with noise laid under them."""

import pytest
import torch

from lpo_tts.metrics.base import Speech
from lpo_tts.metrics.dnsmos import DNSMOS


def noisy(wave, decibels):
    """Adds white noise so many dB below the speech."""
    noise = torch.randn(wave.shape, generator=torch.Generator().manual_seed(0))
    return (wave + noise * wave.square().mean().sqrt() / noise.square().mean().sqrt() * 10 ** (-decibels / 20)).clamp(-1, 1)


def test_distillmos_prefers_clean_speech_to_noisy_speech(clips):
    distillmos = pytest.importorskip("distillmos", reason="the package distillmos is not installed")
    model = distillmos.ConvTransformerSQAModel().eval()
    with torch.inference_mode():
        for _, _, wave in clips[:4]:
            clean, some, much = (float(model(one[None])) for one in (wave, noisy(wave, 20), noisy(wave, 5)))
            assert clean > some > much


def test_dnsmos_is_the_package_s_on_recordings_and_prefers_clean_speech(clips):
    package = pytest.importorskip("speechmos.dnsmos", reason="the package speechmos is not installed")
    judge = DNSMOS().load().judge
    for name, _, wave in clips[:6]:
        clean, much = judge([Speech(id=name, audio=one, sample_rate=16000, text="") for one in (wave, noisy(wave, 5))])
        assert clean.value == pytest.approx(float(package.run(wave.numpy(), 16000)["ovrl_mos"]), abs=1e-5)
        assert clean.value > much.value
