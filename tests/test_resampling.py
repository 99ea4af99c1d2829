"""Resampling by other rules than soxr's: those of scipy and torchaudio, sample by sample."""

import numpy as np
import pytest
import torch

from lpo_tts import audio, resampling


@pytest.mark.parametrize("rate", [8000, 22050, 24000, 44100, 48000])
@pytest.mark.parametrize("length", [1, 2, 999, 1000, 24001])
def test_fourier_is_the_resampling_of_scipy(rate, length):
    signal = pytest.importorskip("scipy.signal", reason="scipy is not installed")
    waveform = torch.randn(length, generator=torch.Generator().manual_seed(length)) * 0.1
    expected = signal.resample(waveform.numpy().astype(np.float64), int(length * 16000 / rate)) if length * 16000 >= rate else []
    found = audio.resample(waveform, rate, 16000, "fourier")
    assert found.shape == (len(expected),)
    assert found.dtype == torch.float32
    assert np.abs(found.numpy() - np.asarray(expected, dtype=np.float32)).max(initial=0) < 1e-7


@pytest.mark.parametrize("rate", [8000, 22050, 24000, 44100, 48000])
@pytest.mark.parametrize("length", [1, 999, 24001])
def test_sinc_is_the_resampling_of_torchaudio(rate, length):
    torchaudio = pytest.importorskip("torchaudio", reason="torchaudio is not installed")
    waveform = torch.randn(length, generator=torch.Generator().manual_seed(length)) * 0.1
    expected = torchaudio.transforms.Resample(orig_freq=rate, new_freq=16000)(waveform[None])[0]
    found = audio.resample(waveform, rate, 16000, "sinc")
    assert found.shape == expected.shape
    assert torch.allclose(found, expected, atol=1e-7)


def test_resampling_at_the_same_rate_changes_nothing_and_nothing_is_nothing():
    waveform = torch.randn(100)
    for method in ("soxr", "fourier", "sinc"):
        assert audio.resample(waveform, 16000, 16000, method) is waveform
        assert audio.resample(torch.zeros(0), 48000, 16000, method).numel() == 0
    assert len(resampling.fourier(np.ones(2), 48000, 16000)) == 0


def test_what_is_resampled_once_is_kept_by_method():
    waveform = torch.randn(2400, generator=torch.Generator().manual_seed(0))
    with audio.resampled_once():
        found = {method: audio.resample(waveform, 24000, 16000, method) for method in ("soxr", "fourier", "sinc")}
        assert all(audio.resample(waveform, 24000, 16000, method) is one for method, one in found.items())
    assert all(torch.equal(audio.resample(waveform, 24000, 16000, method), one) for method, one in found.items())
    assert not torch.equal(found["soxr"], found["fourier"])
    assert not torch.equal(found["sinc"], found["fourier"])


def test_fourier_keeps_a_tone_and_its_level():
    tone = 0.5 * torch.sin(2 * torch.pi * 440 * torch.arange(24000, dtype=torch.float64) / 24000)
    found = audio.resample(tone, 24000, 16000, "fourier")
    expected = 0.5 * torch.sin(2 * torch.pi * 440 * torch.arange(16000, dtype=torch.float64) / 16000)
    assert torch.allclose(found, expected.float(), atol=1e-6)
