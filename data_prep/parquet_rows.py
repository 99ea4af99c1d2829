"""Rows of Parquet files as data sets of the Hugging Face hub have them: which columns there are, and their values."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.manifest import Dropped, table_file
from lpo_tts.errors import ArtefactError, ComponentError, os_errors

BATCH = 32  # rows taken at a time: each may hold a recording
USUAL = {  # names that data sets of speech give their columns, most precise first
    "audio": ("audio", "file", "path"),
    "text": ("text", "transcription", "transcript", "sentence", "text_normalized", "normalized_text", "text_original"),
    "speaker": ("speaker_id", "speaker", "client_id", "speaker_name"),
    "language": ("language", "locale", "lang"),
    "id": ("id", "utterance_id", "utt_id", "segment_id", "key"),
}
NEEDED = ("audio", "text")


@dataclass(frozen=True)
class Columns:
    """The columns of one file that are read.

    Attributes:
        names: what a column is for (audio, text, speaker, language, id) -> its name in the file.
        labels: what it is for -> the words that its numbers stand for (ClassLabel of `datasets`).
    """

    names: Mapping[str, str]
    labels: Mapping[str, Sequence[str]]


def _arrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ComponentError("Parquet needs the package pyarrow; install lpo-tts[hub]") from error
    return pyarrow


def parquet_files(raw: Path, names: Sequence[str] = ()) -> list[Path]:
    """The named files of a folder, else every .parquet below it, by path; hidden ones are left out.

    Raises:
        ArtefactError: there is none, or one that was named is not there.
    """
    if names:
        return [table_file(raw / name, "a Parquet file", "check --files") for name in names]
    found = sorted(
        path for path in raw.rglob("*.parquet") if not any(part.startswith(".") for part in path.relative_to(raw).parts)
    )
    if not found:
        arrow = next(raw.rglob("*.arrow"), None)
        advice = "fetch the data set by `hf download OWNER/NAME --repo-type dataset --local-dir DIR`"
        if arrow is not None:
            advice = f"{arrow} was written by save_to_disk: write the data set by its to_parquet"
        raise ArtefactError(f"{raw}: expected .parquet files below it, found none; {advice}")
    return [table_file(path, "a Parquet file") for path in found]


@contextmanager
def _reading(path: Path) -> Iterator[Any]:
    """Opens a file; whatever pyarrow says of its contents becomes one line."""
    pa = _arrow()
    with os_errors("read", path), path.open("rb") as file:
        try:
            yield pa.parquet.ParquetFile(file, pre_buffer=False)
        except pa.ArrowException as error:
            raise ArtefactError(f"{path}: expected a whole Parquet file, found a torn or another one: {_line(error)}") from error
        except OSError as error:
            if error.errno is not None:
                raise
            raise ArtefactError(f"{path}: expected a whole Parquet file, found a damaged one: {_line(error)}") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] + "; fetch it again"


def columns(path: Path, chosen: Mapping[str, str | None]) -> Columns:
    """Which columns of a file are what.

    Args:
        path: the file.
        chosen: names that the user gave; None = one of USUAL, where there is one.

    Raises:
        ArtefactError: the file is torn; a column that is needed or was chosen is not there, or of another type.
    """
    with _reading(path) as file:
        schema = file.schema_arrow
    found = ", ".join(f"{field.name}: {field.type}" for field in schema) or "no columns"
    names: dict[str, str] = {}
    for use, usual in USUAL.items():
        name = chosen.get(use) or next((one for one in usual if one in schema.names and _fits(use, schema.field(one).type)), None)
        if name is not None and (name not in schema.names or not _fits(use, schema.field(name).type)):
            raise ArtefactError(f"{path}: expected {_EXPECTED[use]} in the column {name!r}, found {found}; see --{use}-column")
        if name is not None:
            names[use] = name
        elif use in NEEDED:
            raise ArtefactError(f"{path}: expected {_EXPECTED[use]}, found {found}; name it by --{use}-column")
    return Columns(names, {use: labels for use, name in names.items() if (labels := _labels(schema, name)) is not None})


_EXPECTED = {
    "audio": "recordings (struct<bytes: binary, path: string>, binary, or paths as string)",
    "text": "text (string)",
    "speaker": "speakers (string or whole numbers)",
    "language": "languages (string or labels)",
    "id": "ids (string or whole numbers)",
}


def _fits(use: str, kind: Any) -> bool:
    types = _arrow().types
    is_text = types.is_string(kind) or types.is_large_string(kind)
    if use == "audio":
        held = {field.name for field in kind} if types.is_struct(kind) else set()
        return is_text or types.is_binary(kind) or types.is_large_binary(kind) or bool(held & {"bytes", "path"})
    return is_text or (use != "text" and types.is_integer(kind))


def _labels(schema: Any, name: str) -> Sequence[str] | None:
    """The names of a ClassLabel, as `datasets` notes them in the file."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        feature = features[name]
        names = feature["names"] if feature["_type"] == "ClassLabel" else None
    except (KeyError, TypeError, ValueError):
        return None
    return names if isinstance(names, list) and all(isinstance(one, str) for one in names) else None


def rows(path: Path, chosen: Columns) -> Iterator[tuple[int, dict[str, Any]] | Dropped]:
    """Numbered rows, by what the columns are for, one row group after the other; what cannot be read comes as `Dropped`.

    Where a row group is damaged, each of its rows is a fault: so the share of failed rows is true.
    """
    pa, start = _arrow(), 0
    names = list(dict.fromkeys(chosen.names.values()))
    with _reading(path) as file:
        for group in range(file.num_row_groups):
            number, stop = start, start + file.metadata.row_group(group).num_rows
            try:
                for batch in file.iter_batches(batch_size=BATCH, row_groups=[group], columns=names):
                    for place in range(batch.num_rows):
                        yield _row(batch, place, number, chosen, path)
                        number += 1
            except (pa.ArrowException, OSError) as error:
                for lost in range(number, stop):
                    reason = f"{path}: row {lost} lies in row group {group}, which cannot be read: {_line(error)}"
                    yield Dropped(id=f"{path.stem}-{lost}", reason=reason)
            start = stop


def _row(batch: Any, place: int, number: int, chosen: Columns, path: Path) -> tuple[int, dict[str, Any]] | Dropped:
    try:
        row = {use: batch.column(name)[place].as_py() for use, name in chosen.names.items()}
    except UnicodeDecodeError as error:
        return Dropped(id=f"{path.stem}-{number}", reason=f"{path}: row {number} is not UTF-8 text: {error}")
    for use, labels in chosen.labels.items():
        value = row[use]
        if isinstance(value, int) and 0 <= value < len(labels):
            row[use] = labels[value]
    return number, row
