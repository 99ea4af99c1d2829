"""EARS: one text a task for all speakers, styles in the names of the files, freeform speech left out."""

import json

import pytest

from data_prep import ears

TEXTS = {
    "emo_adoration_sentences": "I just adore you. I love this gift, thank you!",
    "rainbow_01_fast": "When the sunlight strikes raindrops in the air.",
    "rainbow_01_whisper": "When the sunlight strikes raindrops in the air.",
    "sentences_23_regular": "Give this to the countess.",
}
PEOPLE = {"p001": {"age": "36-45", "ethnicity": "x", "gender": "male", "native language": "german", "height": "6' - 6'3"}}


@pytest.fixture
def raw(tmp_path, record):
    folder = tmp_path / "ears"
    for speaker in ("p001", "p107"):
        for task in (*TEXTS, "emo_adoration_freeform", "freeform_speech_01", "vegetative_cough"):
            record(folder / speaker / f"{task}.wav", 1.0, 16000)
    (folder / "transcripts.json").write_text(json.dumps(TEXTS))
    (folder / "speaker_statistics.json").write_text(json.dumps(PEOPLE))
    return folder


def test_tasks_become_texts_with_their_style(raw, tmp_path, rows, capsys):
    out = tmp_path / "manifest.jsonl"
    assert ears.main([str(raw), "--out", str(out)]) == 0
    found = {row["id"]: row for row in rows(out)}
    assert len(found) == 8
    first = found["p001_emo_adoration_sentences"]
    assert (first["text"], first["speaker"]) == (TEXTS["emo_adoration_sentences"], "p001")
    assert first["tags"] == {"style": "adoration", "gender": "male", "native_language": "german"}
    assert found["p107_rainbow_01_fast"]["tags"] == {"style": "fast"}, "nothing is said of this speaker"
    assert found["p001_sentences_23_regular"]["tags"]["style"] == "regular"
    assert found["p001_rainbow_01_fast"]["split"] == found["p107_rainbow_01_whisper"]["split"], "the same text"
    assert "0 failed, 6 left out" in capsys.readouterr().err


def test_what_has_no_transcript_is_named(raw, tmp_path, rows):
    ears.main([str(raw), "--out", str(tmp_path / "manifest.jsonl")])
    reasons = {row["id"]: row["reason"] for row in rows(tmp_path / "manifest.failed.jsonl")}
    assert reasons["p107_vegetative_cough"] == "transcripts.json has no text of vegetative_cough (freeform or non-verbal)"


def test_the_tables_may_lie_elsewhere_and_the_statistics_be_missing(raw, tmp_path, rows):
    (raw / "speaker_statistics.json").unlink()
    (tmp_path / "repository").mkdir()
    (raw / "transcripts.json").rename(tmp_path / "repository" / "transcripts.json")
    out = tmp_path / "manifest.jsonl"
    assert ears.main([str(raw), "--out", str(out), "--metadata", str(tmp_path / "repository")]) == 0
    assert {tuple(row["tags"]) for row in rows(out)} == {("style",)}


def test_a_missing_clip_is_no_row_and_a_torn_one_fails(raw, tmp_path, rows):
    (raw / "p001" / "rainbow_01_fast.wav").write_bytes(b"RIFF")
    out = tmp_path / "manifest.jsonl"
    assert ears.main([str(raw), "--out", str(out), "--max-failed", "0.2"]) == 0
    assert "p001_rainbow_01_fast" not in {row["id"] for row in rows(out)}
    (failed,) = [row for row in rows(tmp_path / "manifest.failed.jsonl") if row["id"] == "p001_rainbow_01_fast"]
    assert failed["reason"].startswith("unreadable audio")


def test_without_transcripts_it_says_where_they_are(raw, tmp_path, one_line):
    (raw / "transcripts.json").unlink()
    assert ears.main([str(raw), "--out", str(tmp_path / "manifest.jsonl")]) == 2
    assert "take it from the repository ears_dataset into RAW_DIR, or name its folder by --metadata" in one_line()


def test_transcripts_of_another_form_are_refused_or_counted(raw, tmp_path, rows, capfd):
    (raw / "transcripts.json").write_text(json.dumps({**TEXTS, "rainbow_01_fast": 7}))
    assert ears.main([str(raw), "--out", str(tmp_path / "manifest.jsonl"), "--max-failed", "0.5"]) == 0
    reasons = {row["id"]: row["reason"] for row in rows(tmp_path / "manifest.failed.jsonl")}
    assert reasons["p001_rainbow_01_fast"] == "transcripts.json: expected the text of rainbow_01_fast, found int"
    (raw / "transcripts.json").write_text("[]")
    capfd.readouterr()
    assert ears.main([str(raw), "--out", str(tmp_path / "manifest.jsonl")]) == 2
    assert f"{raw / 'transcripts.json'}: expected" in capfd.readouterr().err
    assert ears.main([str(raw), "--out", str(tmp_path / "manifest.jsonl"), "--metadata", "m" * 300]) == 2
    assert "File name too long" in capfd.readouterr().err
