"""Pictures of sound: the right band is bright, sides share their axes, and the PNG is one."""

import base64
import math
import re
import struct
import zlib

import numpy as np
import pytest

from lpo_tts.report.spectrogram import BANDS, LEVELS, WIDTH, Sound, _palette, pictures, png


def tone(hertz, seconds=1.0, rate=16000, level=0.5):
    return Sound((level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32), rate)


def pixels(data):
    """(height, width) places in the palette of a PNG as `png` writes it, each chunk checked."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, {}
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + body)
        chunks[kind], at = body, at + 12 + length
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert not lines[:, 0].any()
    return lines[:, 1:]


def image(svg):
    return pixels(base64.b64decode(re.search(r"data:image/png;base64,([^\"]+)", svg)[1]))


def test_png_holds_the_levels():
    levels = np.array([[0, 1, 2], [31, 0, 5]], dtype=np.uint8)
    assert np.array_equal(pixels(png(levels, _palette())), levels)


@pytest.mark.parametrize("rate", [16000, 24000, 48000])
@pytest.mark.parametrize("hertz", [300.0, 1000.0, 4000.0])
def test_a_tone_lights_the_band_it_lies_in(hertz, rate):
    levels = image(pictures([tone(hertz, rate=rate)], ["a"])[0])
    assert levels.shape == (BANDS, WIDTH)
    mel = 2595 * math.log10(1 + hertz / 700) / (2595 * math.log10(1 + 8000 / 700)) * BANDS
    row = levels[:, WIDTH // 2].astype(float)
    brightest = BANDS - 1 - np.flatnonzero(row == row.max())
    assert abs(brightest.mean() - mel) < 2.5
    assert row.max() == LEVELS - 1


def test_sides_share_time_axis_and_scale():
    loud, short = pictures([tone(500, 2.0), tone(500, 1.0, level=0.05)], ["loud", "short"])
    assert image(loud).shape[1] == WIDTH
    assert image(short).shape[1] == WIDTH // 2
    # 20 dB down of 70 that the colours cover: 9 of 31 levels
    assert int(image(loud).max()) - int(image(short).max()) == pytest.approx(20 / 70 * (LEVELS - 1), abs=1)
    assert re.findall(r'text-anchor="\w+">([\d.]+)', loud) == re.findall(r'text-anchor="\w+">([\d.]+)', short)
    assert "over 1.00 s" in short


def test_silence_nothing_and_one_sample_are_drawn_or_left_out():
    silent = Sound(np.zeros(8000, np.float32), 8000)
    one = Sound(np.ones(1, np.float32), 8000)
    nothing = Sound(np.zeros(0, np.float32), 8000)
    drawn = pictures([silent, None, one, nothing], ["a", "b", "c", "d"])
    assert [bool(svg) for svg in drawn] == [True, False, True, False]
    assert pictures([None, nothing], ["a", "b"]) == ["", ""]


def test_names_are_escaped():
    assert "<b>" not in pictures([tone(500)], ["<b>"])[0]
