"""Artefacts of the steps: what each was made from, of which parts it consists, and whether every part is still there."""

import dataclasses
import functools
import glob
import hashlib
import importlib.metadata
import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lpo_tts.config import differences
from lpo_tts.errors import ArtefactError, os_errors
from lpo_tts.files import (
    content_hash,
    drop_torn_line,
    file_hash,
    iterate_rows,
    loads,
    read_json,
    read_lines,
    read_object,
    read_rows,
    row_line,
    share,
    sync,
    table_writer,
    write_atomic,
    write_json,
    write_rows,
)
from lpo_tts.rows import RowWriter
from lpo_tts.shards import PARTS, Shard, files
from lpo_tts.tensors import pack, read_tensors, unpack, write_tensors

__all__ = [
    "Artefact",
    "Part",
    "Provenance",
    "RowWriter",
    "content_hash",
    "digest_of",
    "drop_torn_line",
    "file_hash",
    "iterate_rows",
    "loads",
    "pack",
    "read_json",
    "read_lines",
    "read_object",
    "read_rows",
    "read_tensors",
    "row_line",
    "share",
    "sync",
    "table_writer",
    "unpack",
    "versions",
    "write_atomic",
    "write_json",
    "write_rows",
    "write_tensors",
]

SCHEMA = 2
IDENTITY = ("schema", "verb", "settings", "inputs")  # what of a side-car must agree on resume
log = logging.getLogger("lpo_tts")


def versions() -> dict[str, str]:
    """Versions of the packages that decide results."""
    return dict(_versions())


