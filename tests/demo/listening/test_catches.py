"""Clips spoilt on purpose."""

import math

import pytest
import torch

from demo.listening.catches import damage_of_anchor, low_passed, spoilt
from lpo_tts.errors import ContractError

RATE = 48000


def tone(hertz, seconds=1.0):
    return 0.3 * torch.sin(2 * math.pi * hertz * torch.arange(round(RATE * seconds)) / RATE)


def level(wave):
    return 10 * math.log10(float(wave.double().square().mean()))


@pytest.mark.parametrize("edge", [3500, 7000])
def test_an_anchor_keeps_what_is_below_its_edge_and_nothing_above(edge):
    """BS.1534: ripple of 0.1 dB at most below, at least 25 dB less 500 Hz above (4 kHz), 50 dB another 500 Hz above."""
    inner = slice(RATE // 10, -RATE // 10)
    for hertz in (200, 1000, edge - 300):
        assert level(low_passed(tone(hertz), RATE, edge)[inner]) == pytest.approx(level(tone(hertz)), abs=0.1)
    assert level(low_passed(tone(edge + 500), RATE, edge)[inner]) < level(tone(hertz)) - 25
    assert level(low_passed(tone(edge + 1000), RATE, edge)[inner]) < level(tone(hertz)) - 50


def test_an_anchor_stays_in_its_place_in_time_and_as_long():
    click = torch.zeros(RATE)
    click[1234] = 1.0
    found = low_passed(click, RATE, 3500)
    assert found.shape == click.shape
    assert int(found.abs().argmax()) == 1234


def test_an_edge_above_all_there_is_changes_nothing():
    wave = tone(1000)
    assert torch.equal(low_passed(wave, 12000, 7000), wave)


def test_words_are_cut_the_voice_is_shifted_and_noise_is_the_same_each_time():
    wave = torch.randn(RATE, generator=torch.Generator().manual_seed(1)) * 0.1
    assert 0.3 * RATE < len(spoilt(wave, RATE, "cut")) < 0.75 * RATE
    shifted = spoilt(tone(500), RATE, "shift")
    assert len(shifted) == pytest.approx(RATE / 1.4, abs=2)
    spectrum = torch.fft.rfft(shifted).abs()
    assert float(spectrum.argmax()) * RATE / len(shifted) == pytest.approx(700, abs=3)
    noisy = spoilt(wave, RATE, "noise")
    assert torch.equal(noisy, spoilt(wave, RATE, "noise"))
    assert level(noisy - wave) == pytest.approx(level(wave) - 5, abs=0.3)
    assert torch.equal(spoilt(wave, RATE, damage_of_anchor(3500)), low_passed(wave, RATE, 3500))


def test_an_unknown_damage_is_named():
    for name in ("louder", "lowpass-", "lowpass-x"):
        with pytest.raises(ContractError, match=f"found '{name}'"):
            spoilt(torch.zeros(100), RATE, name)
