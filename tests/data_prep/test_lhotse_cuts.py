"""Cut sets as lhotse 1.33 writes them: windows of recordings with supervisions, and Lhotse Shar."""

import gzip
import io
import json
import tarfile

import numpy as np
import pytest
import soundfile

from data_prep import lhotse_cuts
from data_prep.manifest import Dropped
from data_prep.named_splits import split_in
from lpo_tts import audio

RATE = 16000


def tone(seconds, hertz=200.0):
    return 0.2 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)


def recording(name="a", source="a.wav", kind="file", channels=(0,), seconds=5.0, **more):
    return {
        "id": name,
        "sources": [{"type": kind, "channels": list(channels), "source": source}],
        "sampling_rate": RATE,
        "num_samples": int(seconds * RATE),
        "duration": seconds,
        "channel_ids": list(channels),
    } | more


def supervision(name, start, duration, text, **more):
    return {
        "id": name,
        "recording_id": "a",
        "start": start,
        "duration": duration,
        "channel": 0,
        "text": text,
        "language": "English",
        "speaker": "spk1",
    } | more


def cut(name, start, duration, *supervisions, **more):
    return {
        "id": name,
        "start": start,
        "duration": duration,
        "channel": 0,
        "supervisions": list(supervisions),
        "recording": recording(),
        "type": "MonoCut",
    } | more


def write(path, cuts):
    path.parent.mkdir(parents=True, exist_ok=True)
    data = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in cuts).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.fixture
def raw(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(5), RATE)
    soundfile.write(tmp_path / "stereo.wav", np.stack([tone(5), tone(5, 500)], 1), RATE)
    return tmp_path


def test_every_supervision_is_a_row_with_its_stretch(raw, tmp_path, rows):
    whole = supervision("s0", 0, 5.0, "whole one", gender="F", custom={"dnsmos": 3.1, "words": [1]})
    two = supervision("s2", 0.25, 1.0, "first", language="de"), supervision("s3", 1.5, 2.0, "second", language=None, speaker=None)
    cuts = [cut("c0", 0, 5.0, whole), cut("c1", 1.5, 2.0, supervision("s1", 0, 2.0, "window")), cut("c2", 1.0, 4.0, *two)]
    write(raw / "x_cuts_train.jsonl.gz", cuts)
    write(raw / "x_cuts_dev-clean.jsonl", [cut("c3", 0, 5.0, supervision("s4", 4.0, 1.01, "rounded up"))])
    out = tmp_path / "out" / "manifest.jsonl"
    assert lhotse_cuts.main([str(raw), "--out", str(out)]) == 0
    found = {one["id"]: one for one in rows(out)}
    assert {name: (one["audio"], one["text"], one["duration"], one["split"]) for name, one in found.items()} == {
        "s0": ("../a.wav", "whole one", 5.0, "train"),
        "s1": ("../a.wav#t=1.5,3.5", "window", 2.0, "train"),
        "s2": ("../a.wav#t=1.25,2.25", "first", 1.0, "train"),
        "s3": ("../a.wav#t=2.5,4.5", "second", 2.0, "train"),
        "s4": ("../a.wav#t=4,5", "rounded up", 1.0, "dev"),
    }
    assert found["s0"]["tags"] == {"gender": "F", "dnsmos": "3.1"}
    assert [found[name]["language"] for name in ("s1", "s2", "s3")] == ["en", "de", "en"]
    assert [found[name]["speaker"] for name in ("s1", "s3")] == ["spk1", "a"]


def test_what_cannot_be_read_in_place_is_counted_with_its_reason(raw):
    said = supervision("s", 0, 1.0, "text")
    cuts = {
        "mixed": {"id": "mixed", "tracks": [{"cut": cut("c", 0, 1, said), "type": "MonoCut", "offset": 0.0}], "type": "MixedCut"},
        "padding": {"id": "padding", "duration": 2.0, "sampling_rate": RATE, "feat_value": -23.0, "type": "PaddingCut"},
        "multi": cut("multi", 0, 5.0, said, channel=[0, 1], type="MultiCut"),
        "features": {key: value for key, value in cut("features", 0, 5.0, said).items() if key != "recording"},
        "speed": cut("speed", 0, 1, said, recording=recording(transforms=[{"name": "Speed", "kwargs": {"factor": 1.1}}])),
        "stereo": cut("stereo", 0, 5.0, said, channel=1, recording=recording("st", "stereo.wav", channels=(0, 1))),
        "command": cut("command", 0, 1, said, recording=recording(kind="command", source="sox a.wav -")),
        "url": cut("url", 0, 1, said, recording=recording(kind="url", source="https://example.org/a.wav")),
        "shar": cut("shar", 0, 1, said, recording=recording(kind="shar", source="")),
        "times": cut("times", None, 1, said),
    }
    outside = [supervision("before", -0.5, 1.0, "x"), supervision("behind", 0.5, 1.0, "x"), supervision("no text", 0, 1, None)]
    write(raw / "cuts.000000.jsonl", [*cuts.values(), cut("c", 0, 1.0, *outside), cut("nobody", 0, 1)])
    found = {one.id: one for one in lhotse_cuts.find(raw)}
    assert all(isinstance(one, Dropped) for one in found.values())
    reasons = {name: one.reason for name, one in found.items()}
    for name, words in {
        "mixed": "cuts.000000.jsonl:1: expected a MonoCut, found a MixedCut",
        "padding": "found a PaddingCut",
        "multi": "found a MultiCut",
        "features": "expected a cut with a recording",
        "speed": "changed when it is read (Speed)",
        "stereo": "channel 1 of a file with 2",
        "command": "found one of type 'command'",
        "url": "found one of type 'url'",
        "shar": "its recording is in a tar that cannot be read",
        "times": "expected start and duration of the cut",
        "before": "a supervision from -0.5 to 0.5 s, outside its cut of 1 s",
        "behind": "a supervision from 0.5 to 1.5 s, outside its cut of 1 s",
        "no text": "expected a supervision with id and text",
        "nobody": "no supervision",
    }.items():
        assert words in reasons[name]
    assert [name for name, one in found.items() if not one.fault] == ["nobody"]


