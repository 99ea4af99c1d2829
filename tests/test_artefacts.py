"""Tables and shards: torn, edited, resumed, made by other settings, on a full disk."""

import errno
import json

import pytest
import torch

from lpo_tts import artefacts
from lpo_tts.artefacts import Artefact, Provenance, RowWriter
from lpo_tts.errors import ArtefactError
from lpo_tts.records import Score


def score(number: int) -> Score:
    return Score(candidate_id=f"p#{number}", metric="wer", value=number / 10, detail={"hypothesis": "é"})


def test_rows_come_back(tmp_path):
    rows = [score(1), Score(candidate_id="x", metric="wer", value=None)]
    artefacts.write_rows(tmp_path / "t.jsonl", rows)
    assert artefacts.read_rows(tmp_path / "t.jsonl", Score) == rows


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
    path.write_text(artefacts.row_line(score(1)) + line + "\n")
    with pytest.raises(ArtefactError) as error:
        artefacts.read_rows(path, Score)
    assert message in str(error.value)


def test_a_killed_writer_goes_on_and_gives_the_same_bytes(tmp_path):
    whole = RowWriter(tmp_path / "whole.jsonl", Score, key="candidate_id")
    whole.append(score(n) for n in range(6))
    assert whole.finish() == {"rows": 6, "failed": 0}
    first = RowWriter(tmp_path / "t.jsonl", Score, key="candidate_id")
    first.append(score(n) for n in range(3))
    with first.partial.open("a") as file:
        file.write('{"candidate_id": "p#3", "metr')  # what a kill leaves
    again = RowWriter(tmp_path / "t.jsonl", Score, key="candidate_id")
    assert again.done == {"p#0", "p#1", "p#2"}
    again.append(score(n) for n in range(3, 6))
    again.finish()
    assert (tmp_path / "t.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_failed_rows_are_kept_and_limited(tmp_path):
    writer = RowWriter(tmp_path / "t.jsonl", Score, key="candidate_id", max_failed=0.5)
    writer.append([score(1)])
    writer.fail("p#2", "no such file")
    assert writer.finish() == {"rows": 1, "failed": 1}
    assert json.loads((tmp_path / "t.failed.jsonl").read_text()) == {"id": "p#2", "reason": "no such file"}
    strict = RowWriter(tmp_path / "s.jsonl", Score, key="candidate_id", max_failed=0.1)
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


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "t.json"
    artefacts.write_json(path, {"a": 1})

    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(artefacts.os, "fsync", full)
    with pytest.raises(ArtefactError, match="No space left on device; free space"):
        artefacts.write_json(path, {"a": 2})
    assert artefacts.read_json(path) == {"a": 1}


def test_ragged_tokens_come_back_and_torn_shards_are_named(tmp_path):
    sequences = [torch.tensor([1, 2, 3]), torch.empty(0, dtype=torch.int64), torch.tensor([9])]
    artefacts.write_tensors(tmp_path / "s.safetensors", artefacts.pack("ids", sequences))
    back = artefacts.unpack("ids", artefacts.read_tensors(tmp_path / "s.safetensors"))
    assert [one.tolist() for one in back] == [[1, 2, 3], [], [9]]
    data = (tmp_path / "s.safetensors").read_bytes()
    (tmp_path / "s.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(ArtefactError, match="delete it and run its step again"):
        artefacts.read_tensors(tmp_path / "s.safetensors")
    with pytest.raises(ArtefactError, match="no such file"):
        artefacts.read_tensors(tmp_path / "none.safetensors")


def test_hashes_see_contents_not_side_cars(tmp_path):
    (tmp_path / "a.jsonl").write_text("1")
    before = artefacts.content_hash(tmp_path)
    (tmp_path / "a.jsonl.meta.json").write_text("{}")
    (tmp_path / "b.partial").write_text("x")
    assert artefacts.content_hash(tmp_path) == before
    (tmp_path / "a.jsonl").write_text("2")
    assert artefacts.content_hash(tmp_path) != before
    assert artefacts.source_hash("org/model") == "org/model"
