"""LibriSpeech: chapters of upper-case lines, its own splits."""

import json
import math
import os

import pytest
import soundfile

from data_prep import librispeech


@pytest.fixture
def raw(tmp_path):
    for subset, speaker in (("train-clean-100", "19"), ("dev-clean", "84"), ("test-clean", "1089")):
        chapter = tmp_path / "LibriSpeech" / subset / speaker / "7"
        chapter.mkdir(parents=True)
        lines = []
        for k in range(2):
            soundfile.write(chapter / f"{speaker}-7-000{k}.flac", [0.1 * math.sin(n / 5) for n in range(16000 * (k + 1))], 16000)
            lines.append(f"{speaker}-7-000{k} HE SAID {speaker} TIMES {k}")
        (chapter / f"{speaker}-7.trans.txt").write_text("\n".join(lines))  # the real ones have no last newline either
    return tmp_path / "LibriSpeech"


def test_lower_case_speakers_subsets_and_own_splits(raw, tmp_path, rows):
    out = tmp_path / "manifest.jsonl"
    assert librispeech.main([str(raw), "--out", str(out)]) == 0
    found = rows(out)
    assert [(row["id"], row["speaker"], row["split"]) for row in found] == [
        ("84-7-0000", "84", "dev"),
        ("84-7-0001", "84", "dev"),
        ("1089-7-0000", "1089", "test"),
        ("1089-7-0001", "1089", "test"),
        ("19-7-0000", "19", "train"),
        ("19-7-0001", "19", "train"),
    ]
    assert found[3]["text"] == "he said 1089 times 1"
    assert found[3]["duration"] == 2.0
    assert found[3]["tags"] == {"subset": "test-clean"}


def test_case_subset_and_hashed_splits_on_demand(raw, tmp_path, rows):
    out = tmp_path / "manifest.jsonl"
    options = ["--keep-case", "--subset", "test-clean", "--splits", "hash", "--dev", "0", "--test", "0"]
    assert librispeech.main([str(raw), "--out", str(out), *options]) == 0
    assert [(row["text"], row["split"]) for row in rows(out)] == [
        ("HE SAID 1089 TIMES 0", "train"),
        ("HE SAID 1089 TIMES 1", "train"),
    ]


def test_any_folder_above_the_chapters_will_do(raw, tmp_path, rows):
    out = tmp_path / "manifest.jsonl"
    assert librispeech.main([str(raw / "dev-clean" / "84"), "--out", str(out)]) == 0
    assert {row["tags"]["subset"] for row in rows(out)} == {"dev-clean"}


def test_unknown_subset_and_wrong_folder_are_refused(raw, tmp_path, capsys):
    out = str(tmp_path / "manifest.jsonl")
    assert librispeech.main([str(raw), "--out", out, "--subset", "test-other"]) == 2
    assert "no subset test-other; there are: dev-clean, test-clean, train-clean-100" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert librispeech.main([str(tmp_path / "empty"), "--out", out]) == 2
    assert "expected *.trans.txt files below it" in capsys.readouterr().err


def test_a_byte_order_mark_costs_no_row(raw, tmp_path, rows):
    transcript = raw / "test-clean" / "1089" / "7" / "1089-7.trans.txt"
    transcript.write_bytes(b"\xef\xbb\xbf" + transcript.read_bytes())
    assert librispeech.main([str(raw), "--out", str(tmp_path / "manifest.jsonl"), "--subset", "test-clean"]) == 0
    assert [row["id"] for row in rows(tmp_path / "manifest.jsonl")] == ["1089-7-0000", "1089-7-0001"]


def test_only_line_feeds_part_the_lines_of_a_chapter(raw, tmp_path, rows):
    transcript = raw / "test-clean" / "1089" / "7" / "1089-7.trans.txt"
    transcript.write_text("1089-7-0000 ONE\u2028TWO\r\n1089-7-0001 THREE\n", "utf-8")
    assert librispeech.main([str(raw), "--out", str(tmp_path / "manifest.jsonl"), "--subset", "test-clean"]) == 0
    assert [row["text"] for row in rows(tmp_path / "manifest.jsonl")] == ["one two", "three"]


def test_a_transcript_that_cannot_be_read_is_refused_in_one_line(raw, tmp_path, one_line):
    transcript = raw / "test-clean" / "1089" / "7" / "1089-7.trans.txt"
    transcript.write_bytes(b"1089-7-0000 caf\xe9\n")
    assert librispeech.main([str(raw), "--out", str(tmp_path / "manifest.jsonl")]) == 2
    assert one_line().startswith(f"librispeech: {transcript}: expected UTF-8 text, found other bytes")
    transcript.unlink()
    os.mkfifo(transcript)
    assert librispeech.main([str(raw), "--out", str(tmp_path / "manifest.jsonl")]) == 2
    assert f"{transcript}: expected the transcript of a chapter, found a named pipe" in one_line()
    assert not (tmp_path / "manifest.jsonl").exists()


