"""Hi-Fi TTS: a manifest for each reader, quality and split."""

import json

import pytest
from tones import tone

from data_prep import hifi_tts

PARTS = (("92", "clean", "train"), ("92", "clean", "dev"), ("6097", "clean", "test"), ("6097", "other", "train"))


def line(place, text="Awake, ye 10 kings,"):
    """A line as the corpus has it."""
    return json.dumps(
        {
            "audio_filepath": place,
            "text": text.lower().replace(",", "").replace("10", "ten"),
            "duration": 1.3,
            "text_no_preprocessing": f"“{text}”",
            "text_normalized": f'"{text}"'.replace("10", "ten"),
        }
    )


@pytest.fixture
def raw(tmp_path):
    root = tmp_path / "hi_fi_tts_v0"
    for reader, quality, split in PARTS:
        place = f"audio/{reader}_{quality}/1057/nada_{split}_0001.flac"
        tone(root / place, 1, 44100)
        (root / f"{reader}_manifest_{quality}_{split}.json").write_text(line(place) + "\n")
    (root / "books_bandwidth.tsv").write_text("of no concern")
    return root


def prepare(raw, tmp_path, *options):
    out = tmp_path / "out" / "manifest.jsonl"
    return hifi_tts.main([str(raw), "--out", str(out), *options]), out


def test_normalised_text_own_splits_and_tags(raw, tmp_path, rows):
    code, out = prepare(raw, tmp_path)
    assert code == 0
    found = rows(out)
    assert [(row["id"], row["speaker"], row["split"]) for row in found] == [
        ("6097_clean-1057-nada_test_0001", "6097", "test"),
        ("6097_other-1057-nada_train_0001", "6097", "train"),
        ("92_clean-1057-nada_dev_0001", "92", "dev"),
        ("92_clean-1057-nada_train_0001", "92", "train"),
    ]
    assert found[0]["text"] == '"Awake, ye ten kings,"'
    assert found[1]["tags"] == {"quality": "other", "gender": "male"}
    assert found[2]["tags"] == {"quality": "clean", "gender": "female"}


def test_other_texts_one_quality_and_splits_by_sentence(raw, tmp_path, rows):
    options = ("--text", "original", "--quality", "other", "--splits", "hash", "--test", "1", "--dev", "0")
    code, out = prepare(raw, tmp_path, *options)
    assert code == 0
    assert [(row["text"], row["split"]) for row in rows(out)] == [("“Awake, ye 10 kings,”", "test")]
    assert prepare(raw, tmp_path, "--text", "processed")[0] == 0
    assert rows(out)[0]["text"] == "awake ye ten kings"


def test_broken_lines_and_missing_audio_are_failed_rows(raw, tmp_path, rows):
    with (raw / "92_manifest_clean_train.json").open("a") as file:
        file.write('{"torn": \n{"audio_filepath": "audio/a.flac"}\n[1]\n')
        file.write(
            line("../elsewhere.flac") + "\n" + line("/etc/a.flac") + "\n" + line("audio/gone.flac") + "\n" + line(".") + "\n"
        )
    code, out = prepare(raw, tmp_path, "--max-failed", "0.9")
    assert code == 0
    assert len(rows(out)) == 4
    reasons = {row["id"]: row["reason"] for row in rows(out.with_name("manifest.failed.jsonl"))}
    name = "92_manifest_clean_train.json"
    assert reasons.pop(f"{name}:2").startswith(f"{name}:2: not valid JSON")
    assert reasons == {
        f"{name}:3": f"{name}:3: expected an object with text in text_normalized, found {{'audio_filepath': 'audio/a.flac'}}",
        f"{name}:4": f"{name}:4: expected an object with text in audio_filepath, found [1]",
        f"{name}:5": f"{name}:5: expected a path below the corpus, found '../elsewhere.flac'",
        f"{name}:6": f"{name}:6: expected a path below the corpus, found '/etc/a.flac'",
        f"{name}:8": f"{name}:8: expected a path below the corpus, found '.'",
        "gone": f"no audio file {raw / 'audio' / 'gone.flac'}",
    }


def test_a_quality_that_is_missing_is_refused(raw, tmp_path, one_line):
    (raw / "6097_manifest_other_train.json").unlink()
    assert prepare(raw, tmp_path, "--quality", "other")[0] == 2
    assert "92_manifest_clean_train.json and its like in it (other), found none" in one_line()
