"""Artefacts: resumed, made by other settings, with parts that are missing or changed; tables of rows that fail."""

import json
import os
import time

import pytest

from lpo_tts import artefacts
from lpo_tts.artefacts import Artefact, Provenance, RowWriter
from lpo_tts.errors import ArtefactError
from lpo_tts.records import Score

MADE = Provenance("sample", {"temperature": 1.0}, {"prompts": "abc"})


def score(number: int) -> Score:
    return Score(candidate_id=f"p#{number}", metric="wer", value=number / 10, detail={"hypothesis": "\u00e9"})


def test_a_killed_writer_goes_on_and_gives_the_same_bytes(tmp_path):
    whole = RowWriter(tmp_path / "whole.jsonl", Score)
    whole.append(score(n) for n in range(6))
    assert whole.finish() == {"rows": 6, "failed": 0}
    first = RowWriter(tmp_path / "t.jsonl", Score)
    first.append(score(n) for n in range(3))
    with first.partial.open("a") as file:
        file.write('{"candidate_id": "p#3", "metr')  # what a kill leaves
    again = RowWriter(tmp_path / "t.jsonl", Score)
    assert again.done == {"p#0", "p#1", "p#2"}
    again.append(score(n) for n in range(3, 6))
    again.finish()
    assert (tmp_path / "t.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_failed_rows_are_kept_and_limited(tmp_path):
    writer = RowWriter(tmp_path / "t.jsonl", Score, max_failed=0.5)
    writer.append([score(1)])
    writer.fail("p#2", "no such file")
    assert writer.finish() == {"rows": 1, "failed": 1}
    assert json.loads((tmp_path / "t.failed.jsonl").read_text()) == {"id": "p#2", "reason": "no such file"}
    strict = RowWriter(tmp_path / "s.jsonl", Score, max_failed=0.1)
    strict.append([score(1)])
    strict.fail("p#2", "no such file")
    with pytest.raises(ArtefactError, match=r"1 of 2 rows failed, more than the limit of 10\.0%.*no such file"):
        strict.finish()


def test_other_settings_are_refused_by_name(tmp_path):
    path = tmp_path / "t.jsonl"
    old = Artefact(path, Provenance("sample", {"sampling": {"temperature": 1.0}}, {"prompts": "abc"}))
    assert old.state() == "missing"
    old.begin()
    assert old.state() == "partial"
    path.write_text("")
    old.finish(rows=0)
    assert old.state() == "complete"
    assert old.meta()["counts"] == {"rows": 0}
    with pytest.raises(ArtefactError, match=r"settings.sampling.temperature: 1.0 -> 0.7"):
        Artefact(path, Provenance("sample", {"sampling": {"temperature": 0.7}}, {"prompts": "abc"})).state()
    with pytest.raises(ArtefactError, match=r"inputs.prompts: 'abc' -> 'def'"):
        Artefact(path, Provenance("sample", {"sampling": {"temperature": 1.0}}, {"prompts": "def"})).state()


def parts_of(folder, count, rows=2):
    """A finished artefact of `count` parts of two files each."""
    artefact = Artefact(folder, MADE)
    assert artefact.state() == "missing"
    artefact.begin()
    for number in range(count):
        add(artefact, number, rows)
    artefact.finish(rows=count * rows)
    return artefact


def add(artefact, number, rows=2):
    artefact.path.mkdir(exist_ok=True)
    files = [artefact.path / f"part-{number}.{suffix}" for suffix in ("jsonl", "bin")]
    for file in files:
        file.write_text(f"{file.name}\n" * rows)
    artefact.add(f"part-{number}", rows, files)


def test_complete_means_that_every_part_is_as_it_was_written(tmp_path, caplog):
    parts_of(tmp_path / "c", 3)
    again = Artefact(tmp_path / "c", MADE)
    assert again.state() == "complete"
    assert {name: part.rows for name, part in again.parts.items()} == {"part-0": 2, "part-1": 2, "part-2": 2}
    (tmp_path / "c" / "part-1.bin").unlink()
    with (tmp_path / "c" / "part-2.jsonl").open("a") as file:
        file.write("more")
    assert again.state() == "partial"
    assert "2 of 3 parts are not as they were written (c/part-1.bin is missing)" in caplog.text
    assert list(again.parts) == ["part-0"]
    again.begin()
    resumed = Artefact(tmp_path / "c", MADE)  # killed here
    assert resumed.state() == "partial"
    assert list(resumed.parts) == ["part-0"]
    resumed.begin()
    add(resumed, 1)
    add(resumed, 2)
    resumed.finish(rows=6)
    assert Artefact(tmp_path / "c", MADE).state() == "complete"


def test_a_part_of_the_same_size_is_known_by_its_hash_and_a_copied_folder_is_the_same(tmp_path):
    parts_of(tmp_path / "c", 1)
    digest = artefacts.digest_of(tmp_path / "c")
    path = tmp_path / "c" / "part-0.bin"
    os.utime(path, ns=(1, 1))
    assert Artefact(tmp_path / "c", MADE).state() == "complete"
    assert artefacts.digest_of(tmp_path / "c") == digest
    path.write_text("PART-0.bin\n" * 2)
    assert Artefact(tmp_path / "c", MADE).state() == "partial"
    with pytest.raises(ArtefactError, match=r"part-0.bin was changed; run `lpo-tts sample` again"):
        artefacts.digest_of(tmp_path / "c")


def test_parts_that_were_added_before_a_kill_are_kept_a_torn_note_is_not(tmp_path):
    artefact = Artefact(tmp_path / "c", MADE)
    artefact.state()
    artefact.begin()
    add(artefact, 0)
    add(artefact, 1)
    with artefact.parts_path.open("r+") as file:
        file.truncate(artefact.parts_path.stat().st_size - 5)
    again = Artefact(tmp_path / "c", MADE)
    assert again.state() == "partial"
    assert list(again.parts) == ["part-0"]
    with pytest.raises(ArtefactError, match=r"c is not complete; run `lpo-tts sample` first"):
        artefacts.digest_of(tmp_path / "c")


def test_what_has_no_side_car_is_never_taken_for_ones_own(tmp_path):
    artefact = parts_of(tmp_path / "c", 1)
    artefact.meta_path.unlink()
    with pytest.raises(ArtefactError, match=r"is there, but not c.meta.json, which says how it was made"):
        Artefact(tmp_path / "c", MADE).state()


def test_a_changed_table_is_kept_aside(tmp_path, caplog):
    path = tmp_path / "t.jsonl"
    artefact = Artefact(path, MADE)
    artefact.begin()
    artefacts.write_rows(path, [score(1), score(2)])
    artefact.finish(rows=2)
    path.write_text(path.read_text().splitlines()[0] + "\n")
    again = Artefact(path, MADE)
    assert again.state() == "partial"
    assert path.exists(), "looking changes nothing"
    again.begin()
    assert not path.exists()
    assert len((tmp_path / "t.jsonl.changed").read_text().splitlines()) == 1
    assert "kept as t.jsonl.changed" in caplog.text


@pytest.mark.parametrize(
    "text", ["[]", "3", '{"complete": true, "parts": [1]}', '{"complete": true, "parts": {"a": {"rows": "x"}}}', "{"]
)
def test_a_side_car_that_is_none_is_named(tmp_path, text):
    (tmp_path / "c.meta.json").write_text(text)
    with pytest.raises(ArtefactError, match=r"c.meta.json"):
        artefacts.digest_of(tmp_path / "c")


def test_failures_belong_to_parts(tmp_path):
    artefact = Artefact(tmp_path / "c", MADE)
    artefact.begin()
    (tmp_path / "c").mkdir()
    artefact.add("part-0", 0, [], {"u1": "no such file"})
    artefact.finish(rows=0)
    again = Artefact(tmp_path / "c", MADE)
    assert again.state() == "complete"
    assert again.failed == {"u1": "no such file"}


@pytest.mark.slow
def test_looking_at_ten_thousand_parts_takes_no_reading(tmp_path, monkeypatch):
    """A bound of 20 s on what takes half a second: it fails when every part is hashed or the list read once per part."""
    artefact = Artefact(tmp_path / "c", MADE)
    artefact.begin()
    (tmp_path / "c").mkdir()
    lines = []
    for number in range(10_000):
        file = tmp_path / "c" / f"part-{number}.bin"
        file.write_bytes(b"x")
        part = artefacts.Part(1, {f"c/{file.name}": (1, file.stat().st_mtime_ns, "0" * 64)})
        lines.append(artefacts._part_line(file.name, part))
    artefact.parts_path.write_text("".join(lines))
    monkeypatch.setattr(artefacts, "file_hash", lambda path: pytest.fail("nothing needs to be read"))
    start = time.monotonic()
    assert artefact.state() == "partial"
    artefact.finish(rows=10_000)
    assert Artefact(tmp_path / "c", MADE).state() == "complete"
    assert artefacts.digest_of(tmp_path / "c")
    assert time.monotonic() - start < 20


def test_a_row_that_comes_twice_is_refused(tmp_path):
    writer = RowWriter(tmp_path / "t.jsonl", Score)
    writer.append([score(1)])
    with pytest.raises(ArtefactError, match="the candidate_id 'p#1' comes twice"):
        writer.append([score(1)])


def test_rows_that_are_not_kept_are_made_again(tmp_path):
    writer = RowWriter(tmp_path / "t.jsonl", Score)
    writer.append([score(1), score(2), score(3)])
    writer.keep(lambda row: row.value != 0.2)
    assert RowWriter(tmp_path / "t.jsonl", Score).done == {"p#1", "p#3"}


def test_a_table_filled_in_several_turns_is_that_of_one_turn(tmp_path):
    writer = RowWriter(tmp_path / "t.jsonl", Score)
    writer.append([score(3), score(1), score(2)])
    writer.sort(["p#1", "p#2", "p#3"])
    writer.append([score(4)])
    writer.finish()
    assert [row.candidate_id for row in artefacts.read_rows(tmp_path / "t.jsonl", Score)] == ["p#1", "p#2", "p#3", "p#4"]
