"""Audio files and waveforms."""

import math

import numpy as np
import pytest
import soundfile
import torch

from lpo_tts import audio
from lpo_tts.errors import ArtefactError


def sine(rate, seconds=1.0, hertz=440.0):
    return 0.5 * torch.sin(2 * math.pi * hertz * torch.arange(int(rate * seconds)) / rate)


def test_written_audio_reads_back_within_one_16_bit_step(tmp_path):
    wave = sine(16000)
    audio.write(tmp_path / "deep" / "a.wav", wave, 16000)
    back, rate = audio.read(tmp_path / "deep" / "a.wav")
    assert rate == 16000
    assert back.dtype == torch.float32
    assert back.shape == wave.shape
    assert float((back - wave).abs().max()) <= 1 / 32768
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.wav"]


def test_write_clips_and_refuses_nan_and_stereo(tmp_path):
    audio.write(tmp_path / "loud.wav", torch.tensor([2.0, -2.0]), 8000)
    assert audio.read(tmp_path / "loud.wav")[0].abs().max() <= 1.0
    with pytest.raises(ArtefactError, match="found NaN"):
        audio.write(tmp_path / "b.wav", torch.tensor([0.0, float("nan")]), 8000)
    with pytest.raises(ArtefactError, match=r"shape \(2, 3\)"):
        audio.write(tmp_path / "b.wav", torch.zeros(2, 3), 8000)
    assert not (tmp_path / "b.wav").exists()


def test_read_downmixes_and_resamples(tmp_path):
    left, right = sine(8000).numpy(), np.zeros(8000, np.float32)
    soundfile.write(tmp_path / "s.flac", np.stack([left, right], 1), 8000)
    mono, rate = audio.read(tmp_path / "s.flac", 16000)
    assert rate == 16000
    assert mono.shape == (16000,)
    assert float((mono - 0.5 * sine(16000))[100:-100].abs().max()) < 2e-3


def test_resample_is_the_identity_at_equal_rates_and_takes_nothing():
    wave = sine(8000)
    assert audio.resample(wave, 8000, 8000) is wave
    assert audio.resample(torch.empty(0), 8000, 16000).numel() == 0


def test_missing_unreadable_and_empty_files_are_named(tmp_path):
    with pytest.raises(ArtefactError, match=r"none\.wav: expected an audio file, found none"):
        audio.read(tmp_path / "none.wav")
    (tmp_path / "bad.wav").write_bytes(b"this is no audio")
    with pytest.raises(ArtefactError, match=r"bad\.wav: expected audio libsndfile can read"):
        audio.read(tmp_path / "bad.wav")
    with pytest.raises(ArtefactError, match=r"bad\.wav"):
        audio.duration(tmp_path / "bad.wav")
    with pytest.raises(ArtefactError, match=r"none\.wav"):
        audio.duration(tmp_path / "none.wav")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0, np.float32), 8000)
    with pytest.raises(ArtefactError, match=r"empty\.wav: expected audio, found no samples"):
        audio.read(tmp_path / "empty.wav")


def test_duration_comes_from_the_header(tmp_path):
    audio.write(tmp_path / "a.wav", torch.zeros(12000), 16000)
    assert audio.duration(tmp_path / "a.wav") == pytest.approx(0.75)


def test_rms_db():
    assert audio.rms_db(torch.ones(10)) == pytest.approx(0.0)
    assert audio.rms_db(torch.full((10,), 0.1)) == pytest.approx(-20.0, abs=1e-5)
    assert audio.rms_db(torch.zeros(10)) == -math.inf
    assert audio.rms_db(torch.empty(0)) == -math.inf
