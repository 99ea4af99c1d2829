"""Data sets of the Hugging Face hub: Parquet as `datasets` writes it, to a manifest with the recordings beside it."""

import io
import multiprocessing
import os
import re
import signal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from data_prep import hf_dataset, parquet_rows
from data_prep.manifest import Dropped

RATE = 16000


def sound(seconds=1.0, hertz=200.0, form="FLAC"):
    data = io.BytesIO()
    soundfile.write(data, 0.2 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE), RATE, format=form)
    return data.getvalue()


def row(k, **changes):
    audio = {"bytes": sound(1.0, 200 + 10 * k), "path": f"{k}.flac"}
    return {"id": f"utt{k}", "audio": audio, "transcription": f"text {k}", "speaker_id": 7 + k % 2, "language": k % 2} | changes


def publish(path, rows, group=2):
    """Writes rows as `datasets` does: Audio without decoding, a ClassLabel, small row groups."""
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    path.parent.mkdir(parents=True, exist_ok=True)
    table = datasets.Dataset.from_list(rows).cast_column("audio", datasets.Audio(decode=False))
    if "language" in table.column_names:
        table = table.cast_column("language", datasets.ClassLabel(names=["en", "de"]))
    table.to_parquet(path, batch_size=group)
    return path


@pytest.fixture
def raw(tmp_path):
    publish(tmp_path / "raw" / "data" / "train-00000-of-00002.parquet", [row(0), row(1), row(2)])
    publish(tmp_path / "raw" / "data" / "train-00001-of-00002.parquet", [row(3)])
    publish(tmp_path / "raw" / "data" / "validation-00000-of-00001.parquet", [row(4)])
    publish(tmp_path / "raw" / "test" / "0000.parquet", [row(5)])
    return tmp_path / "raw"


def test_recordings_lie_unchanged_beside_the_manifest(raw, tmp_path, rows):
    out = tmp_path / "out" / "manifest.jsonl"
    assert hf_dataset.main([str(raw), "--out", str(out)]) == 0
    found = rows(out)
    assert [(one["id"], one["text"], one["speaker"], one["language"], one["split"]) for one in found] == [
        ("utt0", "text 0", "7", "en", "train"),
        ("utt1", "text 1", "8", "de", "train"),
        ("utt2", "text 2", "7", "en", "train"),
        ("utt3", "text 3", "8", "de", "train"),
        ("utt4", "text 4", "7", "en", "dev"),
        ("utt5", "text 5", "8", "de", "test"),
    ]
    for k, one in enumerate(found):
        assert one["audio"] == f"audio/utt{k}.flac"
        assert (out.parent / one["audio"]).read_bytes() == sound(1.0, 200 + 10 * k)
    assert sorted(os.listdir(out.parent / "audio")) == [f"utt{k}.flac" for k in range(6)]


def test_nothing_is_written_twice_and_a_torn_file_is_not_kept(raw, tmp_path, rows):
    out = tmp_path / "out" / "manifest.jsonl"
    folder = out.parent / "audio"
    folder.mkdir(parents=True)
    (folder / "utt1.flac.partial").write_bytes(b"torn")  # what a kill leaves
    assert hf_dataset.main([str(raw), "--out", str(out)]) == 0
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    text = out.read_bytes()
    assert hf_dataset.main([str(raw), "--out", str(out)]) == 0
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert out.read_bytes() == text
    assert "utt1.flac.partial" not in before


def _prepare(raw, out):
    hf_dataset.main([str(raw), "--out", str(out)])


def _dies_at(count, raw, out):
    real = hf_dataset.write_atomic
    left = [count]

    def write(path, data):
        left[0] -= 1
        if left[0] < 0:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_name(path.name + ".partial").write_bytes(data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        real(path, data)

    hf_dataset.write_atomic = write
    _prepare(raw, out)


def test_a_run_that_was_killed_and_run_again_equals_one_that_was_not(raw, tmp_path):
    _prepare(raw, tmp_path / "whole" / "manifest.jsonl")
    for count in (0, 3):
        out = tmp_path / f"killed{count}" / "manifest.jsonl"
        process = multiprocessing.get_context("fork").Process(target=_dies_at, args=(count, raw, out))
        process.start()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        _prepare(raw, out)
        assert out.read_bytes() == (tmp_path / "whole" / "manifest.jsonl").read_bytes()
        names = sorted(os.listdir(out.parent / "audio"))
        assert names == sorted(os.listdir(tmp_path / "whole" / "audio"))
        for name in names:
            assert (out.parent / "audio" / name).read_bytes() == (tmp_path / "whole" / "audio" / name).read_bytes()


def test_an_id_that_comes_twice_does_not_change_the_first_recording(tmp_path, rows):
    raw = tmp_path / "raw"
    publish(raw / "a.parquet", [row(0), row(1, id="utt0")])
    out = tmp_path / "manifest.jsonl"
    assert hf_dataset.main([str(raw), "--out", str(out), "--max-failed", "0.5"]) == 0
    (kept,) = rows(out)
    assert (tmp_path / kept["audio"]).read_bytes() == sound(1.0, 200)
    assert "comes twice" in rows(tmp_path / "manifest.failed.jsonl")[0]["reason"]


def test_ids_never_lead_out_of_the_folder_and_absent_ones_are_made(tmp_path, rows):
    raw = tmp_path / "raw"
    publish(raw / "en" / "train.parquet", [row(0, id="../../evil"), row(1, id=None), row(2, id="a/b")])
    out = tmp_path / "out" / "manifest.jsonl"
    assert hf_dataset.main([str(raw), "--out", str(out)]) == 0
    assert [one["id"] for one in rows(out)] == ["../../evil", "en-train-1", "a/b"]
    assert sorted(os.listdir(tmp_path)) == ["out", "raw"]
    assert len(os.listdir(out.parent / "audio")) == 3


def test_bad_rows_are_counted(tmp_path):
    raw = tmp_path / "raw"
    bad = [
        row(0, audio={"bytes": None, "path": None}),
        row(1, transcription=None),
        row(2, audio={"bytes": b"", "path": "x.wav"}),
        row(3, audio=None),
    ]
    publish(raw / "a.parquet", [*bad, row(4)])
    found = list(hf_dataset.find(raw, tmp_path / "manifest.jsonl"))
    reasons = [one.reason for one in found if isinstance(one, Dropped)]
    assert len(reasons) == 3
    assert "row 0: expected a recording and its text, found no recording" in reasons[0]
    assert "row 1: expected a recording and its text, found text None" in reasons[1]
    assert "row 3: expected a recording and its text, found no recording" in reasons[2]
    assert found[2].audio == raw / "x.wav"  # without bytes the path is taken


def test_paths_columns_and_languages_by_name(tmp_path, rows):
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "x.wav").write_bytes(sound(form="WAV"))
    table = pa.table({"wav": ["x.wav"], "said": ["one"], "note": ["n"], "text": ["wrong"]})
    pq.write_table(table, raw / "a.parquet")
    out = tmp_path / "manifest.jsonl"
    options = ["--audio-column", "wav", "--text-column", "said", "--language", "fr", "--speaker", "anna", "--files", "a.parquet"]
    assert hf_dataset.main([str(raw), "--out", str(out), *options]) == 0
    (only,) = rows(out)
    assert (only["id"], only["audio"], only["text"], only["language"], only["speaker"]) == (
        "a-0",
        "raw/x.wav",
        "one",
        "fr",
        "anna",
    )


