"""Audio files and waveforms."""

import errno
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from lpo_tts import audio
from lpo_tts.errors import ArtefactError

sys.path.insert(0, str(Path(__file__).parent))
import bad_audio
from bad_audio import BROKEN, NAMES, SILENT


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


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_recording_is_refused_in_one_line_that_says_why(tmp_path, name):
    make, message = BROKEN[name]
    make(tmp_path / name)
    with pytest.raises(ArtefactError) as refusal:
        audio.read(tmp_path / name, 16000)
    assert message in str(refusal.value)
    assert str(tmp_path / name) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", BROKEN)
def test_a_measure_tells_the_same_faults_as_reading(tmp_path, name):
    make, message = BROKEN[name]
    make(tmp_path / name)
    try:
        _, found = audio.measure(tmp_path / name)
    except ArtefactError as error:
        found = str(error)
    assert message in found


@pytest.mark.parametrize(("name", "message"), NAMES.values(), ids=NAMES)
def test_names_that_no_file_can_have_are_refused_in_one_line(tmp_path, name, message):
    wave = sine(8000)
    for door in (audio.read, audio.read_speech, audio.measure, audio.duration, lambda path: audio.write(path, wave, 8000)):
        with pytest.raises(ArtefactError) as refusal:
            door(tmp_path / name)
        assert message in str(refusal.value)
        assert "\n" not in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", SILENT)
def test_silence_is_read_for_judging_and_refused_as_speech(tmp_path, name):
    make, message = SILENT[name]
    make(tmp_path / name)
    wave, rate = audio.read(tmp_path / name)
    assert wave.shape == (8000,)
    assert message in audio.fault(wave, rate)
    assert audio.measure(tmp_path / name) == (1.0, audio.fault(wave, rate))
    with pytest.raises(ArtefactError, match="expected speech, found silence"):
        audio.read_speech(tmp_path / name)


def test_a_waveform_from_elsewhere_is_told_its_fault():
    assert audio.fault(sine(16000), 16000) is None
    assert audio.fault(0.001 * sine(16000), 16000) is None  # quiet speech is speech
    assert audio.fault(torch.empty(0), 16000) == "no samples"
    assert audio.fault(torch.tensor([0.1, math.nan]), 16000) == "NaN or infinity"
    assert "1 Hz" in audio.fault(sine(16000), 1)


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("wav", {}),
        ("wav", {"subtype": "PCM_24"}),
        ("wav", {"subtype": "FLOAT"}),
        ("wav", {"subtype": "ULAW"}),
        ("flac", {}),
        ("ogg", {}),
        ("mp3", {}),
        ("aiff", {}),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_samples_are_those_of_the_library_bit_for_bit(tmp_path, monkeypatch, suffix, options, channels):
    noise = 0.2 * np.random.default_rng(0).standard_normal((30_000, channels)).clip(-4, 4)
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, noise, 22050, **options)
    monkeypatch.setattr(audio, "BLOCK", 4096)  # several blocks, whose seams must not show
    wave, rate = audio.read(path)
    expected, _ = soundfile.read(path, dtype="float32", always_2d=True)
    assert rate == 22050
    assert np.array_equal(wave.numpy(), expected.mean(axis=1, dtype=np.float32))
    assert audio.duration(path) == len(expected) / 22050


def test_a_flac_written_into_a_pipe_is_read_to_its_end(tmp_path):
    bad_audio.flac(tmp_path / "piped.flac", 0)  # legal: the length is not known
    soundfile.write(tmp_path / "plain.flac", bad_audio.TONE, 8000)
    assert torch.equal(audio.read(tmp_path / "piped.flac")[0], audio.read(tmp_path / "plain.flac")[0])
    assert audio.measure(tmp_path / "piped.flac") == (1.0, None)


