"""VCTK: texts and recordings of two microphones in a folder for each speaker."""

import pytest
from tones import tone

from data_prep import vctk

RAINBOW = "When the sunlight strikes raindrops in the air, they act as a prism and form a rainbow."


@pytest.fixture
def raw(tmp_path):
    root = tmp_path / "VCTK-Corpus-0.92"
    for speaker, texts in {
        "p225": ["Please call Stella.", RAINBOW],
        "p226": ["Please call Stella.", RAINBOW],
        "p280": ["Please call Stella."],
        "p315": [None],
        "s5": [RAINBOW],
    }.items():
        for k, text in enumerate(texts, 1):
            name = f"{speaker}_{k:03}"
            if text is not None:
                (root / "txt" / speaker).mkdir(parents=True, exist_ok=True)
                (root / "txt" / speaker / f"{name}.txt").write_text(f"{text}\n")
            for microphone in ("mic1", "mic2")[: 1 if speaker == "p280" else 2]:
                tone(root / "wav48_silence_trimmed" / speaker / f"{name}_{microphone}.flac", 1, 48000)
    (root / "wav48_silence_trimmed" / "log.txt").write_text("of the trimming")
    (root / "speaker-info.txt").write_text(
        "ID  AGE  GENDER  ACCENTS  REGION COMMENTS \np225  23  F    English    Southern  England\n"
        "p226  22  M    English    Surrey\np280  25  F    Unknown    France (mic2 files unavailable)\n"
        "p315  18  M    American   New  England (Text and mic2 files unavailable)\n"
    )
    return root


def prepare(raw, tmp_path, *options):
    out = tmp_path / "out" / "manifest.jsonl"
    return vctk.main([str(raw), "--out", str(out), *options]), out


def failed(out, rows):
    return {row["id"]: row["reason"] for row in rows(out.with_name("manifest.failed.jsonl"))}


def test_second_microphone_tags_and_what_the_corpus_lacks(raw, tmp_path, rows):
    code, out = prepare(raw, tmp_path)
    assert code == 0
    found = rows(out)
    assert [(row["id"], row["text"], row["speaker"]) for row in found] == [
        ("p225_001_mic2", "Please call Stella.", "p225"),
        ("p225_002_mic2", RAINBOW, "p225"),
        ("p226_001_mic2", "Please call Stella.", "p226"),
        ("p226_002_mic2", RAINBOW, "p226"),
        ("s5_001_mic2", RAINBOW, "s5"),
    ]
    assert found[0]["tags"] == {"age": "23", "gender": "female", "accent": "English"}
    assert found[-1]["tags"] == {}
    assert failed(out, rows) == {
        "p280_001_mic2": "speaker p280 has no recordings *_mic2.flac",
        "p315_001_mic2": "speaker p315 has no texts",
    }


def test_the_passages_that_all_speakers_read_are_in_one_split(raw, tmp_path, rows):
    for seed in range(5):
        code, out = prepare(raw, tmp_path, "--dev", "0.3", "--test", "0.3", "--seed", str(seed))
        assert code == 0
        assert len({row["split"] for row in rows(out) if row["text"] == RAINBOW}) == 1


def test_first_microphone_has_all_speakers_with_texts(raw, tmp_path, rows):
    code, out = prepare(raw, tmp_path, "--mic", "mic1")
    assert code == 0
    assert {row["speaker"] for row in rows(out)} == {"p225", "p226", "p280", "s5"}
    assert next(row for row in rows(out) if row["speaker"] == "p280")["tags"] == {"age": "25", "gender": "female"}


def test_missing_recordings_and_texts_are_failed_rows(raw, tmp_path, rows):
    (raw / "wav48_silence_trimmed" / "p225" / "p225_001_mic2.flac").unlink()
    (raw / "txt" / "p225" / "p225_002.txt").unlink()
    (raw / "txt" / "p226" / "p226_001.txt").write_bytes(b"caf\xe9")
    assert prepare(raw, tmp_path)[0] == 2
    code, out = prepare(raw, tmp_path, "--max-failed", "0.9")
    assert code == 0
    assert [row["id"] for row in rows(out)] == ["p226_002_mic2", "s5_001_mic2"]
    reasons = failed(out, rows)
    assert reasons["p225_001_mic2"].startswith("no audio file ")
    assert reasons["p225_002_mic2"] == f"no text {raw / 'txt' / 'p225' / 'p225_002'}.txt"
    assert "expected UTF-8 text, found other bytes" in reasons["p226_001_mic2"]


def test_the_releases_before_have_one_microphone_and_bare_numbers(tmp_path, rows):
    raw = tmp_path / "VCTK-Corpus"
    tone(raw / "wav48" / "p225" / "p225_001.wav", 1, 48000)
    (raw / "txt" / "p225").mkdir(parents=True)
    (raw / "txt" / "p225" / "p225_001.txt").write_text("Please call Stella.")
    (raw / "speaker-info.txt").write_text("ID  AGE  GENDER  ACCENTS  REGION\n225  23  F    English    Southern  England\n")
    code, out = prepare(raw, tmp_path)
    assert code == 0
    assert [(row["id"], row["tags"]["accent"]) for row in rows(out)] == [("p225_001", "English")]
