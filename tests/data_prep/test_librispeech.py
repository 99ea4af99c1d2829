"""LibriSpeech: chapters of upper-case lines, its own splits."""

import librispeech
import pytest
import soundfile


@pytest.fixture
def raw(tmp_path):
    for subset, speaker in (("train-clean-100", "19"), ("dev-clean", "84"), ("test-clean", "1089")):
        chapter = tmp_path / "LibriSpeech" / subset / speaker / "7"
        chapter.mkdir(parents=True)
        lines = []
        for k in range(2):
            soundfile.write(chapter / f"{speaker}-7-000{k}.flac", [0.0] * 16000 * (k + 1), 16000)
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