@pytest.mark.parametrize("size", [2**32 - 1, 2**31 - 1, 2**32 - 37])
def test_a_wav_written_into_a_pipe_is_read_to_its_end(tmp_path, size):
    bad_audio.wav_header(tmp_path / "piped.wav", 40, size)
    assert audio.read(tmp_path / "piped.wav")[0].shape == (8000,)


def test_text_under_the_suffix_of_headerless_audio_is_no_audio(tmp_path):
    for suffix in ("raw", "vox", "gsm"):
        (tmp_path / f"notes.{suffix}").write_text("some notes, and no sound at all " * 100)
        with pytest.raises(ArtefactError, match="another format"):
            audio.read(tmp_path / f"notes.{suffix}")


def test_more_than_one_recording_can_hold_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    audio.write(tmp_path / "long.wav", sine(8000, 2.0), 8000)
    monkeypatch.setattr(audio, "MAX_VALUES", 10_000)
    monkeypatch.setattr(audio, "BLOCK", 1000)
    with pytest.raises(ArtefactError, match="found more than 10000 samples; cut it into utterances"):
        audio.read(tmp_path / "long.wav")
    assert audio.measure(tmp_path / "long.wav") == (2.0, None)


@pytest.mark.slow
def test_a_header_does_not_decide_how_much_memory_is_taken(tmp_path):
    bad_audio.flac(tmp_path / "a.flac", 2**36 - 1)
    code = (
        "import resource, sys\n"
        "from lpo_tts import audio, errors\n"
        "resource.setrlimit(resource.RLIMIT_AS, (16 << 30,) * 2)\n"
        "try: audio.read(sys.argv[1])\n"
        "except errors.ArtefactError as error: print('refused')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "a.flac"], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.stdout == "refused\n", result.stderr


def test_a_full_disk_is_told_in_one_line_and_leaves_the_old_file(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    audio.write(tmp_path / "a.wav", sine(8000), 8000)
    before = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav.partial").symlink_to("/dev/full")
    with pytest.raises(ArtefactError, match=r"cannot write .*a\.wav: No space left on device; free space") as refusal:
        audio.write(tmp_path / "a.wav", sine(8000), 8000)
    assert "\n" not in str(refusal.value)
    assert (tmp_path / "a.wav").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_a_disk_that_fills_up_leaves_whole_files_alone(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("no right to mount a small disk")
    try:
        audio.write(disk / "a.wav", sine(8000), 8000)
        for _ in range(3):
            with pytest.raises(ArtefactError, match="No space left on device"):
                audio.write(disk / "b.wav", sine(8000, 10.0), 8000)
        assert [path.name for path in disk.iterdir()] == ["a.wav"]
        assert audio.measure(disk / "a.wav") == (1.0, None)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_place_that_cannot_be_written_is_told_in_one_line(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtefactError, match=r"cannot write .*file/a\.wav"):
        audio.write(tmp_path / "file" / "a.wav", sine(8000), 8000)
    with pytest.raises(ArtefactError, match="sample rate of at least 1 Hz, found 0"):
        audio.write(tmp_path / "a.wav", sine(8000), 0)
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(errno.EROFS, "Read-only file system")))
    with pytest.raises(ArtefactError, match="Read-only file system; choose another place"):
        audio.write(tmp_path / "a.wav", sine(8000), 8000)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_written_bytes_are_those_of_the_library(tmp_path):
    wave = sine(16000)
    audio.write(tmp_path / "a.wav", wave, 16000)
    soundfile.write(tmp_path / "b.wav", wave.numpy(), 16000, subtype="PCM_16")
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    audio.write(tmp_path / "none.wav", torch.empty(0), 16000)
    assert audio.duration(tmp_path / "none.wav") == 0.0


def test_rms_db():
    assert audio.rms_db(torch.ones(10)) == pytest.approx(0.0)
    assert audio.rms_db(torch.full((10,), 0.1)) == pytest.approx(-20.0, abs=1e-5)
    assert audio.rms_db(torch.zeros(10)) == -math.inf
    assert audio.rms_db(torch.empty(0)) == -math.inf
