"""Shards have the names and features that `datasets` expects; torn files and other columns are one clear line."""

import json
import sys

import pytest

from lpo_tts.errors import ArtefactError, ComponentError
from lpo_tts.exchange.parquet import Shards, arrow, audio_field, batches, check_columns, parquet_files, schema_of
from lpo_tts.exchange.token_lists import token_lists

pa = pytest.importorskip("pyarrow")


def schema():
    return pa.schema([("row", pa.int64()), ("text", pa.string()), ("ids", pa.list_(pa.list_(pa.int32()))), audio_field("speech")])


def write(folder, count, max_bytes=500_000_000):
    shards = Shards(folder, "train", schema(), max_bytes)
    for number in range(count):
        audio = {"bytes": bytes([number % 256]) * 2000, "path": "a.wav"}
        shards.add({"row": number, "text": f"line {number}", "ids": [[number, 1]], "speech": audio}, 1 << 25)
    return shards.close()


def test_rows_come_back_in_order_over_several_shards(tmp_path):
    files = write(tmp_path / "t", 10, max_bytes=1)
    assert [path.name for path in files] == [f"train-{number:05d}-of-00005.parquet" for number in range(5)]
    assert sorted(path.name for path in (tmp_path / "t").iterdir()) == [path.name for path in files]
    rows = [row for path in files for batch in batches(path, ["row", "text"]) for row in batch.to_pylist()]
    assert rows == [{"row": number, "text": f"line {number}"} for number in range(10)]


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ComponentError, match=r"Parquet needs the package pyarrow; install lpo-tts\[hub\]"):
        arrow()


def test_features_are_those_that_datasets_writes(tmp_path):
    datasets = pytest.importorskip("datasets")
    (path,) = write(tmp_path / "t", 2)
    stated = json.loads(schema_of(path).metadata[b"huggingface"])["info"]["features"]
    expected = {
        "row": datasets.Value("int64"),
        "text": datasets.Value("string"),
        "ids": datasets.List(datasets.List(datasets.Value("int32"))),
        "speech": datasets.Audio(),
    }
    assert datasets.Features.from_dict(stated) == datasets.Features(expected)


def test_a_table_without_rows_has_its_columns(tmp_path):
    (path,) = write(tmp_path / "t", 0)
    assert schema_of(path).names == ["row", "text", "ids", "speech"]
    assert list(batches(path, ["row"])) == [] or sum(batch.num_rows for batch in batches(path, ["row"])) == 0


def test_splits_are_read_from_names_and_folders(tmp_path):
    for name in ("data/train-00000-of-00001", "data/validation-0", "test/0000", "part.0", ".cache/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{name}.parquet").touch()
    found = {split: [path.name for path in paths] for split, paths in parquet_files(tmp_path).items()}
    assert found == {
        "train": ["train-00000-of-00001.parquet", "part.0.parquet"],
        "dev": ["validation-0.parquet"],
        "test": ["0000.parquet"],
    }


@pytest.mark.parametrize("cut", [0, 3, 300, -20])
def test_a_torn_file_is_one_line(cut, tmp_path):
    (path,) = write(tmp_path / "t", 3)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(
        ArtefactError, match=r"train-00000-of-00001\.parquet: expected a whole Parquet file, cannot read it"
    ) as error:
        schema_of(path)
    assert "\n" not in str(error.value)


def test_spoilt_pages_are_one_line(tmp_path):
    (path,) = write(tmp_path / "t", 3)
    data = bytearray(path.read_bytes())
    data[10:200] = bytes(190)
    path.write_bytes(data)
    with pytest.raises(ArtefactError, match="cannot read it"):
        [batch.to_pylist() for batch in batches(path, schema_of(path).names)]


def test_other_columns_are_named(tmp_path):
    found = pa.schema([("text", pa.int64()), ("value", pa.string()), ("ids", pa.list_(pa.string()))])
    with pytest.raises(ArtefactError, match=r"expected the columns id, text, found text, value, ids \(without id\)"):
        check_columns(tmp_path, found, {"id": "text", "text": "text"})
    for name, kind, message in (
        ("text", "text", "expected text, found int64"),
        ("value", "numbers", "expected numbers, found string"),
        ("ids", "lists of whole numbers", "expected lists of whole numbers, found list"),
    ):
        with pytest.raises(ArtefactError, match=f"column {name}: {message}"):
            check_columns(tmp_path, found, {name: kind})
    large = pa.schema([("a", pa.large_list(pa.int16())), ("b", pa.large_string()), ("c", pa.int32())])
    check_columns(tmp_path, large, {"a": "lists of whole numbers", "b": "text", "c": "numbers"})


def test_token_lists_have_steps_and_streams():
    flat = arrow().array([[1, 2, 3], None, [4]], pa.list_(pa.int32())).slice(1)
    assert [one.tolist() for one in token_lists(flat, 1, "here")] == [[], [[4]]]
    nested = arrow().array([[[1, 2], [3, 4]], [[5, 6]]], pa.list_(pa.list_(pa.int64())))
    assert [one.tolist() for one in token_lists(nested, 2, "here")] == [[[1, 2], [3, 4]], [[5, 6]]]
    with pytest.raises(ArtefactError, match="here: expected lists of steps of 3 ids, as the recipe's backbone has, found list"):
        token_lists(flat, 3, "here")
    with pytest.raises(ArtefactError, match=r"here: expected steps of 3 ids each, found steps of \[2\]"):
        token_lists(nested, 3, "here")
    with pytest.raises(ArtefactError, match="empty place"):
        token_lists(arrow().array([[1, None]], pa.list_(pa.int32())), 1, "here")


def test_text_that_is_not_utf8_is_one_line(tmp_path):
    raw = pa.array([b"good", b"\xff\xfe"], pa.binary())
    text = pa.Array.from_buffers(pa.string(), 2, raw.buffers())
    arrow().parquet.write_table(pa.table({"text": text}), tmp_path / "a.parquet")
    with pytest.raises(ArtefactError, match=r"a\.parquet: expected a whole Parquet file, cannot read it: .*UTF8"):
        list(batches(tmp_path / "a.parquet", ["text"]))
