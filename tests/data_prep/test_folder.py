"""A folder of one's own: transcripts beside the audio, or a table."""

import json

import folder
import pytest


@pytest.fixture
def raw(tmp_path, record):
    base = tmp_path / "raw"
    for name in ("ann/a one", "ann/b", "bob/a"):
        record(base / f"{name}.wav")
        (base / f"{name}.txt").write_text(f"text of {name}\n", "utf-8")
    return base


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out" / "manifest.jsonl"


def test_text_files_beside_the_audio(raw, out, rows):
    assert folder.main([str(raw), "--out", str(out), "--language", "de"]) == 0
    assert [(row["id"], row["text"], row["speaker"], row["audio"], row["language"]) for row in rows(out)] == [
        ("ann-a-one", "text of ann/a one", "ann", "../raw/ann/a one.wav", "de"),
        ("ann-b", "text of ann/b", "ann", "../raw/ann/b.wav", "de"),
        ("bob-a", "text of bob/a", "bob", "../raw/bob/a.wav", "de"),
    ]


def test_audio_without_transcript_is_a_failed_row(raw, out, rows):
    (raw / "bob" / "a.txt").unlink()
    assert folder.main([str(raw), "--out", str(out), "--max-failed", "0.5"]) == 0
    assert rows(out.with_name("manifest.failed.jsonl"))[0]["reason"] == f"no transcript {raw / 'bob' / 'a.txt'}"


def test_another_transcript_suffix_and_one_speaker(raw, out, rows):
    for name in ("ann/a one", "ann/b", "bob/a"):
        (raw / f"{name}.normalized.txt").write_text("normalised")
    assert folder.main([str(raw), "--out", str(out), "--transcript-suffix", ".normalized.txt", "--speaker", "me"]) == 0
    assert {(row["text"], row["speaker"]) for row in rows(out)} == {("normalised", "me")}


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
def test_tables(raw, out, rows, tmp_path, suffix):
    wanted = [
        {"audio": "ann/b.wav", "text": 'a "quoted", text', "speaker": "Ann", "split": "test"},
        {"audio": str(raw / "bob" / "a.wav"), "text": "two", "speaker": "", "split": ""},
    ]
    table = tmp_path / f"table{suffix}"
    if suffix == ".jsonl":
        lines = [json.dumps(row) for row in wanted]
    elif suffix == ".tsv":
        lines = ["\t".join(wanted[0])] + ["\t".join(row.values()) for row in wanted]
    else:
        lines = [",".join(wanted[0])] + [",".join('"' + cell.replace('"', '""') + '"' for cell in row.values()) for row in wanted]
    table.write_text("\ufeff" * (suffix == ".csv") + "\n".join(lines) + "\n", "utf-8")
    assert folder.main([str(raw), "--out", str(out), "--table", str(table), "--test", "0", "--dev", "0"]) == 0
    found = rows(out)
    assert [(row["text"], row["speaker"], row["split"]) for row in found] == [
        ('a "quoted", text', "Ann", "test"),
        ("two", "speaker", "train"),
    ]
    assert found[0]["id"] == "ann-b"


def test_a_wrong_split_and_a_wrong_type_are_failed_rows(raw, out, rows, tmp_path):
    table = tmp_path / "table.jsonl"
    lines = [
        {"audio": "ann/b.wav", "text": "fine"},
        {"audio": "bob/a.wav", "text": "x", "split": "valid"},
        {"audio": "bob/a.wav", "text": 7, "id": "seven"},
        {"text": "nowhere"},
    ]
    table.write_text("".join(json.dumps(row) + "\n" for row in lines))
    assert folder.main([str(raw), "--out", str(out), "--table", str(table), "--max-failed", "0.9"]) == 0
    assert rows(out.with_name("manifest.failed.jsonl")) == [
        {"id": "bob-a", "reason": "table.jsonl:2: split must be train, dev or test, found 'valid'"},
        {"id": "seven", "reason": "table.jsonl:3: expected text in text"},
        {"id": "table.jsonl:4", "reason": "table.jsonl:4: expected text in audio"},
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "file,text\n", "expected columns audio and text in the first line, found file, text"),
        ("t.parquet", "", "expected a .csv, .tsv or .jsonl table, found .parquet"),
        ("t.jsonl", "[1]\n", 't.jsonl:1: expected {"audio": ..., "text": ...}, found list'),
        ("t.jsonl", "{\n", "t.jsonl:1: not valid JSON"),
    ],
)
def test_a_table_that_is_none_is_refused(raw, out, capsys, tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    assert folder.main([str(raw), "--out", str(out), "--table", str(tmp_path / name)]) == 2
    assert message in capsys.readouterr().err
    assert folder.main([str(raw), "--out", str(out), "--table", str(tmp_path / "none.csv")]) == 2
    assert "none.csv: No such file" in capsys.readouterr().err
