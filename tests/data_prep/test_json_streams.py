"""JSON read in pieces: lines of tables, the elements of an array, and files that are cut."""

import collections
import gzip
import json

import pytest

from data_prep import json_streams
from data_prep.manifest import Dropped
from lpo_tts.errors import ArtefactError

VALUES = [{"a": 1, "b": [1.5, "x, ] }", {"audios": [9]}]}, 'text \\ " 日', 123456789, None, [], {}]


@pytest.mark.parametrize("chunk", [1, 2, 7, 1 << 22])
@pytest.mark.parametrize("indent", [None, 2])
def test_elements_are_those_of_the_whole_file_whatever_the_pieces(tmp_path, monkeypatch, chunk, indent):
    monkeypatch.setattr(json_streams, "CHUNK", chunk)
    path = tmp_path / "a.json"
    whole = {"name": 'an "audios": [ in a text', "version": 12345, "audios": VALUES, "more": 1}
    path.write_text(json.dumps(whole, indent=indent))
    assert list(json_streams.elements(path, "audios")) == VALUES
    path.write_text(json.dumps({"audios": []}))
    assert list(json_streams.elements(path, "audios")) == []


def test_a_cut_file_gives_its_whole_elements_and_says_where_it_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(json_streams, "CHUNK", 16)
    path = tmp_path / "a.json"
    text = json.dumps({"audios": [{"id": k} for k in range(5)]})
    path.write_text(text[: text.index("3") + 1])
    stream, found = json_streams.elements(path, "audios"), []
    with pytest.raises(ArtefactError, match=r"a\.json: cut or damaged: .* at character \d+; fetch the file again"):
        collections.deque(map(found.append, stream))
    assert found == [{"id": k} for k in range(3)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"expected '\{', found its end"),
        ("[1]", r"expected '\{', found '\['"),
        ('{"other": [1]}', "expected an array 'audios' in the outermost object, found none"),
        ('{"audios": {"a": 1}}', r"expected '\[', found '\{'"),
        ('{"audios": [1 2]}', "expected ',', found '2'"),
        ('{"audios": [1,}', "cut or damaged: Expecting value"),
    ],
)
def test_files_of_another_form_are_refused_in_one_line(tmp_path, text, words):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ArtefactError, match=words) as refusal:
        list(json_streams.elements(tmp_path / "a.json", "audios"))
    assert "\n" not in str(refusal.value)


def test_an_element_that_never_ends_does_not_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(json_streams, "CHUNK", 100)
    monkeypatch.setattr(json_streams, "LARGEST", 1000)
    (tmp_path / "a.json").write_text('{"audios": ["' + "x" * 100_000)
    with pytest.raises(ArtefactError, match="Unterminated string"):
        list(json_streams.elements(tmp_path / "a.json", "audios"))


def test_lines_that_are_no_rows_are_counted(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"id": "a"}\n\n[1]\n{"id": "b"\n\xff\xfe\n{"id": "c"}')
    found = list(json_streams.objects(path))
    assert [one for one in found if not isinstance(one, Dropped)] == [("a.jsonl:1", {"id": "a"}), ("a.jsonl:6", {"id": "c"})]
    reasons = [one.reason for one in found if isinstance(one, Dropped)]
    assert "a.jsonl:3: expected an object with the fields of a row, found list" in reasons[0]
    assert "a.jsonl:4: not valid JSON" in reasons[1]
    assert "a.jsonl:5: not UTF-8 text" in reasons[2]


def test_a_cut_gzip_gives_its_whole_lines_and_one_fault(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    data = gzip.compress(b"".join(b'{"id": "%d", "x": "%d"}\n' % (k, k * 7919 % 10007) for k in range(3000)))
    path.write_bytes(data[: len(data) // 2])
    *rows, last = json_streams.objects(path)
    assert rows[0] == ("a.jsonl.gz:1", {"id": "0", "x": "0"})
    assert len(rows) > 100
    assert isinstance(last, Dropped)
    assert "cut or damaged" in last.reason
    path.write_bytes(b"no gzip")
    (only,) = json_streams.objects(path)
    assert "a.jsonl.gz:1: cut or damaged (Not a gzipped file" in only.reason
