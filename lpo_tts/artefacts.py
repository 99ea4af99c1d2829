"""Tables (JSONL) and tensor shards (safetensors) that can be interrupted, resumed, and traced to their settings."""

import dataclasses
import hashlib
import importlib.metadata
import itertools
import json
import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lpo_tts.config import Structurer, differences
from lpo_tts.errors import ArtefactError, ConfigError, os_errors

SCHEMA = 1
Row = TypeVar("Row")
_structurer = Structurer()


def loads(text: str, where: str) -> Any:
    """Parses JSON as strictly as this project writes it.

    Args:
        text: one value.
        where: file and line, for the message.

    Raises:
        ArtefactError: not JSON, a number that is not finite (NaN, 1e999), text that is not text (a lone surrogate or a NUL
            character), or nesting too deep to read.
    """
    try:
        value = json.loads(text, parse_constant=_not_finite, parse_float=_finite)
        _check_text(value)
    except RecursionError:
        raise ArtefactError(f"{where}: not valid: brackets are nested too deep to read") from None
    except ValueError as error:
        raise ArtefactError(f"{where}: not valid JSON ({error})") from error
    return value


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
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise ArtefactError(
            f"cannot write {path}: {error.strerror or error}; free space or choose another `out`, then run again"
        ) from error


def write_json(path: Path, value: Any) -> None:
    """Writes JSON atomically, readable by people."""
    write_atomic(path, (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Reads JSON; raises ArtefactError naming the file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ArtefactError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise ArtefactError(f"{path} is not valid JSON: {error}") from error


def row_line(row: Any) -> str:
    """One JSONL line of a record."""
    plain = dataclasses.asdict(row) if dataclasses.is_dataclass(row) and not isinstance(row, type) else row
    return json.dumps(plain, ensure_ascii=False, allow_nan=False) + "\n"


def write_rows(path: Path, rows: Iterable[Any]) -> None:
    """Writes a whole table atomically."""
    write_atomic(path, "".join(row_line(row) for row in rows).encode())


def read_rows(path: Path, kind: type[Row]) -> list[Row]:
    """Reads a table; raises ArtefactError with file, line and fault for a torn or hand-edited line."""
    return list(iterate_rows(path, kind))


def iterate_rows(path: Path, kind: type[Row]) -> Iterator[Row]:
    """As `read_rows`, one row at a time."""
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _parse_row(line, kind, f"{path}:{number}")
    except UnicodeDecodeError as error:
        raise ArtefactError(f"{path} is not UTF-8 text: {error}") from error
    except OSError as error:
        raise ArtefactError(f"cannot read {path}: {error.strerror or error}; run the step that makes it") from error


def _parse_row(line: str, kind: type[Row], where: str) -> Row:
    try:
        tree = json.loads(line)
    except ValueError as error:
        raise ArtefactError(
            f"{where}: not valid JSON ({error}); mend or delete this line, or remove the file and run its step again"
        ) from error
    try:
        return _structurer.structure(tree, kind)
    except ConfigError as error:
        raise ArtefactError(
            f"{where}: not a {kind.__name__}: {error}; mend or delete this line, or remove the file and run its step again"
        ) from error


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Writes a safetensors shard atomically."""
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial, dict(metadata or {}))
        sync(partial)
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        raise ArtefactError(f"cannot write {path}: {error}; free space or choose another `out`, then run again") from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Reads a shard; raises ArtefactError when it is missing or torn."""
    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise ArtefactError(f"cannot read {path}: no such file; run the step that makes it") from error
    except (OSError, SafetensorError) as error:
        raise ArtefactError(f"cannot read {path}: {error}; delete it and run its step again") from error


def pack(name: str, sequences: Iterable[Tensor]) -> dict[str, Tensor]:
    """Ragged integer sequences as two tensors: `<name>` (sum,) int32 and `<name>_offsets` (n + 1,) int64."""
    parts = [sequence.to(torch.int32).reshape(-1) for sequence in sequences]
    offsets = torch.zeros(len(parts) + 1, dtype=torch.int64)
    if parts:
        offsets[1:] = torch.tensor([part.numel() for part in parts]).cumsum(0)
    return {name: torch.cat(parts) if parts else torch.empty(0, dtype=torch.int32), f"{name}_offsets": offsets}


def unpack(name: str, tensors: Mapping[str, Tensor]) -> list[Tensor]:
    """The inverse of `pack`; int64."""
    offsets = tensors[f"{name}_offsets"].tolist()
    ids = tensors[name].to(torch.int64)
    return [ids[start:stop] for start, stop in itertools.pairwise(offsets)]


def file_hash(path: Path) -> str:
    """sha-256 of a file."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise ArtefactError(f"cannot read {path}: {error.strerror or error}") from error
    return digest.hexdigest()


def content_hash(path: Path, pattern: str = "*") -> str:
    """sha-256 over a file, or over the names and contents of a folder's files (side-cars and partial files excluded)."""
    if path.is_file():
        return file_hash(path)
    if not path.is_dir():
        raise ArtefactError(f"cannot read {path}: no such file or folder; run the step that makes it")
    digest = hashlib.sha256()
    for file in sorted(path.glob(pattern)):
        if file.is_file() and not file.name.endswith((".partial", ".meta.json")):
            digest.update(f"{file.name}:{file_hash(file)}\n".encode())
    return digest.hexdigest()


def source_hash(source: str) -> str:
    """Identity of a model: contents when it is a local folder or file, the name itself for a hub id."""
    path = Path(source)
    return content_hash(path) if path.exists() else source


def versions() -> dict[str, str]:
    """Versions of the packages that decide results."""
    found = {}
    for name in ("lpo-tts", "torch", "transformers", "numpy", "jiwer", "speechbrain", "safetensors"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@dataclasses.dataclass(frozen=True)
class Provenance:
    """What an artefact was made from: a verb, resolved settings, and the hashes of its inputs."""

    verb: str
    settings: dict[str, Any]
    inputs: dict[str, str]

    @property
    def identity(self) -> dict[str, Any]:
        """The part that must agree on resume, as plain JSON values."""
        return json.loads(json.dumps({"schema": SCHEMA, "verb": self.verb, "settings": self.settings, "inputs": self.inputs}))


class Artefact:
    """One artefact of a step (a table, or a folder of parts) with its side-car `<name>.meta.json`.

    The side-car is written first with `complete: false`, so that an interrupted artefact knows its settings too.
    """

    def __init__(self, path: Path, provenance: Provenance) -> None:
        self.path = path
        self.meta_path = path.with_name(path.name + ".meta.json")
        self.provenance = provenance
        self._started = time.monotonic()

    def state(self) -> str:
        """`missing`, `partial` or `complete`; raises ArtefactError when it was made with other settings or inputs."""
        if not self.meta_path.exists():
            return "missing"
        meta = read_json(self.meta_path)
        old, new = {key: meta.get(key) for key in ("schema", "verb", "settings", "inputs")}, self.provenance.identity
        if old != new:
            changed = differences(old, new)
            shown = "\n  ".join(changed[:8])
            raise ArtefactError(
                f"{self.path} was made with other settings or inputs:\n  {shown}\n"
                f"Give back the old values, choose another `out`, or add --redo {self.provenance.verb} "
                "to make it and what follows again."
            )
        return "complete" if meta.get("complete") and self.path.exists() else "partial"

    def is_complete(self) -> bool:
        """Whether it is complete and of this very provenance; never raises."""
        try:
            return self.state() == "complete"
        except ArtefactError:
            return False

    def begin(self) -> None:
        """Notes the settings before the first row is written."""
        self._write(complete=False, counts={})

    def finish(self, **counts: Any) -> None:
        """Marks the artefact complete, with its counts (rows, failed, ...)."""
        self._write(complete=True, counts=counts)

    def meta(self) -> dict[str, Any]:
        """The side-car's contents."""
        return read_json(self.meta_path)

    def _write(self, *, complete: bool, counts: dict[str, Any]) -> None:
        write_json(
            self.meta_path,
            {
                **self.provenance.identity,
                "complete": complete,
                "counts": counts,
                "seconds": round(time.monotonic() - self._started, 2),
                "versions": versions(),
            },
        )


class RowWriter(Generic[Row]):
    """Appends rows to NAME.partial, survives a kill, and becomes NAME when closed.

    Rows that fail go to NAME.failed.jsonl with id and reason; `finish` raises ArtefactError when their share
    exceeds `max_failed`.
    """

    def __init__(self, path: Path, kind: type[Row], key: str = "id", max_failed: float = 0.01) -> None:
        self.path, self.kind, self.key, self.max_failed = path, kind, key, max_failed
        self.partial = path.with_name(path.name + ".partial")
        self.failed_path = path.with_name(path.name.removesuffix(".jsonl") + ".failed.jsonl")
        path.parent.mkdir(parents=True, exist_ok=True)
        drop_torn_line(self.partial)
        drop_torn_line(self.failed_path)
        rows = read_rows(self.partial, kind) if self.partial.exists() else []
        self.done: set[str] = {getattr(row, key) for row in rows}
        self.failed: dict[str, str] = {}
        if self.failed_path.exists():
            if self.partial.exists():
                self.failed = {
                    row["id"]: row["reason"] for row in map(json.loads, self.failed_path.read_text("utf-8").splitlines())
                }
            else:
                self.failed_path.unlink()
        self._file = self.partial.open("a", encoding="utf-8")

    def append(self, rows: Iterable[Row]) -> None:
        """Adds rows and flushes them to the operating system."""
        try:
            for row in rows:
                self._file.write(row_line(row))
                self.done.add(getattr(row, self.key))
            self._file.flush()
        except OSError as error:
            raise ArtefactError(
                f"cannot write {self.partial}: {error.strerror or error}; free space, then run again: nothing is lost"
            ) from error

    def fail(self, row_id: str, reason: str) -> None:
        """Notes a row that could not be made."""
        if row_id in self.failed:
            return
        self.failed[row_id] = reason
        with self.failed_path.open("a", encoding="utf-8") as file:
            file.write(row_line({"id": row_id, "reason": reason}))

    def finish(self) -> dict[str, int]:
        """Renames to NAME; returns counts."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        total = len(self.done) + len(self.failed)
        if total and len(self.failed) / total > self.max_failed:
            first = next(iter(self.failed.items()))
            raise ArtefactError(
                f"{len(self.failed)} of {total} rows failed, more than the limit of {self.max_failed:.1%} (max_failed); "
                f"see {self.failed_path}, first: {first[0]}: {first[1]}"
            )
        self.partial.replace(self.path)
        return {"rows": len(self.done), "failed": len(self.failed)}


def drop_torn_line(path: Path) -> None:
    """Cuts a last line that a kill left without its newline."""
    if not path.exists():
        return
    data = path.read_bytes()
    if data and not data.endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(data.rfind(b"\n") + 1)
