"""LJSpeech: metadata.csv without quoting, and its clips."""

import os

import pytest

from data_prep import ljspeech


@pytest.fixture
def raw(tmp_path, record):
    folder = tmp_path / "LJSpeech-1.1"
    for k in range(1, 4):
        record(folder / "wavs" / f"LJ001-000{k}.wav", k)
    lines = ['LJ001-0001|He said "no|He said "no', "LJ001-0002|in 1455,|in fourteen fifty-five,", "LJ001-0003|only two fields"]
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


def test_rows_come_out_with_the_normalised_text(raw, tmp_path, rows, capsys):
    out = tmp_path / "manifest.jsonl"
    assert ljspeech.main([str(raw), "--out", str(out)]) == 0
    assert [(row["id"], row["text"], row["duration"], row["speaker"]) for row in rows(out)] == [
        ("LJ001-0001", 'He said "no', 1.0, "LJ"),
        ("LJ001-0002", "in fourteen fifty-five,", 2.0, "LJ"),
        ("LJ001-0003", "only two fields", 3.0, "LJ"),
    ]
    assert "3 utterances, 0.1 minutes, 1 speaker" in capsys.readouterr().err


def test_raw_text_on_demand(raw, tmp_path, rows):
    out = tmp_path / "manifest.jsonl"
    assert ljspeech.main([str(raw), "--out", str(out), "--text", "raw"]) == 0
    assert rows(out)[1]["text"] == "in 1455,"


def test_a_missing_clip_fails_unless_allowed(raw, tmp_path, rows, capsys):
    out = tmp_path / "manifest.jsonl"
    (raw / "wavs" / "LJ001-0002.wav").unlink()
    assert ljspeech.main([str(raw), "--out", str(out)]) == 2
    assert "ljspeech: 1 of 3 rows failed" in capsys.readouterr().err
    assert not out.exists()
    assert ljspeech.main([str(raw), "--out", str(out), "--allow-missing"]) == 0
    assert [row["id"] for row in rows(out)] == ["LJ001-0001", "LJ001-0003"]


def test_a_line_of_another_shape_is_a_failed_row(raw, tmp_path, rows):
    with (raw / "metadata.csv").open("a") as file:
        file.write("LJ001-0004|a|b|c\n")
    assert ljspeech.main([str(raw), "--out", str(tmp_path / "manifest.jsonl"), "--max-failed", "0.3"]) == 0
    assert rows(tmp_path / "manifest.failed.jsonl") == [
        {"id": "LJ001-0004", "reason": "metadata.csv:4: expected id|text|normalised text, found 4 fields"}
    ]


def test_another_folder_is_refused(tmp_path, capsys):
    assert ljspeech.main([str(tmp_path), "--out", str(tmp_path / "manifest.jsonl")]) == 2
    assert "give the folder LJSpeech-1.1 as RAW_DIR" in capsys.readouterr().err
    assert ljspeech.main([str(tmp_path / "none"), "--out", str(tmp_path / "manifest.jsonl")]) == 2
    assert "expected the folder of the corpus, found none" in capsys.readouterr().err


def test_a_byte_order_mark_costs_no_row(raw, tmp_path, rows):
    (raw / "metadata.csv").write_bytes(b"\xef\xbb\xbf" + (raw / "metadata.csv").read_bytes().replace(b"\n", b"\r\n"))
    assert ljspeech.main([str(raw), "--out", str(tmp_path / "manifest.jsonl")]) == 0
    assert [row["id"] for row in rows(tmp_path / "manifest.jsonl")] == ["LJ001-0001", "LJ001-0002", "LJ001-0003"]


def test_a_row_without_an_id_is_a_failed_row(raw, tmp_path, rows):
    with (raw / "metadata.csv").open("a") as file:
        file.write("|said|said\n")
    assert ljspeech.main([str(raw), "--out", str(tmp_path / "manifest.jsonl"), "--max-failed", "0.3"]) == 0
    assert [row["id"] for row in rows(tmp_path / "manifest.jsonl")] == ["LJ001-0001", "LJ001-0002", "LJ001-0003"]
    assert rows(tmp_path / "manifest.failed.jsonl") == [{"id": "", "reason": f"empty id, for {raw / 'wavs' / '.wav'}"}]


def test_transcripts_that_cannot_be_read_are_refused_in_one_line(raw, tmp_path, one_line):
    out = ["--out", str(tmp_path / "manifest.jsonl")]
    (raw / "metadata.csv").write_bytes(b"LJ001-0001|caf\xe9|caf\xe9\n")
    assert ljspeech.main([str(raw), *out]) == 2
    assert f"ljspeech: {raw / 'metadata.csv'}: expected UTF-8 text, found other bytes" in one_line()
    (raw / "metadata.csv").unlink()
    os.mkfifo(raw / "metadata.csv")
    assert ljspeech.main([str(raw), *out]) == 2
    assert "expected LJSpeech's transcripts, found a named pipe" in one_line()
    assert ljspeech.main(["r" * 300, *out]) == 2
    assert "File name too long" in one_line()


def test_a_notebook_can_look_at_what_the_corpus_holds(raw):
    assert [one.text for one in ljspeech.find(raw, text="raw")] == ['He said "no', "in 1455,", "only two fields"]
    assert next(ljspeech.find(raw)).audio == raw / "wavs" / "LJ001-0001.wav"
