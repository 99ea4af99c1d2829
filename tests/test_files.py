"""Tables, shards and hashes: torn, edited, not finite, on a full disk."""

import dataclasses
import errno
import json
import os
import stat

import pytest
import torch

from lpo_tts import files, tensors
from lpo_tts.errors import ArtefactError
from lpo_tts.records import Prompt, Score, Utterance


def score(number: int) -> Score:
    return Score(candidate_id=f"p#{number}", metric="wer", value=number / 10, detail={"hypothesis": "é"})


def test_rows_come_back(tmp_path):
    rows = [score(1), Score(candidate_id="x", metric="wer", value=None)]
    files.write_rows(tmp_path / "t.jsonl", rows)
    assert files.read_rows(tmp_path / "t.jsonl", Score) == rows


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"candidate_id": "a", "metric": "wer", "val', "t.jsonl:2: not valid JSON"),
        ('{"candidate_id": "a", "metric": "wer"}', "t.jsonl:2: not a Score: value: missing"),
        ('{"candidate_id": "a", "metric": "wer", "value": "low"}', "t.jsonl:2: not a Score"),
        ('{"candidate_id": "a", "metric": "wer", "value": 0.1, "vlaue": 1}', "vlaue: unknown key; did you mean value?"),
    ],
)
def test_a_torn_or_edited_line_is_named(tmp_path, line, message):
    path = tmp_path / "t.jsonl"
    path.write_text(files.row_line(score(1)) + line + "\n")
    with pytest.raises(ArtefactError) as error:
        files.read_rows(path, Score)
    assert message in str(error.value)


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "t.json"
    files.write_json(path, {"a": 1})

    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(ArtefactError, match="No space left on device; free space"):
        files.write_json(path, {"a": 2})
    assert files.read_json(path) == {"a": 1}
    assert [one.name for one in tmp_path.iterdir()] == ["t.json"], "nothing that takes room stays"


def test_a_table_is_written_row_by_row_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "t.jsonl"
    files.write_rows(path, (score(number) for number in range(3)))
    whole = path.read_bytes()

    def broken():
        yield score(7)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.write_rows(path, broken())

    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(ArtefactError, match="No space left on device; free space"):
        files.write_rows(path, [score(7)])
    assert path.read_bytes() == whole
    assert [one.name for one in tmp_path.iterdir()] == ["t.jsonl"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_disk_that_fills_up_in_the_middle_of_a_table_is_named(tmp_path):
    (tmp_path / "t.jsonl.partial").symlink_to("/dev/full")
    with pytest.raises(ArtefactError, match="No space left on device; free space"):
        files.write_rows(tmp_path / "t.jsonl", (score(number) for number in range(30_000)))
    assert not list(tmp_path.iterdir())


def test_hashes_see_contents_not_side_cars(tmp_path):
    (tmp_path / "a.jsonl").write_text("1")
    before = files.content_hash(tmp_path)
    (tmp_path / "a.jsonl.meta.json").write_text("{}")
    (tmp_path / "b.partial").write_text("x")
    assert files.content_hash(tmp_path) == before
    (tmp_path / "a.jsonl").write_text("2")
    assert files.content_hash(tmp_path) != before
    (tmp_path / "deeper").mkdir()
    before = files.content_hash(tmp_path)
    (tmp_path / "deeper" / "c.bin").write_text("3")
    assert files.content_hash(tmp_path) != before


def manifest_line(**changes) -> str:
    row = {"id": "u0", "audio": "u0.wav", "text": "one", "duration": 1.0, "speaker": "s"} | changes
    return json.dumps(row) + "\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (manifest_line(duration=float("nan")), "m.jsonl:1: not valid JSON .expected finite numbers, found NaN"),
        (manifest_line().replace("1.0", "1e999"), "m.jsonl:1: not valid JSON .expected finite numbers, found 1e999"),
        (manifest_line(duration=-1), "m.jsonl:1: not a Utterance: duration: expected a finite number, at least 0, found -1"),
        (manifest_line(duration="long"), "duration: expected a number, found 'long'"),
        (manifest_line(duration=True), "duration: expected a number, found True"),
        (manifest_line(id=""), "id: expected an id, found ''"),
        (manifest_line(id=7), "id: expected text, found 7"),
        (manifest_line(text="a\ud800b"), "lone surrogate"),
        (manifest_line(audio="a\0.wav"), "NUL character"),
        (manifest_line(tags={"a": 1}), "tags"),
        (manifest_line(split="training"), "split"),
        (manifest_line().replace("{", '{"text": "two", ', 1), "m.jsonl:1: not valid JSON .the key 'text' stands twice"),
        ("[1, 2]\n", "m.jsonl:1: not a Utterance"),
        ("3\n", "m.jsonl:1: not a Utterance"),
        ("null\n", "m.jsonl:1: not a Utterance"),
        ("[" * 100_000 + "\n", "m.jsonl:1: not valid: brackets are nested too deep to read"),
    ],
)
def test_a_row_that_is_not_what_it_should_be_is_refused_with_its_line(tmp_path, line, message):
    path = tmp_path / "m.jsonl"
    path.write_text(line)
    with pytest.raises(ArtefactError, match=message) as error:
        files.read_rows(path, Utterance)
    assert "mend or delete this line" in str(error.value)
    assert "\n" not in str(error.value)


