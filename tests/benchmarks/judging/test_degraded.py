"""Degraded copies: each has the fault that it is named after, and the loudness of the clip."""

import pytest
import torch

from benchmarks.judging.degraded import (
    DEGRADATIONS,
    SAMPLE_RATE,
    clipped,
    degrade,
    griffin_lim,
    half_cut,
    low_pass,
    mu_law,
    noise,
)


@pytest.fixture
def wave():
    """A tone of 500 Hz and one of 6000 Hz, which come and go."""
    time = torch.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    tones = torch.sin(2 * torch.pi * 500 * time) + 0.5 * torch.sin(2 * torch.pi * 6000 * time)
    return 0.1 * tones * (0.6 + 0.4 * torch.sin(2 * torch.pi * 3 * time))


def level(wave):
    return float(wave.square().mean().sqrt())


@pytest.mark.parametrize("name", [name for name in DEGRADATIONS if "slower" not in name and "higher" not in name])
def test_a_copy_is_as_loud_as_the_clip_and_the_same_each_time(wave, name):
    found = degrade(wave, name)
    assert level(found) == pytest.approx(level(wave), rel=1e-4)
    assert float(found.abs().max()) <= 1.0
    assert torch.equal(found, degrade(wave, name))
    assert len(found) == (len(wave) // 2 if "cut" in name else len(wave))
    assert not torch.allclose(found[:1000], wave[: len(found)][:1000], atol=1e-6) or "cut" in name


def test_faults_are_as_large_as_they_say(wave):
    added = noise(wave, 10) - wave
    assert level(wave) / level(added) == pytest.approx(10**0.5, rel=1e-4)
    spectrum = torch.fft.rfft(low_pass(wave, 4000)).abs()
    assert float(spectrum[len(spectrum) // 2 :].max()) < 1e-2 * float(spectrum.max())
    assert float(clipped(wave, 0.125).max()) == pytest.approx(0.125 * float(wave.abs().max()))
    assert len(torch.unique(mu_law(wave))) <= 256
    assert float((mu_law(wave) * wave.abs().max() - wave).abs().max()) < 0.025 * float(wave.abs().max())
    assert torch.equal(half_cut(wave), wave[:SAMPLE_RATE])


def test_griffin_lim_keeps_magnitudes_and_not_the_waveform(wave):
    window = torch.hann_window(512)
    made = griffin_lim(wave, 16)
    before, after = (torch.stft(one, 512, 256, window=window, return_complex=True).abs() for one in (wave, made))
    assert float((before - after).norm() / before.norm()) < 0.4
    assert float(torch.nn.functional.cosine_similarity(wave, made, dim=0)) < 0.9


@pytest.mark.slow
def test_stretched_and_shifted_copies(wave):
    pytest.importorskip("librosa")
    slower, higher = degrade(wave, "1.3 times slower"), degrade(wave, "4 semitones higher")
    assert len(slower) / len(wave) == pytest.approx(1.3, abs=0.01)
    peaks = [int(torch.fft.rfft(one)[: len(one) // 4].abs().argmax()) * SAMPLE_RATE / len(one) for one in (wave, slower, higher)]
    assert peaks[0] == pytest.approx(500, abs=5)
    assert peaks[1] == pytest.approx(500, abs=15)
    assert peaks[2] == pytest.approx(500 * 2 ** (4 / 12), abs=15)
