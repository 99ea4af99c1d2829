"""A folder of one's own: transcripts beside the audio, or a table."""

import json
import os

import pytest

from data_prep import folder


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
    assert "none.csv: expected a table, found none; check --table" in capsys.readouterr().err


def failed(out, rows):
    return {row["id"]: row["reason"] for row in rows(out.with_name("manifest.failed.jsonl"))}


def test_what_bears_the_name_of_audio_and_is_none_is_a_failed_row(raw, out, rows):
    (raw / "ann" / "gone.wav").symlink_to("nowhere.wav")
    (raw / "ann" / "ring.wav").symlink_to("ring.wav")
    (raw / "ann" / "dir.wav").mkdir()
    (raw / "ann" / "dir.wav" / "in.txt").write_text("a folder is looked into, whatever its name")
    (raw / "bob" / "a.wav").rename(raw / "ann" / "dir.wav" / "in.wav")
    os.mkfifo(raw / "bob" / "pipe.wav")
    (raw / "bob" / ".hidden.wav").write_text("what macOS leaves")
    assert folder.main([str(raw), "--out", str(out), "--max-failed", "0.9"]) == 0
    assert [row["id"] for row in rows(out)] == ["ann-a-one", "ann-b", "ann-dir.wav-in"]
    reasons = failed(out, rows)
    assert list(reasons) == ["ann-dir", "ann-gone", "ann-ring", "bob-pipe"]
    assert reasons["ann-dir"].endswith("expected an audio file, found a folder")
    assert reasons["ann-gone"].endswith("expected an audio file, found a link that leads nowhere")
    assert "links lead in a circle" in reasons["ann-ring"]
    assert reasons["bob-pipe"].endswith("expected an audio file, found a named pipe")


def test_folders_that_are_not_entered_are_told(raw, out, rows, tmp_path, record, forbid):
    record(tmp_path / "other" / "c.wav")
    (raw / "linked").symlink_to(tmp_path / "other")
    (raw / "loop").symlink_to(raw)
    forbid(raw / "bob")
    assert folder.main([str(raw), "--out", str(out), "--max-failed", "0.9"]) == 0
    assert [row["id"] for row in rows(out)] == ["ann-a-one", "ann-b"]
    reasons = failed(out, rows)
    assert reasons["bob"].startswith(f"cannot read the folder {raw / 'bob'}: Permission denied; check the permissions")
    assert "is a link to a folder and was not followed" in reasons["linked"]
    assert json.loads(out.with_name("manifest.jsonl.meta.json").read_text())["counts"]["failed"] == 1


def test_transcripts_that_cannot_be_read_are_failed_rows(raw, out, rows, record):
    (raw / "ann" / "b.txt").write_bytes(b"caf\xe9")
    (raw / "bob" / "a.txt").unlink()
    os.mkfifo(raw / "bob" / "a.txt")
    record(raw / "bob" / "nul.wav")
    (raw / "bob" / "nul.txt").write_text("one\0two")
    name = "n" * 251  # the name of the audio fits, that of its transcript does not
    record(raw / "bob" / "short.wav").rename(raw / "bob" / f"{name}.wav")
    options = ["--transcript-suffix", ".text"]
    for path in raw.rglob("*.txt"):
        path.rename(path.with_suffix(".text"))
    assert folder.main([str(raw), "--out", str(out), "--max-failed", "0.9", *options]) == 0
    assert [row["id"] for row in rows(out)] == ["ann-a-one"]
    reasons = failed(out, rows)
    assert "b.text is not UTF-8 text" in reasons["ann-b"]
    assert reasons["bob-a"].endswith("(found a named pipe)")
    assert reasons["bob-nul"].startswith("text is no text: 'one\\x00two'")
    assert "File name too long" in reasons[f"bob-{name}"]


def test_upper_case_suffixes_are_audio_too(raw, out, rows):
    (raw / "bob" / "a.wav").rename(raw / "bob" / "a.WAV")
    assert folder.main([str(raw), "--out", str(out)]) == 0
    assert [row["audio"] for row in rows(out)][-1] == "../raw/bob/a.WAV"


def test_names_that_are_no_text_are_failed_rows_whose_list_can_be_read(raw, out, rows, record):
    record(raw / "bob" / "x.wav").rename(raw / "bob" / os.fsdecode(b"caf\xe9.wav"))
    (raw / "bob" / os.fsdecode(b"caf\xe9.txt")).write_text("said")
    record(raw / "!!!.wav")
    (raw / "!!!.txt").write_text("said")
    assert folder.main([str(raw), "--out", str(out), "--max-failed", "0.9"]) == 0
    assert [row["id"] for row in rows(out)] == ["ann-a-one", "ann-b", "bob-a"]
    reasons = failed(out, rows)
    assert reasons["bob-caf"].startswith("audio is no text: ")
    assert reasons[""].startswith("empty id, for ")


def test_the_side_car_notices_another_transcript(raw, out):
    def inputs():
        assert folder.main([str(raw), "--out", str(out)]) == 0
        return json.loads(out.with_name("manifest.jsonl.meta.json").read_text())["inputs"]

    before = inputs()
    assert list(before) == ["*.txt"]
    (raw / "bob" / "a.txt").write_text("something else\n")
    assert inputs() != before