def test_an_unreadable_folder_is_refused_and_not_skipped(raw, tmp_path, one_line, forbid):
    forbid(raw / "test-clean" / "1089")
    assert librispeech.main([str(raw), "--out", str(tmp_path / "manifest.jsonl")]) == 2
    assert "cannot read the folder" in one_line()


def test_the_side_car_holds_one_hash_per_subset_whatever_the_folder_is_called(raw, tmp_path):
    def inputs(folder, name):
        assert librispeech.main([str(folder), "--out", str(tmp_path / name / "manifest.jsonl")]) == 0
        return json.loads((tmp_path / name / "manifest.jsonl.meta.json").read_text())["inputs"]

    before = inputs(raw, "a")
    assert list(before) == ["dev-clean/*.trans.txt", "test-clean/*.trans.txt", "train-clean-100/*.trans.txt"]
    moved = raw.rename(tmp_path / "elsewhere")
    assert inputs(moved, "b") == before
    with (moved / "test-clean" / "1089" / "7" / "1089-7.trans.txt").open("a") as file:
        file.write("\n")
    after = inputs(moved, "c")
    assert [name for name in before if before[name] != after[name]] == ["test-clean/*.trans.txt"]


def test_a_transcript_near_the_root_has_no_subset(tmp_path):
    assert librispeech._subset(tmp_path.__class__("/x.trans.txt")) == ""


@pytest.fixture
def pc(raw, tmp_path):
    """LibriSpeech-PC's tables of all subsets but one row, which its authors could not restore."""
    folder = tmp_path / "pc"
    folder.mkdir()
    for subset, speaker in (("train-clean-100", "19"), ("dev-clean", "84"), ("test-clean", "1089")):
        kept = (0,) if subset == "test-clean" else (0, 1)
        lines = [
            {
                "audio_filepath": f"{subset}/{speaker}/7/{speaker}-7-000{k}.flac",
                "duration": 1.0 + k,
                "text": f"“He said,” {speaker}, times: {k}!",
                "text_raw": f"_He said_ {speaker} — {k}",
            }
            for k in kept
        ]
        (folder / f"{subset}.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_restored_texts_come_by_id_and_rows_without_one_are_left_out(raw, pc, tmp_path, rows, capsys):
    out = tmp_path / "manifest.jsonl"
    assert librispeech.main([str(raw), "--out", str(out), "--pc", str(pc)]) == 0
    found = {row["id"]: row["text"] for row in rows(out)}
    assert found["84-7-0001"] == "“He said,” 84, times: 1!"
    assert len(found) == 5
    assert "0 failed, 1 left out" in capsys.readouterr().err
    assert {row["id"]: row["reason"] for row in rows(tmp_path / "manifest.failed.jsonl")} == {
        "1089-7-0001": "LibriSpeech-PC has no text of it in test-clean.json"
    }
    inputs = json.loads((tmp_path / "manifest.jsonl.meta.json").read_text())["inputs"]
    assert [name for name in inputs if name.startswith("pc/")] == [
        "pc/dev-clean.json",
        "pc/test-clean.json",
        "pc/train-clean-100.json",
    ]


def test_one_table_will_do_for_one_subset(raw, pc, tmp_path, rows):
    options = ["--subset", "dev-clean", "--pc", str(pc / "dev-clean.json")]
    assert librispeech.main([str(raw), "--out", str(tmp_path / "manifest.jsonl"), *options]) == 0
    assert [row["text"] for row in rows(tmp_path / "manifest.jsonl")] == ["“He said,” 84, times: 0!", "“He said,” 84, times: 1!"]


def test_a_subset_without_a_table_is_refused_and_a_torn_line_counted(raw, pc, tmp_path, rows, capfd):
    out = tmp_path / "manifest.jsonl"
    with (pc / "dev-clean.json").open("a") as file:
        file.write('{"audio_filepath": "dev-clean/84/7/84-7-0009.flac", "te\n{"text": "no path"}\n')
    assert librispeech.main([str(raw), "--out", str(out), "--pc", str(pc), "--max-failed", "0.5"]) == 0
    reasons = {row["id"]: row["reason"] for row in rows(tmp_path / "manifest.failed.jsonl")}
    assert reasons["dev-clean.json:3"].startswith("dev-clean.json:3: not valid JSON")
    assert reasons["dev-clean.json:4"].startswith("dev-clean.json:4: expected audio_filepath and text")
    capfd.readouterr()
    (pc / "dev-clean.json").unlink()
    assert librispeech.main([str(raw), "--out", str(out), "--pc", str(pc)]) == 2
    assert (
        "expected LibriSpeech-PC's texts of dev-clean, found none; give the folder of manifests.tar.gz as --pc"
        in capfd.readouterr().err
    )
    assert librispeech.main([str(raw), "--out", str(out), "--pc", "p" * 300]) == 2
    assert "File name too long" in capfd.readouterr().err
