"""Files as this project writes and reads them: JSON, tables of rows (JSONL), hashes. Tensors are in `lpo_tts.tensors`."""

import contextlib
import dataclasses
import functools
import hashlib
import json
import math
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TextIO, TypeVar

from lpo_tts.config import Structurer
from lpo_tts.errors import ArtefactError, ConfigError, os_errors

Row = TypeVar("Row")
_structurer = Structurer()


def loads(text: str, where: str) -> Any:
    """Parses JSON as strictly as this project writes it.

    Args:
        text: one value.
        where: file and line, for the message.

    Raises:
        ArtefactError: not JSON, a key that stands twice, a number that is not finite (NaN, 1e999), text that is none (a
            lone surrogate or a NUL character), or nesting too deep to read.
    """
    try:
        value = json.loads(text, parse_constant=_not_finite, parse_float=_finite, object_pairs_hook=_once)
        if _SUSPECT.search(text) or text.count("[") + text.count("{") > _DEEP:
            _check_text(value)
    except RecursionError:
        raise ArtefactError(f"{where}: not valid: brackets are nested too deep to read") from None
    except ValueError as error:
        raise ArtefactError(f"{where}: not valid JSON ({error})") from error
    return value


# What a text without escapes and deep brackets need not be searched for, which takes as long as reading it.
_SUSPECT, _DEEP = re.compile(r"\\u|[\ud800-\udfff]"), 50


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for number, (key, _) in enumerate(pairs) if any(key == other for other, _ in pairs[:number]))
        raise ValueError(f"the key {twice!r} stands twice")
    return found


def _not_finite(name: str) -> float:
    raise ValueError(f"expected finite numbers, found {name}")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"expected finite numbers, found {text}")
    return value


def _check_text(value: Any) -> None:
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
            raise ValueError(f"expected text, found a NUL character or a lone surrogate in {ascii(value)[:80]}")
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_text(key)
            _check_text(item)
    elif isinstance(value, list):
        for item in value:
            _check_text(item)


def read_lines(path: Path) -> list[str]:
    """Lines of a UTF-8 text file without their line ends; a byte-order mark is dropped, only line feeds part lines.

    (`str.splitlines` also cuts at U+2028 and other characters that may stand within a sentence.)

    Raises:
        ArtefactError: the file cannot be read or is not UTF-8.
    """
    try:
        with os_errors("read", path):
            text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ArtefactError(f"{path}: expected UTF-8 text, found other bytes ({error}); convert it") from error
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return lines[:-1] if lines and not lines[-1] else lines


def sync(path: Path) -> None:
    """Flushes a file to the disk; a full disk shows here and not after the rename."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomic(path: Path, data: bytes) -> None:
    """Writes to NAME.partial, syncs, renames; raises ArtefactError (disk full, no permission) with the old file intact."""
    partial = path.with_name(path.name + ".partial")
    with os_errors("write", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:  # on a full disk each byte counts, and nobody else knows of the file
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
            raise


def write_json(path: Path, value: Any) -> None:
    """Writes JSON atomically, readable by people."""
    write_atomic(path, (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Reads JSON; raises ArtefactError naming the file."""
    try:
        with os_errors("read", path):
            text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ArtefactError(f"{path} is not UTF-8 text: {error}") from error
    return loads(text, str(path))