def test_another_rate_is_the_same_sound_and_one_of_several_files_has_the_channel(raw):
    change = {"name": "Resample", "kwargs": {"source_sampling_rate": RATE, "target_sampling_rate": 8000}}
    files = [{"type": "file", "channels": [k], "source": f"{k}.wav"} for k in (0, 1)]
    write(
        raw / "cuts.jsonl",
        [
            cut("c0", 0, 5.0, supervision("s0", 0, 5.0, "x"), recording=recording(transforms=[change])),
            cut("c1", 0, 5.0, supervision("s1", 0, 5.0, "x"), channel=1, recording=recording(sources=files)),
        ],
    )
    assert [one.audio for one in lhotse_cuts.find(raw)] == [raw / "a.wav", raw / "1.wav"]


def test_shar_is_read_in_place(tmp_path, rows):
    raw = tmp_path / "shar"
    write(
        raw / "cuts.000000.jsonl.gz",
        [
            cut("c0", 0, 5.0, supervision("s0", 0, 5.0, "one"), recording=recording(kind="shar", source="")),
            cut("c1", 0, 2.0, supervision("s1", 0, 2.0, "two"), recording=recording(kind="shar", source="", seconds=2.0)),
            cut("c2", 0, 2.0, supervision("s2", 0, 2.0, "lost"), recording=recording(kind="shar", source="", seconds=2.0)),
        ],
    )
    with tarfile.open(raw / "recording.000000.tar", "w") as archive:
        for name, seconds in (("c0", 5), ("c1", 2)):
            data = io.BytesIO()
            soundfile.write(data, tone(seconds), RATE, format="FLAC")
            for member, content in ((f"{name}.flac", data.getvalue()), (f"{name}.json", b"{}")):
                info = tarfile.TarInfo(member)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    out = tmp_path / "manifest.jsonl"
    assert lhotse_cuts.main([str(raw), "--out", str(out), "--max-failed", "0.5"]) == 0
    assert [one["audio"] for one in rows(out)] == [f"shar/recording.000000.tar/c{k}.flac" for k in (0, 1)]
    assert audio.duration(tmp_path / rows(out)[1]["audio"]) == 2.0
    assert "expected c2.flac (or another suffix)" in rows(tmp_path / "manifest.failed.jsonl")[0]["reason"]


def test_relative_paths_start_where_they_are_said_to(raw, tmp_path, rows):
    write(tmp_path / "cuts" / "my_cuts.jsonl", [cut("c0", 0, 5.0, supervision("s0", 0, 5.0, "x"))])
    out = tmp_path / "manifest.jsonl"
    options = ["--cuts", "my_cuts.jsonl", "--audio-root", str(raw), "--splits", "hash", "--language", "en"]
    assert lhotse_cuts.main([str(tmp_path / "cuts"), "--out", str(out), *options]) == 0
    assert rows(out)[0]["audio"] == "a.wav"


def test_a_wrong_folder_is_told_in_one_line(tmp_path, one_line):
    out = str(tmp_path / "manifest.jsonl")
    assert lhotse_cuts.main([str(tmp_path), "--out", out]) == 2
    assert "expected *cuts*.jsonl or *cuts*.jsonl.gz in it, found none" in one_line()
    assert lhotse_cuts.main([str(tmp_path), "--out", out, "--cuts", "no.jsonl"]) == 2
    assert "expected a cut set, found none; check --cuts" in one_line()


def test_splits_are_words_of_a_name():
    assert split_in("train-00000-of-00012.parquet") == "train"
    assert split_in("validation") == split_in("cuts_dev-clean") == split_in("valid.jsonl") == "dev"
    assert split_in("test_other") == "test"
    assert split_in("trained") is split_in("train_test") is split_in("x") is None


@pytest.mark.parametrize("length", [10**400, 1e308, True])
def test_times_that_no_recording_has_are_counted(tmp_path, length):
    long_cut = cut("c", 0.0, length, supervision("s", 0.0, 1.0, "hello"))
    for one in (long_cut, cut("c", 0.0, 5.0, supervision("s", 0.0, length, "hello"))):
        (tmp_path / "cuts.jsonl").write_text(json.dumps(one) + "\n")
        (found,) = lhotse_cuts.find(tmp_path)
        assert isinstance(found, Dropped)
        assert "start and duration" in found.reason
