"""Judges of quality on recordings of LJSpeech with noise laid under them."""

from pathlib import Path

import pytest
import torch

from lpo_tts.metrics.base import Speech
from lpo_tts.metrics.distillmos import DistillMOS
from lpo_tts.metrics.dnsmos import DNSMOS
from lpo_tts.metrics.nisqa import NISQA, WEIGHTS


def noisy(wave, decibels):
    """Adds white noise so many dB below the speech."""
    noise = torch.randn(wave.shape, generator=torch.Generator().manual_seed(0))
    return (wave + noise * wave.square().mean().sqrt() / noise.square().mean().sqrt() * 10 ** (-decibels / 20)).clamp(-1, 1)


def judged(metric, clips):
    """Values of each clip as it is, and with noise 20 and 5 dB below it."""
    copies = [one for _, _, wave in clips for one in (wave, noisy(wave, 20), noisy(wave, 5))]
    found = metric.load().judge([Speech(id="x", audio=one, sample_rate=16000, text="") for one in copies])
    values = [one.value for one in found]
    return zip(values[::3], values[1::3], values[2::3], strict=True)


def test_distillmos_prefers_clean_speech_to_noisy_speech(clips):
    pytest.importorskip("distillmos", reason="the package distillmos is not installed")
    assert all(clean > some > much for clean, some, much in judged(DistillMOS(), clips[:4]))


def test_nisqa_prefers_clean_speech_to_noisy_speech(clips):
    pytest.importorskip("torchmetrics", reason="the package torchmetrics is not installed")
    if not Path(WEIGHTS).expanduser().is_file():
        pytest.skip(f"no weights of NISQA in {WEIGHTS}")
    assert all(clean > some > much for clean, some, much in judged(NISQA(), clips[:4]))


def test_dnsmos_is_the_package_s_on_recordings_and_prefers_clean_speech(clips):
    package = pytest.importorskip("speechmos.dnsmos", reason="the package speechmos is not installed")
    judge = DNSMOS().load().judge
    for name, _, wave in clips[:6]:
        clean, much = judge([Speech(id=name, audio=one, sample_rate=16000, text="") for one in (wave, noisy(wave, 5))])
        assert clean.value == pytest.approx(float(package.run(wave.numpy(), 16000)["ovrl_mos"]), abs=1e-5)
        assert clean.value > much.value
