"""Multilingual LibriSpeech: a folder for each language, as flac or as opus."""

import json

import pytest
from tones import tone

from data_prep import mls

SPEAKERS = {"train": "4800", "dev": "10118", "test": "10226"}


def language(root, name, suffix, book):
    """One language as it is unpacked."""
    for part, speaker in SPEAKERS.items():
        folder = root / name / part
        lines, segments = [], []
        for k in range(2):
            row = f"{speaker}_{book}_00000{k}"
            tone(folder / "audio" / speaker / book / f"{row}{suffix}", 1 + k)
            lines.append(f"{row}\tgesprochen von {speaker} satz {k}\n")
            segments.append(f"{row}\thttp://www.archive.org/download/book_64kb.mp3\t401.76\t417.57\n")
        (folder / "transcripts.txt").write_text("".join(lines))
        (folder / "segments.txt").write_text("".join(segments))
    hour = root / name / "train" / "limited_supervision" / "1hr" / "0"
    hour.mkdir(parents=True)
    (hour / "handles.txt").write_text(f"4800_{book}_000000\n")
    (root / name / "metainfo.txt").write_text(
        " SPEAKER   |   GENDER   | PARTITION  |  MINUTES   |  BOOK ID   |  TITLE  |  CHAPTER  \n"
        f"  4800     |     M      |   train    |   17.148   |   {book}   | Ein Buch | Kapitel | eins\n"
        f"  10118    |     F      |   dev      |   9.347    |   {book}   | Ein Buch | Kapitel 2\n"
    )
    return root / name


@pytest.fixture
def raw(tmp_path):
    language(tmp_path / "raw", "mls_german_opus", ".opus", "10003")
    language(tmp_path / "raw", "mls_polish", ".flac", "7704")
    (tmp_path / "raw" / "mls_lm_german").mkdir()
    return tmp_path / "raw"


def prepare(raw, tmp_path, *options):
    out = tmp_path / "out" / "manifest.jsonl"
    return mls.main([str(raw), "--out", str(out), *options]), out


def test_opus_of_one_language_with_its_splits(raw, tmp_path, rows):
    code, out = prepare(raw / "mls_german_opus", tmp_path)
    assert code == 0
    found = rows(out)
    assert [(row["id"], row["text"], row["speaker"], row["split"]) for row in found][:3] == [
        ("4800_10003_000000", "gesprochen von 4800 satz 0", "4800", "train"),
        ("4800_10003_000001", "gesprochen von 4800 satz 1", "4800", "train"),
        ("10118_10003_000000", "gesprochen von 10118 satz 0", "10118", "dev"),
    ]
    assert {row["language"] for row in found} == {"de"}
    assert found[0]["audio"] == "../raw/mls_german_opus/train/audio/4800/10003/4800_10003_000000.opus"
    assert [row["tags"] for row in found[::2]] == [{"gender": "male"}, {"gender": "female"}, {}]
    inputs = json.loads(out.with_name("manifest.jsonl.meta.json").read_text())["inputs"]
    assert sorted(inputs) == [f"mls_german_opus/{part}/transcripts.txt" for part in sorted(SPEAKERS)]


def test_every_language_below_a_folder(raw, tmp_path, rows, monkeypatch):
    code, out = prepare(raw, tmp_path, "--part", "dev")
    assert code == 0
    assert [(row["language"], row["split"], row["audio"][-4:]) for row in rows(out)] == [
        ("de", "dev", "opus"),
        ("de", "dev", "opus"),
        ("pl", "dev", "flac"),
        ("pl", "dev", "flac"),
    ]
    monkeypatch.chdir(raw / "mls_polish")
    assert mls.main([".", "--out", str(out), "--splits", "hash", "--test", "1", "--dev", "0"]) == 0
    assert {(row["language"], row["split"]) for row in rows(out)} == {("pl", "test")}


def test_a_folder_may_bear_the_name_of_the_language_it_holds(raw, tmp_path, rows):
    (tmp_path / "mls_german").mkdir()
    (raw / "mls_german_opus").rename(tmp_path / "mls_german" / "mls_german_opus")
    assert prepare(tmp_path / "mls_german", tmp_path)[0] == 0
    renamed = (tmp_path / "mls_german" / "mls_german_opus").rename(raw / "mls_german")
    code, out = prepare(renamed, tmp_path)
    assert code == 0
    assert {row["audio"][-5:] for row in rows(out)} == {".opus"}


def test_a_language_twice_and_a_missing_part_are_refused(raw, tmp_path, one_line):
    language(raw, "mls_german", ".flac", "10003")
    assert prepare(raw, tmp_path)[0] == 2
    assert f"{raw}: expected german once, found it twice (as flac and as opus?); give one of them as RAW_DIR" in one_line()
    (raw / "mls_german" / "test" / "transcripts.txt").unlink()
    assert prepare(raw / "mls_german", tmp_path, "--part", "test")[0] == 2
    assert "no part test; there are: dev, train" in one_line()


def test_broken_lines_and_missing_audio_are_failed_rows(raw, tmp_path, rows):
    folder = raw / "mls_polish" / "train"
    with (folder / "transcripts.txt").open("a") as file:
        file.write("4800_7704_000002 no tab\n../x\ttext\n4800_7704_000003\tgone\n")
    code, out = prepare(raw / "mls_polish", tmp_path, "--max-failed", "0.9")
    assert code == 0
    assert len(rows(out)) == 6
    assert {row["id"]: row["reason"] for row in rows(out.with_name("manifest.failed.jsonl"))} == {
        "4800_7704_000002 no tab": "transcripts.txt:3: expected id<TAB>text, found 1 cells",
        "../x": "train/transcripts.txt: expected an id such as 4800_10003_000000, found '../x'",
        "4800_7704_000003": f"no audio file {folder / 'audio' / '4800' / '7704' / '4800_7704_000003.flac'}",
    }
