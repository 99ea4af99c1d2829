"""Expresso: read sentences with styles and their own splits; dialogues and long forms left out."""

import pytest

from data_prep import expresso


@pytest.fixture
def raw(tmp_path, record):
    folder = tmp_path / "expresso"
    read = folder / "audio_48khz" / "read"
    for name, style, kind in (
        ("ex03_default_00003", "default", "base"),
        ("ex03_default_emphasis_00010", "default", "base"),
        ("ex04_happy_00085", "happy", "base"),
        ("ex04_happy_00091", "happy", "base"),
        ("ex03_singing_00001", "singing", "base"),
        ("ex03_default_longform_00001", "default", "longform"),
    ):
        record(read / name[:4] / style / kind / f"{name}.wav", 1.0, 16000)
    record(folder / "audio_48khz" / "conversational" / "ex04-ex01" / "laughing" / "ex04-ex01_laughing_001.wav")
    texts = {
        "ex03_default_00003": "Ready for bed, lamb chop?",
        "ex03_default_emphasis_00010": "*Of course*, they're going to be late *always*.",
        "ex03_default_longform_00001": "Many sentences.",
        "ex03_singing_00001": "La la la.",
        "ex04_happy_00085": 'Playing "Powerful", on Pandora.',
        "ex04_happy_00091": "That's Alan right there, isn't it?",
    }
    (folder / "read_transcriptions.txt").write_text("".join(f"{name}\t{text}\n" for name, text in texts.items()))
    (folder / "splits").mkdir()
    head = (
        '# If only one segment is extracted, it will have the format: "{filename}\\t({startime(optional)},{endtime(optional)})"\n'
    )
    for split, lines in {
        "train": ["ex04-ex01_laughing_001", "ex03_default_00003", "ex03_default_longform_00001\t(32.98s,)"],
        "dev": ["ex03_default_emphasis_00010", "ex03_default_longform_00001\t(,16.49s)", "ex04_happy_00085"],
        "test": ["ex03_default_longform_00001\t(16.49s,32.98s)", "ex04_happy_00091"],
    }.items():
        (folder / "splits" / f"{split}.txt").write_text(head + "\n".join(lines) + "\n")
    return folder


def test_read_sentences_come_out_with_style_and_split(raw, tmp_path, rows, capsys):
    out = tmp_path / "manifest.jsonl"
    assert expresso.main([str(raw), "--out", str(out)]) == 0
    assert {row["id"]: (row["speaker"], row["tags"], row["split"]) for row in rows(out)} == {
        "ex03_default_00003": ("ex03", {"style": "default"}, "train"),
        "ex03_default_emphasis_00010": ("ex03", {"style": "default"}, "dev"),
        "ex04_happy_00085": ("ex04", {"style": "happy"}, "dev"),
        "ex04_happy_00091": ("ex04", {"style": "happy"}, "test"),
    }
    texts = {row["id"]: row["text"] for row in rows(out)}
    assert texts["ex03_default_emphasis_00010"] == "Of course, they're going to be late always."
    assert texts["ex04_happy_00085"] == 'Playing "Powerful", on Pandora.'
    assert "0 failed, 3 left out" in capsys.readouterr().err


def test_what_is_left_out_has_its_reason(raw, tmp_path, rows):
    expresso.main([str(raw), "--out", str(tmp_path / "manifest.jsonl")])
    reasons = {row["id"]: row["reason"] for row in rows(tmp_path / "manifest.failed.jsonl")}
    assert reasons["ex04-ex01_laughing_001"] == "a dialogue: two speakers, and no transcript"
    assert reasons["ex03_default_longform_00001"].startswith("a long form: its transcript is that of the whole recording")
    assert reasons["ex03_singing_00001"] == "in none of the corpus' own splits"


def test_hashed_splits_need_no_lists_and_emphasis_is_kept_on_demand(raw, tmp_path, rows, one_line):
    for path in (raw / "splits").iterdir():
        path.unlink()
    (raw / "audio_48khz" / "read" / "ex03" / "default" / "longform" / "ex03_default_longform_00001.wav").unlink()
    out = tmp_path / "manifest.jsonl"
    assert expresso.main([str(raw), "--out", str(out)]) == 2
    assert "or divide by sentence: --splits hash" in one_line()
    options = ["--splits", "hash", "--dev", "0", "--test", "0", "--keep-emphasis"]
    assert expresso.main([str(raw), "--out", str(out), *options]) == 0
    found = {row["id"]: row for row in rows(out)}
    assert found["ex03_default_emphasis_00010"]["text"] == "*Of course*, they're going to be late *always*."
    assert found["ex03_singing_00001"]["tags"] == {"style": "singing"}
    assert {row["split"] for row in found.values()} == {"train"}


def test_a_transcript_without_a_recording_fails_unless_allowed(raw, tmp_path, rows, one_line):
    path = raw / "audio_48khz" / "read" / "ex04" / "happy" / "base" / "ex04_happy_00091.wav"
    path.unlink()
    (raw / "audio_48khz" / "read" / "ex03" / "default" / "longform" / "ex03_default_longform_00001.wav").unlink()
    out = tmp_path / "manifest.jsonl"
    assert expresso.main([str(raw), "--out", str(out)]) == 2
    assert f"first: ex04_happy_00091: no audio file {path}" in one_line()
    assert expresso.main([str(raw), "--out", str(out), "--allow-missing"]) == 0
    assert len(rows(out)) == 3


def test_a_line_of_another_shape_is_a_failed_row(raw, tmp_path, rows):
    with (raw / "read_transcriptions.txt").open("a") as file:
        file.write("no tab\n../x\tup\n")
    out = tmp_path / "manifest.jsonl"
    assert expresso.main([str(raw), "--out", str(out), "--max-failed", "0.5"]) == 0
    reasons = {row["id"]: row["reason"] for row in rows(tmp_path / "manifest.failed.jsonl")}
    assert reasons["read_transcriptions.txt:7"] == "read_transcriptions.txt:7: expected id<TAB>text, found 'no tab'"
    assert "read_transcriptions.txt:8" in reasons


def test_another_folder_is_refused(tmp_path, one_line):
    assert expresso.main([str(tmp_path), "--out", str(tmp_path / "manifest.jsonl")]) == 2
    assert "expected Expresso's transcripts, found none; give the folder expresso as RAW_DIR" in one_line()


def test_an_unreadable_folder_is_a_failed_row(raw, tmp_path, rows, forbid):
    forbid(raw / "audio_48khz" / "read" / "ex04")
    out = tmp_path / "manifest.jsonl"
    assert expresso.main([str(raw), "--out", str(out), "--max-failed", "0.9"]) == 0
    reasons = {row["id"]: row["reason"] for row in rows(tmp_path / "manifest.failed.jsonl")}
    assert "cannot read the folder" in reasons["read/ex04"]
    found = {row["id"]: (row["split"], row["tags"]) for row in rows(out)}
    assert found["ex04_happy_00085"] == ("dev", {"style": "happy"}), "known by its transcript, and there all the same"
