"""Parquet as Hugging Face data sets have it: rows to numbered shards with their features, and shards back to rows."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lpo_tts.errors import ArtefactError, ComponentError, os_errors
from lpo_tts.files import sync

MAX_SHARD = 500_000_000  # bytes, as `datasets` divides what it pushes
GROUP_ROWS, GROUP_BYTES = 1000, 64 << 20  # a row group is what one process holds in memory
AUDIO = b"audio"  # marks the columns that are recordings, {bytes, path}


def arrow() -> Any:
    """The module pyarrow; raises ComponentError where it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ComponentError("Parquet needs the package pyarrow; install lpo-tts[hub]") from error
    return pyarrow


def audio_field(name: str) -> Any:
    """A column of recordings, which `datasets` decodes when a row is asked for."""
    pa = arrow()
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.field(name, kind, metadata={AUDIO: b"1"})


def with_features(schema: Any) -> Any:
    """A schema with the features that `datasets` reads from its metadata."""
    features = {field.name: {"_type": "Audio"} if _is_audio(field) else _feature(field.type) for field in schema}
    return schema.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def _is_audio(field: Any) -> bool:
    return bool(field.metadata) and AUDIO in field.metadata


def _feature(kind: Any) -> Any:
    types = arrow().types
    if types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    if types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    return {"dtype": {"double": "float64", "float": "float32"}.get(str(kind), str(kind)), "_type": "Value"}


class Shards:
    """Writes the rows of one split of one table to `<split>-00000-of-0000N.parquet`; memory holds one row group.

    Args:
        folder: of the table; what is not finished lies there under another name.
        split: the first part of the names.
        schema: of pyarrow; features are added to its metadata.
        max_bytes: a shard that has grown beyond it is followed by another one.
    """

    def __init__(self, folder: Path, split: str, schema: Any, max_bytes: int = MAX_SHARD) -> None:
        self.folder, self.split, self.schema, self.max_bytes = folder, split, with_features(schema), max_bytes
        self.num_rows = 0
        self._writer: Any = None
        self._files: list[Path] = []
        self._rows: list[Mapping[str, Any]] = []
        self._weight = 0

    def add(self, row: Mapping[str, Any], weight: int = 0) -> None:
        """Takes one row; `weight` are the bytes of what is large in it. A row group is written when it is full."""
        self._rows.append(row)
        self._weight += weight
        self.num_rows += 1
        if len(self._rows) >= GROUP_ROWS or self._weight >= GROUP_BYTES:
            self._flush()

    def close(self) -> list[Path]:
        """Writes what is left and gives the shards their names; returns them."""
        if self._rows or not self._files:  # a table without rows has its columns all the same
            self._flush()
        self._end_file()
        named = []
        for number, path in enumerate(self._files):
            name = f"{self.split}-{number:05d}-of-{len(self._files):05d}.parquet"
            with os_errors("write", path):
                named.append(path.replace(self.folder / name))
        return named

    def _flush(self) -> None:
        pa = arrow()
        columns = [pa.array([row.get(field.name) for row in self._rows], field.type, from_pandas=False) for field in self.schema]
        table = pa.Table.from_arrays(columns, schema=self.schema)
        self._rows, self._weight = [], 0
        with os_errors("write", self.folder):
            if self._writer is None:
                self.folder.mkdir(parents=True, exist_ok=True)
                self._files.append(self.folder / f"{self.split}-{len(self._files):05d}.unfinished")
                self._stream = self._files[-1].open("wb")
                self._writer = pa.parquet.ParquetWriter(self._stream, self.schema, compression="zstd")
            self._writer.write_table(table)
            if self._stream.tell() >= self.max_bytes:
                self._end_file()

    def _end_file(self) -> None:
        if self._writer is not None:
            with os_errors("write", self._files[-1]):
                self._writer.close()
                self._stream.close()
                sync(self._files[-1])
            self._writer = None


def parquet_files(folder: Path) -> dict[str, list[Path]]:
    """Shards of a table by split, in order: by the names `<split>-00000-of-...`, or by folders named after a split.

    Other files belong to the split train. Files and folders whose names begin with a dot are left out.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*.parquet")):
        parts = path.relative_to(folder).parts
        if any(part.startswith(".") for part in parts):
            continue
        names = [path.stem.split("-")[0], *reversed(parts[:-1])]
        split = next((SPLITS[name] for name in names if name in SPLITS), "train")
        found.setdefault(split, []).append(path)
    return found


SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("dev", "validation", "valid", "val", "eval"), "dev"),
    **dict.fromkeys(("test", "testing"), "test"),
}


def schema_of(path: Path) -> Any:
    """The columns of a shard; raises ArtefactError where it is torn or no Parquet."""
    pa = arrow()
    with _reading(path):
        return pa.parquet.read_schema(path)


def num_rows(path: Path) -> int:
    """How many rows a shard has, from its end."""
    pa = arrow()
    with _reading(path):
        return pa.parquet.read_metadata(path).num_rows


def batches(path: Path, columns: Sequence[str], size: int = GROUP_ROWS) -> Iterator[Any]:
    """Record batches of a shard with these columns, a row group or less at a time.

    Raises:
        ArtefactError: it is torn, or no Parquet.
    """
    pa = arrow()
    with _reading(path), pa.parquet.ParquetFile(path, memory_map=False, pre_buffer=False) as file:
        for batch in file.iter_batches(batch_size=size, columns=list(columns)):
            batch.validate(full=True)  # text that is not UTF-8 would fail where a row is used
            yield batch


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turns whatever pyarrow says of a file into one line."""
    try:
        yield
    except (arrow().ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.strerror:  # the operating system's own; pyarrow's have no number
            with os_errors("read", path):
                raise
        text = " ".join(str(error).split())[:200].rstrip(".")
        raise ArtefactError(f"{path}: expected a whole Parquet file, cannot read it: {text}; fetch it again") from error


def check_columns(path: Path, schema: Any, wanted: Mapping[str, str]) -> None:
    """Raises ArtefactError naming every column that is missing, or of another kind than wanted.

    Args:
        path: the shard, for the message.
        schema: its columns.
        wanted: column -> kind: text, whole numbers, numbers, truth values, lists of whole numbers, recordings (a struct with
            bytes), anything.
    """
    missing = [name for name in wanted if name not in schema.names]
    if missing:
        raise ArtefactError(
            f"{path}: expected the columns {', '.join(wanted)}, found {', '.join(schema.names) or 'none'} "
            f"(without {', '.join(missing)})"
        )
    for name, kind in wanted.items():
        found = schema.field(name).type
        if not _is_kind(found, kind):
            raise ArtefactError(f"{path}: column {name}: expected {kind}, found {found}")


def _is_kind(found: Any, kind: str) -> bool:
    types = arrow().types
    if kind == "text":
        return types.is_string(found) or types.is_large_string(found)
    if kind == "whole numbers":
        return types.is_integer(found)
    if kind == "numbers":
        return types.is_floating(found) or types.is_integer(found)
    if kind == "truth values":
        return types.is_boolean(found)
    if kind == "recordings":
        return types.is_struct(found) and any(field.name == "bytes" and types.is_binary(field.type) for field in found)
    if kind == "lists of whole numbers":
        while is_list(found):
            found = found.value_type
            if types.is_integer(found):
                return True
        return False
    return True


def is_list(kind: Any) -> bool:
    """Whether an Arrow type is a list of whatever form."""
    types = arrow().types
    return types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
