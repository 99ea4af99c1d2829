"""Recordings that nobody vouches for: what is taken, and that nothing takes much time or memory."""

import os
import struct

import numpy as np
import pytest
import soundfile

from demo.uploads import uploaded
from lpo_tts import audio, decoding
from lpo_tts.errors import ContractError

RATE = 16000


def noise(seconds, rate=RATE, channels=1, seed=0):
    samples = 0.1 * np.random.default_rng(seed).standard_normal((round(seconds * rate), channels))
    return samples.astype(np.float32)


def written(path, samples, rate=RATE, **options):
    soundfile.write(path, samples, rate, **options)
    return path


def header(size, rate=RATE, channels=1):
    """A wav header that claims `size` bytes of 16-bit sound."""
    block = 2 * channels
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, min(rate * block, 2**32 - 1), min(block, 2**16 - 1), 16)
    return (
        b"RIFF"
        + struct.pack("<I", min(size + 36, 2**32 - 1))
        + b"WAVE"
        + form
        + b"data"
        + struct.pack("<I", min(size, 2**32 - 1))
    )


@pytest.mark.parametrize(
    ("name", "rate", "channels", "options"),
    [
        ("plain.wav", RATE, 1, {}),
        ("wide.wav", 192_000, 8, {}),
        ("small.flac", 44_100, 2, {}),
        ("float.wav", 48_000, 1, {"subtype": "FLOAT"}),
        ("lossy.ogg", 48_000, 1, {}),
        ("lossy.mp3", 44_100, 1, {}),
    ],
)
def test_recordings_of_all_usual_kinds_become_plain_wav(tmp_path, name, rate, channels, options):
    path = written(tmp_path / name, noise(1.5, rate, channels), rate, **options)
    voice = uploaded(str(path), "what is said")
    wave, own = audio.read(voice.path)
    assert own == rate
    assert wave.numel() / rate == pytest.approx(1.5, abs=0.1)
    assert soundfile.info(voice.path).subtype == "PCM_16"
    assert soundfile.info(voice.path).channels == 1
    assert voice.text == "what is said"


def test_the_name_decides_nothing(tmp_path):
    """An mp3 that is called wav is read for what it is, and the copy is wav."""
    made = written(tmp_path / "song.mp3", noise(2.0, 44_100), 44_100)
    made.rename(tmp_path / "song.wav")
    voice = uploaded(str(tmp_path / "song.wav"))
    assert soundfile.info(voice.path).format == "WAV"


HOSTILE = {
    "empty": (b"", "no samples|cannot be read"),
    "text": (b"#!/bin/sh\nrm -rf /\n" * 50, "cannot be read"),
    "html": (b"<html><script>alert(1)</script></html>", "cannot be read"),
    "zip": (b"PK\x03\x04" + bytes(500), "cannot be read"),
    "header alone": (header(10_000)[:30], "cannot be read"),
    "no samples": (header(0), "no samples|at least|cannot be read|0.0 s"),
    "no rate": (header(32_000, rate=0) + bytes(32_000), "cannot be read"),
    "rate of 2 GHz": (header(32_000, rate=2 * 10**9) + bytes(32_000), "cannot be read|sample rate"),
    "65535 channels": (header(2**20, channels=65_535) + bytes(2**20), "cannot be read|channels"),
    "silence": (header(64_000) + bytes(64_000), "silence"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_recording_is_refused_in_one_line_without_a_path(tmp_path, name):
    data, said = HOSTILE[name]
    path = tmp_path / "voice.wav"
    path.write_bytes(data)
    with pytest.raises(ContractError, match=said) as error:
        uploaded(str(path))
    assert "\n" not in str(error.value)
    assert str(tmp_path) not in str(error.value)


def test_plain_copies_go_after_an_hour_and_nothing_else_does(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        written(tmp_path / name / "voice.wav", noise(1))
    old = uploaded(str(tmp_path / "old" / "voice.wav")).path
    for path in (old, tmp_path / "old" / "voice.wav"):
        os.utime(path, (1, 1))
    new = uploaded(str(tmp_path / "new" / "voice.wav")).path
    assert new.exists()
    assert not old.exists()
    assert (tmp_path / "old" / "voice.wav").exists(), "Gradio's own"
    os.utime(new, (1, 1))
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "another"))
    uploaded(str(tmp_path / "old" / "voice.wav"))
    assert new.exists()


@pytest.mark.parametrize("claimed", [3 * 10**9, 10 * 10**9])
def test_a_header_that_claims_gigabytes_counts_for_nothing(tmp_path, claimed):
    """Recorders that cannot go back to the header write such ones: what the file holds is what is decoded."""
    sound = (noise(2) * 32767).astype("<i2").tobytes()
    (tmp_path / "voice.wav").write_bytes(header(claimed) + sound)
    wave, rate = audio.read(uploaded(str(tmp_path / "voice.wav")).path)
    assert wave.numel() == 2 * rate


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_refused(tmp_path, value):
    samples = noise(2)
    samples[100] = value
    with pytest.raises(ContractError, match="NaN or infinity"):
        uploaded(str(written(tmp_path / "voice.wav", samples, subtype="FLOAT")))


def test_too_short_too_long_and_too_wide(tmp_path):
    for samples, rate, said in (
        (noise(0.3), RATE, "expected 0.8 to 30 s of one voice, found 0.3 s"),
        (noise(31), RATE, "expected 0.8 to 30 s of one voice, found more"),
        (noise(1, 384_000), 384_000, "expected at most 8 channels and 192000 Hz, found 1 and 384000"),
        (noise(1, 8000, 9), 8000, "expected at most 8 channels"),
    ):
        with pytest.raises(ContractError, match=said):
            uploaded(str(written(tmp_path / "voice.wav", samples, rate)))


def test_a_voice_of_thirty_seconds_is_still_taken(tmp_path):
    assert uploaded(str(written(tmp_path / "voice.wav", noise(30))))


def test_a_flac_bomb_is_decoded_no_further_than_thirty_seconds(tmp_path, monkeypatch):
    """Five minutes of silence in eight channels: 460 MB when they are decoded, and next to nothing as a file."""
    path = tmp_path / "bomb.flac"
    with soundfile.SoundFile(path, "w", 48_000, 8, "PCM_16") as file:
        for _ in range(30):
            file.write(np.zeros((480_000, 8), np.int16))
    assert path.stat().st_size < 2 << 20
    decoded, blocks = [], decoding.blocks

    def counted(*arguments):
        for samples in blocks(*arguments):
            decoded.append(len(samples))
            yield samples

    monkeypatch.setattr(decoding, "blocks", counted)
    with pytest.raises(ContractError, match="found more; cut the recording"):
        uploaded(str(path))
    assert 30 <= sum(decoded) / 48_000 < 32