@pytest.mark.parametrize(
    ("lines", "line"),
    [
        (['ann/b.wav,"torn', "bob/a.wav,fine"], 2),
        (["ann/b.wav,fine", 'bob/a.wav,"torn', 'bob/a.wav,"fine"', "bob/a.wav,x"], 3),
        (['ann/b.wav,"torn', 'bob/a.wav,one"', "bob/a.wav,two"], 2),
        (['"ann/b.wav","torn', '"bob/a.wav","fine"'], 2),
        (['ann/b.wav,"He said" loudly'], 2),
        (['ann/b.wav,"two\nlines"', 'bob/a.wav,"torn'], 4),
    ],
)
def test_a_quote_that_would_join_rows_is_refused_with_its_line(raw, out, one_line, tmp_path, lines, line):
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["audio,text", *lines]) + "\n")
    assert folder.main([str(raw), "--out", str(out), "--table", str(table)]) == 2
    assert f"{table}:{line}: " in one_line()
    assert not out.exists()


def test_a_quoted_text_may_have_several_lines(raw, out, rows, tmp_path):
    (tmp_path / "t.csv").write_text('audio,text\nann/b.wav,"He said ""no"",\nand left"\n\nbob/a.wav,x\n')
    assert folder.main([str(raw), "--out", str(out), "--table", str(tmp_path / "t.csv")]) == 0
    assert [row["text"] for row in rows(out)] == ['He said "no", and left', "x"]


def test_a_comma_without_quotes_does_not_cut_the_text(raw, out, rows, tmp_path):
    (tmp_path / "t.csv").write_text("audio,text\nann/b.wav,fine\nbob/a.wav,Hello, world\nann/b.wav\n")
    assert folder.main([str(raw), "--out", str(out), "--table", str(tmp_path / "t.csv"), "--max-failed", "0.9"]) == 0
    assert [row["text"] for row in rows(out)] == ["fine"]
    assert list(failed(out, rows).values()) == [
        "t.csv:3: expected 2 cells, found 3; put a text with commas in quotes",
        "t.csv:4: expected text in text",
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.jsonl", b'{"audio": "ann/b.wav", "text": "x", "gain": NaN}', "t.jsonl:1: not valid JSON (expected finite numbers"),
        ("t.jsonl", b'{"audio": "ann/b.wav", "text": "x", "gain": 1e999}', "t.jsonl:1: not valid JSON (expected finite numbers"),
        ("t.jsonl", b'{"audio": "ann/b.wav", "text": "\\ud800"}', "t.jsonl:1: not valid JSON (expected text"),
        ("t.jsonl", b'{"audio": "ann/b\\u0000.wav", "text": "x"}', "t.jsonl:1: not valid JSON (expected text"),
        ("t.jsonl", b"[" * 100_000, "brackets are nested too deep"),
        ("t.jsonl", b'{"audio": "caf\xe9.wav"}', "expected UTF-8 text, found other bytes"),
        ("t.csv", b"audio,text\ncaf\xe9.wav,x\n", "is not a table of UTF-8 text"),
        ("t.csv", b"audio,text,text\nann/b.wav,x,y\n", "found audio, text, text; each must stand there once"),
        ("t.csv", b"", "expected columns audio and text in the first line, found nothing"),
        ("t.csv", b'audio,text\nann/b.wav,"' + b"x" * 200_000, "t.csv:2: not a row"),
    ],
)
def test_a_table_with_a_fault_is_refused_in_one_line(raw, out, one_line, tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    assert folder.main([str(raw), "--out", str(out), "--table", str(tmp_path / name)]) == 2
    assert message in one_line()
    assert not out.exists()


def test_a_table_that_is_no_file_is_refused_and_no_pipe_waits(raw, out, one_line, tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "ring.csv").symlink_to("ring.csv")
    places = {
        "pipe.csv": "a named pipe",
        "folder.csv": "a folder",
        "ring.csv": "circle",
        "n" * 300: "File name too long",
    }
    for name, message in places.items():
        assert folder.main([str(raw), "--out", str(out), "--table", str(tmp_path / name)]) == 2
        assert message in one_line()


def test_bad_cells_of_a_table_are_failed_rows(raw, out, rows, tmp_path):
    table = tmp_path / "t.csv"
    lines = ["ann/b.wav,fine,", "bob/a.wav,nul,i\0d", "n\0.wav,x,two", f"{'n' * 300}.wav,x,three", "bob/a.wav,a\0b,four"]
    table.write_text("\n".join(["audio,text,id", *lines]) + "\n")
    assert folder.main([str(raw), "--out", str(out), "--table", str(table), "--max-failed", "0.9"]) == 0
    assert [row["text"] for row in rows(out)] == ["fine"]
    reasons = failed(out, rows)
    assert list(reasons) == ["i\\0d", "two", "three", "four"]
    assert "File name too long" in reasons["three"]


def test_the_table_is_not_written_over(raw, tmp_path, one_line):
    table = tmp_path / "own.jsonl"
    table.write_text('{"audio": "ann/b.wav", "text": "x"}\n')
    assert folder.main([str(raw), "--out", str(table), "--table", str(table)]) == 2
    assert "found one the texts come from; choose another --out" in one_line()
    assert table.read_text() == '{"audio": "ann/b.wav", "text": "x"}\n'