def test_an_id_that_stands_twice_is_refused_with_both_lines(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text(manifest_line() + manifest_line(id="u1") + manifest_line(text="other"))
    with pytest.raises(ArtefactError, match=r"m.jsonl:3: the id 'u0' stands twice, first in line 1; .*give each row its own"):
        files.read_rows(path, Utterance)
    files.write_rows(tmp_path / "s.jsonl", [score(1), score(1)])
    with pytest.raises(ArtefactError, match="the candidate_id 'p#1' stands twice"):
        files.read_rows(tmp_path / "s.jsonl", Score)


def test_a_byte_order_mark_costs_no_row_and_text_of_another_encoding_is_named(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + manifest_line().encode())
    assert [row.id for row in files.read_rows(path, Utterance)] == ["u0"]
    path.write_bytes(manifest_line(text="caf\u00e9").encode().decode("unicode_escape").encode("latin-1"))
    with pytest.raises(ArtefactError, match=r"m.jsonl is not UTF-8 text"):
        files.read_rows(path, Utterance)


def test_lines_are_parted_by_line_feeds_alone(tmp_path):
    path = tmp_path / "list.lst"
    path.write_bytes("\ufeffa|one\u2028two\r\nb|three\x0bfour\n".encode())
    assert files.read_lines(path) == ["a|one\u2028two", "b|three\x0bfour"]


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "a\ud800"])
def test_a_name_that_no_file_can_have_is_refused_in_one_line(tmp_path, name):
    with pytest.raises(ArtefactError, match="cannot read") as error:
        files.read_rows(tmp_path / name, Prompt)
    assert "\n" not in str(error.value)


def test_links_that_lead_in_a_circle_and_folders_are_named(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(ArtefactError, match="links lead in a circle"):
        files.read_rows(tmp_path / "loop", Prompt)
    with pytest.raises(ArtefactError, match="it is a folder"):
        files.read_json(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtefactError, match="a part of it is a file"):
        files.write_json(tmp_path / "file" / "x.json", {})


def test_every_file_has_the_permissions_that_the_umask_asks_for(tmp_path):
    tensors.write_tensors(tmp_path / "t.safetensors", {"a": torch.zeros(1)})
    files.write_json(tmp_path / "t.json", {})
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "t.safetensors", tmp_path / "t.json")}
    assert modes == {0o666 & ~files._umask()}


def test_a_hash_notices_a_change_that_leaves_size_and_time(tmp_path):
    path = tmp_path / "weights.bin"
    path.write_bytes(b"aaaa")
    before = path.stat()
    first = files.file_hash(path)
    path.write_bytes(b"bbbb")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert files.file_hash(path) != first


@pytest.mark.parametrize("whole", [b"", b"a\n", b"a\n" * 70_000, b"a" * 200_000 + b"\n"])
@pytest.mark.parametrize("torn", [b"", b"x", b"x" * 150_000])
def test_a_torn_last_line_is_cut_off(tmp_path, whole, torn):
    path = tmp_path / "t.jsonl"
    path.write_bytes(whole + torn)
    files.drop_torn_line(path)
    assert path.read_bytes() == whole
    files.drop_torn_line(tmp_path / "none")


def test_a_line_is_the_record_as_json():
    voice = Utterance(id="v", audio="v.wav", text="“é”\n", duration=0.1 + 0.2, speaker="s", tags={"a": "b"})
    for row in (
        score(1),
        Prompt(id="p", text="t", voice=voice),
        {"id": "x", "reason": "y"},
        {"part": "p", "files": {"a": (1, 2)}},
    ):
        plain = dataclasses.asdict(row) if dataclasses.is_dataclass(row) else row
        assert files.row_line(row) == json.dumps(plain, ensure_ascii=False, allow_nan=False) + "\n"
    with pytest.raises(ValueError, match="Out of range float"):
        files.row_line({"value": float("nan")})
    with pytest.raises(TypeError, match="found PosixPath"):
        files.row_line({"value": files.Path("x")})
