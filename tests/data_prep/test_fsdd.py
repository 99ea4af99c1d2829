"""FSDD: a digit, a speaker and a number in every name, its own split by the number."""

import pytest

from data_prep import fsdd


@pytest.fixture
def raw(tmp_path, record):
    folder = tmp_path / "free-spoken-digit-dataset"
    for digit in (0, 7):
        for index in (0, 4, 5, 49):
            record(folder / "recordings" / f"{digit}_jackson_{index}.wav", 0.2 + index / 100)
    (folder / "metadata.py").write_text("metadata = {}\n")
    return folder


def test_names_become_words_speakers_and_the_official_split(raw, tmp_path, rows, capsys):
    out = tmp_path / "manifest.jsonl"
    assert fsdd.main([str(raw), "--out", str(out)]) == 0
    found = {row["id"]: (row["text"], row["speaker"], row["split"]) for row in rows(out)}
    assert len(found) == 8
    assert found["0_jackson_0"] == ("zero", "jackson", "test")
    assert found["7_jackson_4"] == ("seven", "jackson", "test")
    assert found["7_jackson_5"] == ("seven", "jackson", "train")
    assert found["0_jackson_49"] == ("zero", "jackson", "train")
    assert "warning: 2 sentences" in capsys.readouterr().err


def test_clips_of_a_fifth_of_a_second_are_kept_unless_asked(raw, tmp_path, rows):
    out = tmp_path / "manifest.jsonl"
    assert fsdd.main([str(raw), "--out", str(out), "--min-duration", "0.5"]) == 0
    assert {row["id"] for row in rows(out)} == {"0_jackson_49", "7_jackson_49"}


def test_hashed_splits_keep_a_digit_on_one_side(raw, tmp_path, rows, capsys):
    out = tmp_path / "manifest.jsonl"
    assert fsdd.main([str(raw), "--out", str(out), "--splits", "hash", "--dev", "0.3", "--test", "0.3"]) == 0
    splits = {(row["text"], row["split"]) for row in rows(out)}
    assert len(splits) == 2
    assert "sentences" not in capsys.readouterr().err


def test_the_folder_of_clips_itself_will_do(raw):
    assert [one.id for one in fsdd.find(raw / "recordings")] == [one.id for one in fsdd.find(raw)]


def test_another_name_is_a_failed_row(raw, tmp_path, rows, record):
    record(raw / "recordings" / "ten_jackson_1.wav")
    out = tmp_path / "manifest.jsonl"
    assert fsdd.main([str(raw), "--out", str(out), "--max-failed", "0.2"]) == 0
    assert {row["id"]: row["reason"] for row in rows(tmp_path / "manifest.failed.jsonl")} == {
        "ten_jackson_1": "expected a name as 7_jackson_32.wav, found 'ten_jackson_1.wav'"
    }


def test_another_folder_is_refused(tmp_path, one_line):
    assert fsdd.main([str(tmp_path), "--out", str(tmp_path / "manifest.jsonl")]) == 2
    assert f"fsdd: {tmp_path}: expected recordings/*.wav, found none" in one_line()
