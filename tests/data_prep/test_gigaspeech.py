"""GigaSpeech: stretches of long opus files, named by one large JSON."""

import json

import numpy as np
import pytest
import soundfile

from data_prep import gigaspeech, json_streams
from data_prep.manifest import Dropped
from lpo_tts import audio

RATE = 16000


def segment(sid, begin, end, text, *subsets, **changes):
    return {
        "sid": sid,
        "speaker": "N/A",
        "begin_time": begin,
        "end_time": end,
        "text_raw": "",
        "text_tn": text,
        "subsets": [f"{{{one}}}" for one in subsets],
    } | changes


def recording(aid, source, segments, **changes):
    return {
        "title": "The Architect of Hollywood",
        "url": "https://example.org/download",
        "path": f"audio/{source}/P0001/{aid}.opus",
        "aid": aid,
        "source": source,
        "format": "opus",
        "sample_rate": RATE,
        "channels": 1,
        "duration": 4.0,
        "speaker": "N/A",
        "subsets": ["{XL}"],
        "segments": segments,
    } | changes


@pytest.fixture
def raw(tmp_path):
    audios = [
        recording(
            "POD0000000025",
            "podcast",
            [
                segment("POD0000000025_S0000001", 0.5, 1.75, "FOUR O'CLOCK <COMMA> SAID WILLIAMS <PERIOD>", "XL", "L"),
                segment("POD0000000025_S0000002", 2, 3.25, "WHAT NOW <QUESTIONMARK>", "XL", "L", "M", "S", "XS"),
                segment("POD0000000025_S0000003", 3.25, 4.0, "GO <EXCLAMATIONPOINT>", "XL"),
            ],
        ),
        recording("AUD0000000001", "audiobook", [segment("AUD0000000001_S0000001", 0.0, 2.0, "ONE DAY", "XL")]),
        recording("YOU0000000003", "youtube", [segment("YOU0000000003_S0000001", 1, 2, "HELLO <PERIOD>", "DEV")]),
        recording(
            "YOU0000000004",
            "youtube",
            [
                segment("YOU0000000004_S0000001", 0, 1, "<MUSIC>", "TEST"),
                segment("YOU0000000004_S0000002", 1, 2, "BYE <PERIOD>", "TEST", speaker="ANNA"),
            ],
        ),
    ]
    root = tmp_path / "GigaSpeech"
    time = np.arange(4 * RATE) / RATE
    for one in audios:
        path = root / one["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.3 * np.sin(2 * np.pi * 300 * time * (1 + time)), RATE, format="OGG", subtype="OPUS")
    whole = {"dataset": "GigaSpeech", "language": "EN", "version": "v1.0.0", "audios": audios}
    (root / "GigaSpeech.json").write_text(json.dumps(whole, indent=2))
    return root


def change(raw, how):
    path = raw / "GigaSpeech.json"
    whole = json.loads(path.read_text())
    how(whole["audios"])
    path.write_text(json.dumps(whole))


def test_segments_are_stretches_with_marks_speakers_and_own_splits(raw, tmp_path, rows):
    out = tmp_path / "manifest.jsonl"
    assert gigaspeech.main([str(raw), "--out", str(out)]) == 0
    found = rows(out)
    assert [(one["id"], one["text"], one["speaker"], one["split"], one["duration"]) for one in found] == [
        ("POD0000000025_S0000001", "four o'clock, said williams.", "POD0000000025_S0000001", "train", 1.25),
        ("POD0000000025_S0000002", "what now?", "POD0000000025_S0000002", "train", 1.25),
        ("POD0000000025_S0000003", "go!", "POD0000000025_S0000003", "train", 0.75),
        ("AUD0000000001_S0000001", "one day", "AUD0000000001", "train", 2.0),
        ("YOU0000000003_S0000001", "hello.", "YOU0000000003_S0000001", "dev", 1.0),
        ("YOU0000000004_S0000002", "bye.", "ANNA", "test", 1.0),
    ]
    assert found[0]["audio"] == "GigaSpeech/audio/podcast/P0001/POD0000000025.opus#t=0.5,1.75"
    assert found[1]["tags"] == {"subset": "XS", "source": "podcast"}
    assert audio.duration(tmp_path / found[0]["audio"]) == 1.25
    (left_out,) = rows(tmp_path / "manifest.failed.jsonl")
    assert left_out == {"id": "YOU0000000004_S0000001", "reason": "no speech: <MUSIC>", "filter": "no speech"}


def test_subsets_case_speakers_and_hashed_splits_on_demand(raw, tmp_path, rows):
    out = tmp_path / "manifest.jsonl"
    options = [
        "--subset",
        "M",
        "--subset",
        "DEV",
        "--keep-case",
        "--one-speaker",
        "--splits",
        "hash",
        "--dev",
        "0",
        "--test",
        "0",
    ]
    assert gigaspeech.main([str(raw), "--out", str(out), *options]) == 0
    assert [(one["text"], one["speaker"], one["split"]) for one in rows(out)] == [
        ("WHAT NOW?", "POD0000000025", "train"),
        ("HELLO.", "YOU0000000003", "train"),
    ]


def test_rows_that_cannot_be_used_are_counted(raw):
    def spoil(audios):
        one = audios[0]["segments"]
        one[0]["end_time"] = 0.1
        one[1]["text_tn"] = "A <SOMETHING> B"
        one[2].pop("subsets")
        audios[1]["path"] = "../secret.opus"
        audios[2].pop("segments")
        audios[3]["segments"][1]["text_tn"] = None

    change(raw, spoil)
    found = {one.id: one.reason for one in gigaspeech.find(raw) if isinstance(one, Dropped)}
    assert "expected a segment, found begin_time 0.5 and end_time 0.1" in found["POD0000000025_S0000001"]
    assert "expected the tags <COMMA>" in found["POD0000000025_S0000002"]
    assert "found subsets None" in found["POD0000000025_S0000003"]
    assert "expected a path below" in found["AUD0000000001"]
    assert "expected aid, path and segments" in found["GigaSpeech.json: recording 3"]
    assert "no sid or no text_tn" in found["YOU0000000004_S0000002"]
    assert set(found) == {*(f"POD0000000025_S000000{k}" for k in (1, 2, 3)), "AUD0000000001"} | {
        "GigaSpeech.json: recording 3",
        "YOU0000000004_S0000001",
        "YOU0000000004_S0000002",
    }


def test_a_stretch_beyond_its_recording_is_a_fault_with_the_length(raw, tmp_path, rows):
    change(raw, lambda audios: audios[0]["segments"][2].update(end_time=5.0))
    out = tmp_path / "manifest.jsonl"
    assert gigaspeech.main([str(raw), "--out", str(out), "--max-failed", "0.5"]) == 0
    (failed,) = (one for one in rows(tmp_path / "manifest.failed.jsonl") if one["id"].startswith("POD"))
    assert "expected a stretch up to 5 s, found a recording of 4.00 s" in failed["reason"]


def test_a_cut_metadata_file_gives_its_whole_recordings_and_one_fault(raw, monkeypatch):
    monkeypatch.setattr(json_streams, "CHUNK", 100)
    path = raw / "GigaSpeech.json"
    text = path.read_text()
    path.write_text(text[: text.index("YOU0000000003_S")])
    *found, last = gigaspeech.find(raw)
    assert [one.id for one in found] == [*(f"POD0000000025_S000000{k}" for k in (1, 2, 3)), "AUD0000000001_S0000001"]
    assert isinstance(last, Dropped)
    assert "the 2 recordings before were read" in last.reason


def test_a_wrong_folder_is_told_in_one_line(tmp_path, one_line):
    assert gigaspeech.main([str(tmp_path), "--out", str(tmp_path / "manifest.jsonl")]) == 2
    assert "expected GigaSpeech's metadata, found none; give the folder with GigaSpeech.json as RAW_DIR" in one_line()


@pytest.mark.parametrize("times", [(0, 10**400), (0.0, 1e308), (False, True), (float("nan"), 1.0)])
def test_times_that_no_recording_has_are_counted(raw, times):
    broken = segment("S1", *times, "HELLO", "XS")
    (raw / "GigaSpeech.json").write_text(json.dumps({"audios": [recording("POD1", "podcast", [broken])]}))
    (one,) = gigaspeech.find(raw)
    assert isinstance(one, Dropped)
    assert "expected a segment, found begin_time" in one.reason