def read_object(path: Path) -> dict[str, Any]:
    """Reads a JSON file that holds one object; raises ArtefactError when it holds anything else."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise ArtefactError(
            f"{path}: expected a JSON object, found {type(value).__name__}; remove the file and run its step again"
        )
    return value


def row_line(row: Any) -> str:
    """One JSONL line of a record."""
    return _encoder.encode(row) + "\n"


def _fields(row: Any) -> dict[str, Any]:
    """A record as JSON; `dataclasses.asdict` copies every value on the way, which takes five times as long."""
    if not dataclasses.is_dataclass(row) or isinstance(row, type):
        raise TypeError(f"expected what JSON can hold, or a record, found {type(row).__name__}")
    return {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}


_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_fields)


@contextlib.contextmanager
def table_writer(path: Path) -> Iterator[Callable[[Any], None]]:
    """Gives a function that writes one row; the table appears under its name, synced, when the block ends without an error.

    Raises ArtefactError (disk full, no permission) with the old table intact. Memory does not grow with the rows.
    """
    partial = path.with_name(path.name + ".partial")
    with os_errors("write", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = partial.open("w", encoding="utf-8", newline="", buffering=1 << 20)
    try:
        yield functools.partial(_write_row, path, file)
        with os_errors("write", path):
            file.flush()
            os.fsync(file.fileno())
            file.close()
            partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):  # on a full disk closing fails again
            file.close()
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


def _write_row(path: Path, file: TextIO, row: Any) -> None:
    line = row_line(row)
    with os_errors("write", path):
        file.write(line)


def write_rows(path: Path, rows: Iterable[Any]) -> None:
    """Writes a whole table atomically; rows are taken one at a time."""
    with table_writer(path) as write:
        for row in rows:
            write(row)


def read_rows(path: Path, kind: type[Row]) -> list[Row]:
    """Reads a table; raises ArtefactError with file and line for a torn or hand-edited row, or an id that stands twice."""
    return list(iterate_rows(path, kind))


def iterate_rows(path: Path, kind: type[Row], *, unique: bool = True) -> Iterator[Row]:
    """As `read_rows`, one row at a time.

    Args:
        path: the table.
        kind: class of its rows.
        unique: whether to look for ids that stand twice, for which the ids of all rows are kept.
    """
    lines: dict[str, int] = {}
    key = key_of(kind) if unique else None
    try:
        with os_errors("read", path, MISSING), path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                row = _parse_row(line, kind, f"{path}:{number}")
                if key is not None:
                    first = lines.setdefault(getattr(row, key), number)
                    if first != number:
                        raise ArtefactError(
                            f"{path}:{number}: the {key} {getattr(row, key)!r} stands twice, first in line {first}; "
                            "everything made from a row is named after it, so give each row its own"
                        )
                yield row
    except UnicodeDecodeError as error:
        raise ArtefactError(f"{path} is not UTF-8 text: {error}") from error


def key_of(kind: type) -> str | None:
    """The field that tells the rows of a table apart: `candidate_id` of a Score, else `id`, where there is one."""
    names = {field.name for field in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else set()
    return next((name for name in ("id", "candidate_id") if name in names), None)


MISSING = "run the step that makes it"
MEND = "mend or delete this line, or remove the file and run its step again"


def _parse_row(line: str, kind: type[Row], where: str) -> Row:
    try:
        tree = loads(line, where)
    except ArtefactError as error:
        raise ArtefactError(f"{error}; {MEND}") from error
    try:
        return _structurer.structure(tree, kind)
    except ConfigError as error:
        raise ArtefactError(f"{where}: not a {kind.__name__}: {error}; {MEND}") from error


def share(path: Path) -> None:
    """Gives a file the permissions that the user's umask asks for; safetensors writes files that only their owner reads."""
    path.chmod(0o666 & ~_umask())


@functools.cache
def _umask() -> int:
    mask = os.umask(0o022)  # the only way to read it is to set it
    os.umask(mask)
    return mask


def file_hash(path: Path) -> str:
    """sha-256 of a file; within a process computed once as long as its size and times stay."""
    with os_errors("read", path):
        found = path.stat()
        key = (str(path.absolute()), found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        if key in _hashes:
            return _hashes[key]
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    # The clock of a file system is coarse: what was written a moment ago may change again under the same time.
    if time.time_ns() - found.st_ctime_ns > 2_000_000_000:
        _hashes[key] = digest
    return digest


_hashes: dict[tuple[str, int, int, int], str] = {}


def content_hash(path: Path) -> str:
    """sha-256 over a file, or over the names and contents of all files below a folder.

    Side-cars, partial and hidden files are left out.
    """
    if path.is_file():
        return file_hash(path)
    if not path.is_dir():
        raise ArtefactError(f"cannot read {path}: no such file or folder; run the step that makes it")
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path).as_posix()
        hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
        if file.is_file() and not hidden and not name.endswith((".partial", ".meta.json", ".parts.jsonl")):
            digest.update(f"{name}:{file_hash(file)}\n".encode())
    return digest.hexdigest()


def drop_torn_line(path: Path) -> None:
    """Cuts a last line that a kill left without its newline."""
    if not path.exists():
        return
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        keep = _after_newline(file, end)
    if keep < end:
        os.truncate(path, keep)


def _after_newline(file: BinaryIO, end: int, block: int = 1 << 16) -> int:
    """Where the text behind the last newline begins, without reading what stands before it."""
    while end > 0:
        start = max(0, end - block)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