@functools.cache
def _versions() -> dict[str, str]:
    found = {}
    for name in ("lpo-tts", "torch", "transformers", "numpy", "jiwer", "speechbrain", "safetensors"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@dataclasses.dataclass(frozen=True)
class Provenance:
    """What an artefact was made from: a verb, resolved settings, and the hashes of its inputs.

    `again` is the option of the command that makes it again; "": `--redo` with the verb.
    """

    verb: str
    settings: dict[str, Any]
    inputs: dict[str, str]
    again: str = ""

    @property
    def remedy(self) -> str:
        """What to add to the command, so that the artefact is made again."""
        return self.again or f"--redo {self.verb}"

    @property
    def identity(self) -> dict[str, Any]:
        """The part that must agree on resume, as plain JSON values."""
        return json.loads(json.dumps({"schema": SCHEMA, "verb": self.verb, "settings": self.settings, "inputs": self.inputs}))


@dataclasses.dataclass(frozen=True)
class Part:
    """One part of an artefact: files that were written together.

    Attributes:
        rows: how many rows it holds.
        files: path, relative to the folder in which the artefact lies, to (bytes, time of change in ns, sha-256).
        failed: id -> reason of rows that could not be made; they are tried again when the step runs again.
        timing: what making it took, by names of the step's choice; no part of its identity.
    """

    rows: int
    files: dict[str, tuple[int, int, str]]
    failed: dict[str, str] = dataclasses.field(default_factory=dict)
    timing: dict[str, float] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(
        cls,
        folder: Path,
        files: Iterable[Path],
        rows: int,
        failed: Mapping[str, str] | None = None,
        timing: Mapping[str, float] | None = None,
    ) -> "Part":
        """Measures the files of a part as they lie on the disk."""
        found = {}
        for file in files:
            with os_errors("read", file):
                stat = file.stat()
            found[file.relative_to(folder).as_posix()] = (stat.st_size, stat.st_mtime_ns, file_hash(file))
        return cls(rows, found, dict(failed or {}), dict(timing or {}))

    @classmethod
    def read(cls, tree: Any, where: str) -> "Part":
        """A part as a side-car states it; raises ArtefactError when it states something else."""
        try:
            files = {str(name): (int(one[0]), int(one[1]), str(one[2])) for name, one in tree["files"].items()}
            failed = {str(key): str(value) for key, value in tree["failed"].items()}
            timing = {str(key): float(value) for key, value in tree.get("timing", {}).items()}
            return cls(int(tree["rows"]), files, failed, timing)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise ArtefactError(f"{where}: expected rows, files and failed of a part, found {str(tree)[:80]!r}") from error

    @property
    def plain(self) -> dict[str, Any]:
        """As a side-car states it; without a timing where nobody measured one."""
        tree = dataclasses.asdict(self)
        return tree if self.timing else {key: value for key, value in tree.items() if key != "timing"}

    def fault(self, folder: Path) -> str | None:
        """What is wrong with its files, None when they are as they were written.

        A file of the same size and time of change is taken for the same. Only another one is read and hashed: so looking at
        ten thousand parts takes less than a second.
        """
        for name, (size, changed, digest) in self.files.items():
            try:
                stat = (folder / name).stat()
            except OSError:
                return f"{name} is missing"
            if stat.st_size != size:
                return f"{name} has {stat.st_size} bytes instead of {size}"
            if stat.st_mtime_ns != changed and file_hash(folder / name) != digest:
                return f"{name} was changed"
        return None


class Artefact:
    """One artefact of a step (a table, a file, or a folder of parts) with its side-car `<name>.meta.json`.

    The side-car is written first with `complete: false`, so that an interrupted artefact knows its settings too. While the
    step works, every finished part adds a line to `<name>.parts.jsonl`; `finish` takes them into the side-car.

    Several processes may fill one together: each `join`s it, and notes its parts in a list of its own. The process that
    begins it alone afterwards takes these lists over.
    """

    def __init__(self, path: Path, provenance: Provenance) -> None:
        self.path = path
        self.meta_path = path.with_name(path.name + ".meta.json")
        self.parts_path = path.with_name(path.name + ".parts.jsonl")
        self.provenance = provenance
        self.parts: dict[str, Part] = {}  # those that are there as they were written
        self._spoilt: dict[str, Part] = {}
        self.one_pass: str | None = None  # of artefacts that were made together, each of which tells the seconds of all
        self.imported: dict[str, Any] | None = None  # of which data set it comes, where no step made it
        self.is_closed = False  # complete on the disk: `begin` must come before anything is added
        self._started = time.monotonic()

    def state(self) -> str:
        """`missing`, `partial` or `complete`; raises ArtefactError when it was made with other settings or inputs.

        Complete means that every part of its side-car is there as it was written. Others are named in a warning, and
        `begin` forgets them, so that they are made again.
        """
        if not self.meta_path.exists():
            self._refuse_unknown()
            return "missing"
        meta = read_object(self.meta_path)
        self.check(meta)
        self.parts = stated_parts(self.path, meta)
        faults = {name: fault for name, part in self.parts.items() if (fault := part.fault(self.path.parent))}
        self._spoilt = {name: self.parts.pop(name) for name in faults}
        if faults:
            log.warning(
                "%s: %d of %d parts are not as they were written (%s); they are made again",
                self.path,
                len(faults),
                len(faults) + len(self.parts),
                next(iter(faults.values())),
            )
        self.is_closed = bool(meta.get("complete")) and not faults
        return "complete" if self.is_closed else "partial"

    def join(self, shard: Shard) -> bool:
        """Goes on with it as one of several processes that fill it together, or begins it; returns whether it is complete.

        Nothing that others made is changed. The side-car is made by whoever comes first.

        Raises:
            ArtefactError: it was made with other settings or inputs; it is complete, but parts are not as they were written;
                shards of another number fill it.
        """
        if not self.meta_path.exists():
            try:
                self._refuse_unknown()
            except ArtefactError:
                if not self.meta_path.exists():  # another shard has begun it a moment ago
                    raise
            self._create()
        if self.state() == "complete":
            return True
        if self.meta().get("complete"):
            raise ArtefactError(
                f"{self.path} is complete, but parts of it are not as they were written; run `lpo-tts {self.provenance.verb}` "
                "without --shard, which makes them again"
            )
        self.parts_path = own = shard.beside(self.path).with_name(shard.beside(self.path).name + PARTS)
        drop_torn_line(own)
        with os_errors("write", own):
            own.touch()
        other = next((one for one, _ in files(self.path, PARTS) if one.count != shard.count), None)
        if other is not None:
            if own.stat().st_size == 0:
                own.unlink(missing_ok=True)
            raise ArtefactError(
                f"{self.path} is being filled in {other.count} shards, and this is shard {shard}; give --shard i/{other.count}, "
                f"or run `lpo-tts {self.provenance.verb}` without --shard once, which takes over what is there"
            )
        return False

    def _create(self) -> None:
        """Writes the side-car unless another process does so at the same time."""
        own = self.meta_path.with_name(f"{self.meta_path.name}.{uuid.uuid4().hex}")
        write_json(own, self._side_car(complete=False, counts={}, parts={}))
        with os_errors("write", self.meta_path):
            try:
                os.link(own, self.meta_path)  # appears whole, and fails where there is one
            except FileExistsError:
                pass
            except OSError:  # a file system without links
                own.replace(self.meta_path)
            finally:
                own.unlink(missing_ok=True)

    def changes(self, meta: Mapping[str, Any], keys: tuple[str, ...] = IDENTITY) -> list[str]:
        """What differs between a side-car and this provenance, in `keys`."""
        identity = self.provenance.identity
        return differences({key: meta.get(key) for key in keys}, {key: identity[key] for key in keys})

    def check(self, meta: Mapping[str, Any], keys: tuple[str, ...] = IDENTITY) -> None:
        """Raises ArtefactError naming what differs between a side-car and this provenance, in `keys`."""
        changed = self.changes(meta, keys)
        if changed:
            shown = "\n  ".join(changed[:8])
            raise ArtefactError(
                f"{self.path} was made with other settings or inputs:\n  {shown}\n"
                f"Give back the old values, choose another `out`, or add {self.provenance.remedy} "
                "to make it and what follows again."
            )

    def is_complete(self) -> bool:
        """Whether it is complete and of this very provenance; never raises."""
        try:
            return self.meta_path.exists() and self.state() == "complete"
        except ArtefactError:
            return False

    @property
    def failed(self) -> dict[str, str]:
        """Id -> reason of all rows that could not be made."""
        return {key: reason for part in self.parts.values() for key, reason in part.failed.items()}

    def begin(self) -> None:
        """Notes the settings before the first row is written; parts that are whole stay, those of shards too.

        A table that was changed is kept as NAME.changed: it may hold somebody's work.
        """
        for part in self._spoilt.values():
            for file in (self.path.parent / name for name in part.files):
                if file == self.path and file.suffix == ".jsonl" and file.is_file():
                    with os_errors("move", file):
                        file.replace(file.with_name(f"{file.name}.changed"))
                    log.warning("%s: what was found there is kept as %s.changed", file, file.name)
        self._spoilt = {}
        lines = "".join(_part_line(name, part) for name, part in self.parts.items())
        write_atomic(self.parts_path, lines.encode())  # before the side-car: what it states must not be lost
        write_json(self.meta_path, self._side_car(complete=False, counts={}, parts={}))
        for _, file in files(self.path, PARTS):
            file.unlink(missing_ok=True)
        self.is_closed = False

    def add(
        self,
        name: str,
        rows: int,
        files: Iterable[Path],
        failed: Mapping[str, str] | None = None,
        timing: Mapping[str, float] | None = None,
    ) -> None:
        """Notes a part whose files are written whole."""
        part = self.parts[name] = Part.of(self.path.parent, files, rows, failed, timing)
        with os_errors("write", self.parts_path), self.parts_path.open("a", encoding="utf-8") as file:
            file.write(_part_line(name, part))

    def finish(self, **counts: Any) -> None:
        """Marks the artefact complete, with its parts and counts (rows, failed, ...).

        An artefact that is one file is one part of itself, with as many rows as `counts` says.
        """
        if not self.parts:
            self.parts = {self.path.name: Part.of(self.path.parent, [self.path], int(counts.get("rows", 1)))}
        parts = {name: part.plain for name, part in self.parts.items()}
        write_json(self.meta_path, self._side_car(complete=True, counts=counts, parts=parts))
        self.parts_path.unlink(missing_ok=True)
        self.is_closed = True

    def meta(self) -> dict[str, Any]:
        """The side-car's contents."""
        return read_object(self.meta_path)

    def _refuse_unknown(self) -> None:
        partial = self.path.with_name(self.path.name + ".partial")
        for found in (self.path, partial):
            if found.is_file() or (found.is_dir() and any(found.iterdir())):
                raise ArtefactError(
                    f"{found} is there, but not {self.meta_path.name}, which says how it was made; move it away, choose another "
                    f"`out`, or add {self.provenance.remedy} to make it again"
                )

    def _side_car(self, *, complete: bool, counts: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
        return {
            **self.provenance.identity,
            "complete": complete,
            "counts": counts,
            "seconds": round(time.monotonic() - self._started, 2),
            "pass": self.one_pass,
            "versions": versions(),
            "parts": parts,
            **({} if self.imported is None else {"imported": self.imported}),
        }


def _part_line(name: str, part: Part) -> str:
    return row_line({"part": name, **part.plain})


def stated_parts(path: Path, meta: Mapping[str, Any]) -> dict[str, Part]:
    """Parts of an artefact by name, of its side-car or, while the step is not done, of the lists beside it, those of shards too.

    The last line of a name counts, unless its files are not as they were written and those of an earlier line are.
    """
    meta_path, parts_path = path.with_name(f"{path.name}.meta.json"), path.with_name(f"{path.name}.parts.jsonl")
    if meta.get("complete"):
        stated = meta.get("parts")
        if not isinstance(stated, dict):
            raise ArtefactError(
                f"{meta_path}: expected the parts of {path.name}, found {stated!r}; run its step again with --redo"
            )
        return {name: Part.read(tree, str(meta_path)) for name, tree in stated.items()}
    found: dict[str, Part] = {}
    for listed in (*(file for _, file in files(path, PARTS)), parts_path):
        for number, line in enumerate(_whole_lines(listed), 1):
            tree = loads(line, f"{listed}:{number}")
            name, part = str(tree.get("part")), Part.read(tree, f"{listed}:{number}")
            if name not in found or part.fault(path.parent) is None:
                found[name] = part
    return found


def _whole_lines(path: Path) -> list[str]:
    """Lines of a list that another process may be adding to: the last one only when it has its end."""
    if not path.exists():
        return []
    with os_errors("read", path):
        text = path.read_text(encoding="utf-8", errors="replace")
    return text.split("\n")[:-1]


def digest_of(path: Path) -> str:
    """Identity of an artefact that a later step reads: a hash over the hashes of its parts, from its side-car.

    A file or folder without a side-car (a user's own) is hashed by its contents.

    Raises:
        ArtefactError: it is missing or not complete, or a part is not as it was written.
    """
    meta_path = path.with_name(f"{path.name}.meta.json")
    if not meta_path.exists():
        return content_hash(path)
    meta = read_object(meta_path)
    verb = meta.get("verb")
    if not meta.get("complete"):
        raise ArtefactError(f"{path} is not complete; run `lpo-tts {verb}` first, it goes on where it was")
    parts = stated_parts(path, meta)
    digest = hashlib.sha256()
    for name in sorted(parts):
        fault = parts[name].fault(path.parent)
        if fault:
            raise ArtefactError(f"{path}: {fault}; run `lpo-tts {verb}` again: what is missing or changed is made again, alone")
        for file, (_, _, file_digest) in sorted(parts[name].files.items()):
            digest.update(f"{file}:{file_digest}\n".encode())
    return digest.hexdigest()


def remove(path: Path) -> None:
    """Deletes an artefact with its side-car and everything that was made on the way to it."""
    stem = path.name.removesuffix(".jsonl")
    names = [path.name, *(path.name + end for end in (".partial", ".parts.jsonl", ".meta.json")), f"{stem}.failed.jsonl"]
    for end in (".unfinished-*", ".shard-*"):
        names += [one.name for one in path.parent.glob(f"{glob.escape(path.name)}{end}")]
    with os_errors("remove", path):
        for one in (path.with_name(name) for name in names):
            if one.is_dir() and not one.is_symlink():
                shutil.rmtree(one)
            else:
                one.unlink(missing_ok=True)
