"""What spoilt recordings are: as noisy, as long and as cut as they say, and the same at every run."""

import math

import pytest
import torch

from lpo_tts import degradations as ways

RATE = 16000


def tone(seconds, hertz=200.0):
    return 0.2 * torch.sin(2 * math.pi * hertz * torch.arange(int(seconds * RATE)) / RATE)


def drawn(seed):
    return torch.Generator().manual_seed(seed)


def level(wave):
    return 10 * math.log10(float(wave.square().mean()))


@pytest.fixture
def words():
    """Three tones of half a second with silences of 0.2 s between them."""
    gap = torch.zeros(int(0.2 * RATE))
    return torch.cat([tone(0.5, 200), gap, tone(0.5, 300), gap, tone(0.5, 400)])


@pytest.mark.parametrize("decibels", [20, 10, 5])
def test_noise_lies_so_many_decibels_below_the_speech(decibels):
    wave = tone(2.0)
    noisy = ways.noisy(wave, decibels, drawn(0))
    assert level(wave) - level(noisy - wave) == pytest.approx(decibels, abs=0.1)
    assert torch.equal(noisy, ways.noisy(wave, decibels, drawn(0)))
    assert not torch.equal(noisy, ways.noisy(wave, decibels, drawn(1)))


def test_noise_stays_within_full_scale():
    assert float(ways.noisy(5 * tone(1.0), 5, drawn(0)).abs().max()) <= 1.0


def test_clipping_keeps_the_loudness_and_flattens_the_peaks():
    wave = tone(1.0) * torch.linspace(0.1, 1, RATE)
    flat = ways.clipped(wave, 0.25)
    assert level(flat) == pytest.approx(level(wave), abs=0.01)
    assert float((flat.abs() > 0.99 * flat.abs().max()).float().mean()) > 0.3


def test_cuts_fall_into_silence(words):
    assert words[ways.quiet(words, RATE, 0.33)] == 0
    assert float(words[: ways.quiet(words, RATE, 0.33)].square().mean()) > 0


def test_a_stretch_is_removed_or_said_twice(words):
    seconds = len(words) / RATE
    shorter, longer = ways.without(words, RATE, 0.3, 0.35), ways.said_twice(words, RATE, 0.3, 0.35)
    assert len(words) - len(shorter) == len(longer) - len(words)
    assert (len(words) - len(shorter)) / RATE == pytest.approx(0.35 * seconds, abs=2 * ways.NEAR)
    assert torch.equal(longer[: int(0.5 * RATE)], words[: int(0.5 * RATE)])
    assert len(ways.cut_off(words, RATE, 1 / 3)) == pytest.approx(len(words) * 2 / 3, abs=1)


def test_a_runaway_lasts_35_seconds_more(words):
    noise, loop = ways.run_on(words, RATE, drawn(0)), ways.looped(words, RATE)
    assert len(noise) == len(words) + 35 * RATE
    assert torch.equal(noise[: len(words)], words)
    assert level(noise[len(words) :]) == pytest.approx(level(words), abs=0.1)
    assert len(words) + 35 * RATE <= len(loop) <= len(words) + 37 * RATE


def test_playing_at_another_speed_moves_pitch_and_length_together():
    fast = ways.played(tone(1.0, 200), RATE, 1.25)
    assert len(fast) == pytest.approx(RATE / 1.25, abs=2)
    assert int(torch.fft.rfft(fast).abs().argmax()) / (len(fast) / RATE) == pytest.approx(250, abs=2)


@pytest.mark.parametrize("size", [1, 20, 400])
def test_the_shortest_audio_is_spoilt_without_an_error(size):
    wave = 0.1 + torch.rand(size, generator=torch.Generator().manual_seed(0))
    for spoilt in (
        ways.cut_off(wave, RATE, 1 / 3),
        ways.without(wave, RATE, 0.35, 0.3),
        ways.said_twice(wave, RATE, 0.35, 0.3),
        ways.looped(wave, RATE),
    ):
        assert len(spoilt) >= 1
        assert torch.isfinite(spoilt).all()
