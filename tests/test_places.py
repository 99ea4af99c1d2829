"""Recordings in place: a file, a member of a tar, a stretch of either, all with the same samples."""

import io
import os
import tarfile

import numpy as np
import pytest
import soundfile
import torch

from lpo_tts import audio, decoding, places
from lpo_tts.errors import ArtefactError
from lpo_tts.places import Place

RATE = 16000
FORMATS = {
    "a.wav": {},
    "a.flac": {},
    "a.ogg": {},
    "a.opus": {"format": "OGG", "subtype": "OPUS"},
    "a.mp3": {},
    "stereo.wav": {"channels": 2},
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """One recording of 5 s per format, as files and as members of a tar."""
    folder = tmp_path_factory.mktemp("places")
    time = np.arange(5 * RATE) / RATE
    wave = 0.3 * np.sin(2 * np.pi * (200 + 40 * np.sin(time)) * time) * (0.6 + 0.4 * np.sin(3 * time))
    wave += 0.02 * np.random.default_rng(0).standard_normal(len(wave))
    for name, options in FORMATS.items():
        options = dict(options)
        channels = options.pop("channels", 1)
        soundfile.write(folder / name, np.stack([wave, 0.5 * wave][:channels], 1), RATE, **options)
    with tarfile.open(folder / "all.tar", "w") as archive:
        for name in FORMATS:
            archive.add(folder / name, name)
    return folder


@pytest.mark.parametrize("name", FORMATS)
def test_a_member_and_a_stretch_over_all_have_the_samples_of_the_file_bit_for_bit(corpus, name):
    wave, rate = audio.read(corpus / name)
    for place in (f"all.tar/{name}", f"{name}#t=0,5", f"all.tar/{name}#t=0,5"):
        other, other_rate = audio.read(corpus / place)
        assert other_rate == rate
        # an mp3 file is some samples longer than what was encoded
        assert torch.equal(other, wave if "#" not in place else wave[: 5 * rate])
        assert audio.measure(corpus / place) == (len(other) / rate, None)
    assert torch.equal(audio.read_speech(corpus / f"all.tar/{name}", 8000)[0], audio.read_speech(corpus / name, 8000)[0])


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("start", [0.0, 0.5, 1.2345, 3.99, 4.5])
def test_a_stretch_has_the_samples_of_decoding_from_the_start(corpus, name, start, monkeypatch):
    monkeypatch.setattr(audio, "BLOCK", 3000)
    wave, rate = audio.read(corpus / name)
    first, last = round(start * rate), round((start + 0.4) * rate)
    for place in (f"{name}#t={start},{start + 0.4}", f"all.tar/{name}#t={start},{start + 0.4}"):
        found = audio.read(corpus / place)[0]
        assert torch.equal(found, audio.read(corpus / place)[0])
        if name == "a.opus" and start > 2:  # its decoder never quite forgets what came before
            assert found.shape == wave[first:last].shape
            assert audio.rms_db(found - wave[first:last]) < audio.rms_db(wave[first:last]) - 30
        else:
            assert torch.equal(found, wave[first:last])
        assert audio.measure(corpus / place) == (pytest.approx(0.4, abs=1 / rate), None)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("times", ["4.9,5.2", "7,8", "5.5,5.6"])
def test_a_stretch_beyond_the_end_says_how_long_the_recording_is(corpus, name, times):
    with pytest.raises(ArtefactError, match=r"expected a stretch up to [\d.]+ s, found a recording of 5\.\d\d s") as refusal:
        audio.read(corpus / f"{name}#t={times}")
    assert "\n" not in str(refusal.value)
    with pytest.raises(ArtefactError, match="found a recording of"):
        audio.measure(corpus / f"all.tar/{name}#t={times}")


def test_an_end_that_was_rounded_up_is_forgiven(corpus):
    assert audio.measure(corpus / "a.flac#t=4.5,5.02") == (0.5, None)


def test_a_stretch_without_length_and_silence_are_told(corpus, tmp_path):
    for times in ("3,3", "4,2"):
        assert audio.path_fault(corpus / f"a.wav#t={times}") == f"a stretch that ends before it begins (#t={times})"
        with pytest.raises(ArtefactError, match="found a stretch that ends before it begins"):
            audio.read(corpus / f"a.wav#t={times}")
    soundfile.write(tmp_path / "half.wav", np.concatenate([np.zeros(RATE), np.sin(np.arange(RATE))]), RATE)
    assert "silence" in audio.measure(tmp_path / "half.wav#t=0,1")[1]
    assert audio.measure(tmp_path / "half.wav#t=1,2") == (1.0, None)


def test_a_stretch_of_a_torn_file_is_read_where_it_is_whole(corpus, tmp_path):
    data = (corpus / "a.wav").read_bytes()
    (tmp_path / "torn.wav").write_bytes(data[: len(data) // 2])
    assert audio.measure(tmp_path / "torn.wav#t=1,2") == (1.0, None)
    with pytest.raises(ArtefactError, match=r"found a recording of 2\.50 s"):
        audio.read(tmp_path / "torn.wav#t=2,3")
    with pytest.raises(ArtefactError, match="the file is torn"):
        audio.read(tmp_path / "torn.wav")


def test_what_exists_under_the_literal_name_goes_before(corpus, tmp_path):
    (tmp_path / "a.wav#t=1,2").write_bytes((corpus / "a.wav").read_bytes())
    (tmp_path / "x.tar").mkdir()
    (tmp_path / "x.tar" / "a.wav").write_bytes((corpus / "a.wav").read_bytes())
    assert places.find(tmp_path / "a.wav#t=1,2") == Place(tmp_path / "a.wav#t=1,2")
    assert audio.duration(tmp_path / "a.wav#t=1,2") == 5.0
    assert audio.duration(tmp_path / "x.tar" / "a.wav") == 5.0


def test_places_are_taken_apart(corpus):
    assert places.find(corpus / "all.tar/a.wav#t=0.5,1") == Place(corpus / "all.tar", "a.wav", (0.5, 1.0))
    assert places.find(f"{corpus}/all.tar/./a.wav") == Place(corpus / "all.tar", "a.wav")
    assert places.find(corpus / "all.tar") == Place(corpus / "all.tar")
    assert places.find(corpus / "a.wav#t=x,y") == "none"
    assert places.find(corpus / "a.wav#t=-1,2") == "none"
    assert places.find(corpus / "all.tar/none.wav") == "none"
    assert places.find(corpus / "none.tar/a.wav") == "none"
    assert places.find(corpus) == "a folder"


def test_the_tar_may_lie_under_any_name(corpus, tmp_path):
    """The cache of the Hugging Face hub keeps files under their hash, and links to them."""
    os.link(corpus / "all.tar", tmp_path / "0123abcd")
    (tmp_path / "EN-B000000.tar").symlink_to("0123abcd")
    place = tmp_path / "EN-B000000.tar" / "a.wav"
    assert audio.duration(place) == 5.0
    assert audio.duration(place.resolve()) == 5.0
    assert place.resolve().parent.name == "0123abcd"


def test_a_compressed_tar_is_refused_in_one_line(corpus, tmp_path):
    with tarfile.open(tmp_path / "all.tar.gz", "w:gz") as archive:
        archive.add(corpus / "a.wav", "a.wav")
    for door in (audio.read, audio.measure, audio.path_fault):
        with pytest.raises(ArtefactError, match=r"all\.tar\.gz: expected a plain \.tar, found a compressed one") as refusal:
            door(tmp_path / "all.tar.gz" / "a.wav")
        assert "\n" not in str(refusal.value)


def test_no_link_of_an_archive_is_followed(corpus, tmp_path):
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        info = tarfile.TarInfo("link.wav")
        info.type, info.linkname = tarfile.SYMTYPE, str(corpus / "a.wav")
        archive.addfile(info)
        data = (corpus / "a.wav").read_bytes()
        info = tarfile.TarInfo("../out.wav")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    with pytest.raises(ArtefactError, match=r"found a link to .*never followed"):
        audio.read(tmp_path / "evil.tar" / "link.wav")
    assert "leads out" in audio.path_fault(f"{tmp_path}/evil.tar/../out.wav")


def test_what_exists_and_what_may(corpus, tmp_path):
    there = ["a.wav", "a.wav#t=1,2", "all.tar/a.wav", "all.tar/a.wav#t=1,2"]
    assert all(places.exists(corpus / name) and places.may_exist(corpus / name) for name in there)
    absent = ["no.wav", "no.wav#t=1,2", "no.tar/a.wav", "no/a.wav", "a\0b", "n" * 300]
    assert not any(places.may_exist(corpus / name) for name in absent)
    assert not any(places.exists(corpus / name) for name in absent[:4])
    assert not places.exists(corpus / "all.tar" / "no.wav")
    assert places.may_exist(corpus / "all.tar" / "no.wav")  # the archive is not opened
    assert not places.may_exist(corpus)
    (tmp_path / "dangling.wav").symlink_to("nowhere")
    assert places.exists(tmp_path / "dangling.wav")  # something is there; reading says what is wrong with it


@pytest.mark.parametrize(("name", "read"), [("a.ogg", 1.0), ("a.opus", 3.0), ("a.flac", 1.0), ("a.wav", 1.0), ("a.mp3", 4.5)])
def test_what_is_decoded_for_a_stretch_does_not_depend_on_where_it_lies(corpus, monkeypatch, name, read):
    """An mp3 is the exception: it cannot be sought exactly."""
    sizes, real = [], decoding._read
    monkeypatch.setattr(decoding, "_read", lambda file, size: sizes.append(size) or real(file, size))
    audio.read(corpus / f"{name}#t=3.5,4.5")
    assert sum(sizes) == round(read * RATE)


def test_a_pipe_is_told_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    assert audio.path_fault(tmp_path / "pipe.wav#t=1,2") == "a named pipe"
    assert audio.path_fault(tmp_path / "pipe.wav" / "a.wav") == "none"