@pytest.mark.parametrize(
    ("table", "options", "words"),
    [
        (
            {"audio": [1], "text": ["a"]},
            [],
            r"expected recordings \(.*\), found audio: int64, text: string; name it by --audio-column",
        ),
        (
            {"audio": [b"x"], "words": ["a"]},
            [],
            r"expected text \(string\), found audio: binary, words: string; name it by --text-",
        ),
        ({"audio": [b"x"], "text": [1.5]}, [], r"expected text \(string\), found audio: binary, text: double"),
        ({"audio": [b"x"], "text": ["a"]}, ["--text-column", "said"], "in the column 'said', found audio: binary, text: string"),
        ({"audio": [b"x"], "text": ["a"]}, ["--speaker-column", "audio"], "expected speakers .* in the column 'audio'"),
    ],
)
def test_a_wrong_schema_is_one_line_with_both_sides(tmp_path, one_line, table, options, words):
    raw = tmp_path / "raw"
    raw.mkdir()
    pq.write_table(pa.table(table), raw / "a.parquet")
    assert hf_dataset.main([str(raw), "--out", str(tmp_path / "manifest.jsonl"), *options]) == 2
    assert re.search(words, one_line())


@pytest.mark.parametrize("keep", [0, 3, 0.5, 0.99])
def test_a_torn_file_is_one_line_before_anything_is_written(raw, tmp_path, one_line, keep):
    path = raw / "data" / "train-00001-of-00002.parquet"
    data = path.read_bytes()
    path.write_bytes(data[: keep if keep > 1 else int(keep * len(data))])
    out = tmp_path / "out" / "manifest.jsonl"
    assert hf_dataset.main([str(raw), "--out", str(out)]) == 2
    assert "train-00001-of-00002.parquet: expected a whole Parquet file, found a torn or another one" in one_line()
    assert not out.parent.exists() or not (out.parent / "audio").exists()


def test_every_row_of_a_damaged_row_group_is_a_fault_and_the_others_are_read(tmp_path):
    path = publish(tmp_path / "a.parquet", [row(k) for k in range(6)])
    group = pq.ParquetFile(path).metadata.row_group(1)
    start = group.column(0).data_page_offset
    data = bytearray(path.read_bytes())
    data[start : start + 30] = b"\xff" * 30
    path.write_bytes(data)
    found = list(parquet_rows.rows(path, parquet_rows.columns(path, {})))
    assert [one[0] for one in found if not isinstance(one, Dropped)] == [0, 1, 4, 5]
    assert [one.id for one in found if isinstance(one, Dropped)] == ["a-2", "a-3"]
    assert "row 2 lies in row group 1, which cannot be read" in found[2].reason


def test_a_folder_without_parquet_says_what_to_do(tmp_path, one_line):
    out = str(tmp_path / "manifest.jsonl")
    assert hf_dataset.main([str(tmp_path), "--out", out]) == 2
    assert "expected .parquet files below it, found none; fetch the data set by `hf download" in one_line()
    (tmp_path / "data-00000-of-00001.arrow").write_bytes(b"")
    assert hf_dataset.main([str(tmp_path), "--out", out]) == 2
    assert "was written by save_to_disk" in one_line()


@pytest.mark.parametrize("path", ["../outside.flac", "{tmp_path}/outside.flac"])
def test_a_path_that_leads_out_of_the_folder_is_counted(tmp_path, rows, path):
    (tmp_path / "outside.flac").write_bytes(sound())
    bad = row(1, audio={"bytes": None, "path": path.format(tmp_path=tmp_path)})
    publish(tmp_path / "raw" / "0.parquet", [row(0), bad])
    out = tmp_path / "out" / "manifest.jsonl"
    assert hf_dataset.main([str(tmp_path / "raw"), "--out", str(out), "--max-failed", "0.5"]) == 0
    (failed,) = rows(out.with_name("manifest.failed.jsonl"))
    assert failed["id"] == "utt1"
    assert "which leads out of" in failed["reason"]
