"""The two tables of a manifest that is being made: rows and failed rows, safe on the disk up to a noted place."""

import contextlib
import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from lpo_tts.artefacts import Provenance, read_object, row_line, write_json
from lpo_tts.config import differences
from lpo_tts.errors import ArtefactError, os_errors
from lpo_tts.manifests.examining import is_known, writable
from lpo_tts.manifests.hashes import HashTable
from lpo_tts.manifests.recordings import Dropped, Recording

NOTE_EVERY = 5.0  # seconds of work that a kill may cost


@dataclass(frozen=True)
class _Noted:
    """How far an unfinished run came: recordings, bytes of its two tables, and the hash over the ids."""

    done: int
    rows: int
    failed: int
    ids: str


@dataclass
class _Table:
    """One of the two tables: NAME.partial until it is NAME."""

    path: Path
    size: int = 0  # bytes that were written
    file: BinaryIO | None = None

    @property
    def partial(self) -> Path:
        return self.path.with_name(self.path.name + ".partial")

    def open(self) -> None:
        with os_errors("write", self.partial):
            self.partial.parent.mkdir(parents=True, exist_ok=True)
            self.file = self.partial.open("ab", buffering=1 << 20)
            self.file.truncate(self.size)

    def add(self, row: Any) -> None:
        assert self.file is not None
        data = row_line(row).encode()
        with os_errors("write", self.partial):
            self.file.write(data)
        self.size += len(data)

    def sync(self) -> None:
        assert self.file is not None
        with os_errors("write", self.partial):
            self.file.flush()
            os.fsync(self.file.fileno())

    def close(self) -> None:
        if self.file is not None:
            with contextlib.suppress(OSError):  # on a full disk closing fails again
                self.file.close()

    def holds(self, size: int) -> bool:
        """Whether the rows up to a noted place are there; takes them back where a run that was nearly done had renamed them."""
        with os_errors("read", self.partial):
            if not self.partial.exists() and self.path.is_file() and self.path.stat().st_size == size > 0:
                self.path.replace(self.partial)
            return size == 0 or (self.partial.is_file() and self.partial.stat().st_size >= size)

    def finish(self) -> None:
        """Gives the table its name; without rows there is none."""
        self.close()
        with os_errors("write", self.path):
            if self.size:
                self.partial.replace(self.path)
            else:
                self.partial.unlink(missing_ok=True)
                self.path.unlink(missing_ok=True)


class Tables:
    """Rows and failed rows of one run, which goes on where an earlier one with the same settings and inputs was.

    Every five seconds both tables are flushed to the disk, and then NAME.progress.json notes how long they are, how many
    recordings they stand for, and a hash over the ids of these. So it is when too many rows failed: the same command with a
    larger `max_failed` takes them as they are. What lies behind the noted place is cut off when the run is
    taken up, so a kill, a full disk or a loss of power leaves nothing torn and nothing twice.
    """

    def __init__(self, out: Path, provenance: Provenance, max_failed: float) -> None:
        self.out = out
        self.rows, self.failed = _Table(out), _Table(out.with_name(f"{out.stem}.failed.jsonl"))
        self.progress_path = out.with_name(out.name + ".progress.json")
        self.done = 0  # recordings
        self.seen = HashTable()
        self.max_failed = max_failed
        self._identity = provenance.identity
        self._identity["settings"].pop("max_failed", None)  # which rows there are does not depend on it
        self._ids = hashlib.sha256().digest()
        self._noted_at = time.monotonic()

    def begin(self, found: Iterable[Recording | Dropped]) -> tuple[Iterator[Recording | Dropped], str]:
        """Opens the tables; returns what is still to be examined, and a line that says whether the run starts anew."""
        noted, why = self._noted()
        source = iter(found)
        if noted is not None and not self._skip(source, noted):
            why = "the corpus holds other recordings than then"
            if source is iter(found):
                raise ArtefactError(f"{self.progress_path}: {why}; remove the file and run again")
            source, noted = iter(found), None
        if noted is None:
            self.done, self.seen, self._ids = 0, HashTable(), hashlib.sha256().digest()
        else:
            self.rows.size, self.failed.size = noted.rows, noted.failed
        with os_errors("write", self.progress_path):
            if noted is None:
                self.progress_path.unlink(missing_ok=True)  # before the tables that it tells of are cut off
        self.rows.open()
        self.failed.open()
        if why:
            return source, f"{self.out}: an unfinished run cannot go on: {why}; it starts anew"
        return source, f"{self.out}: goes on after {self.done:,} recordings" if self.done else ""

    def _noted(self) -> tuple[_Noted | None, str]:
        """How far an unfinished run came; None, and why it cannot go on, where there was one."""
        if not self.progress_path.exists():
            return None, ""
        try:
            noted = read_object(self.progress_path)
            found = _Noted(int(noted["done"]), int(noted["rows"]), int(noted["failed"]), str(noted["ids"]))
        except (ArtefactError, KeyError, TypeError, ValueError):
            return None, f"{self.progress_path.name} cannot be read"
        changed = differences(noted.get("identity"), self._identity)
        if changed:
            return None, "; ".join(changed[:4])
        if noted.get("refused") is not None and self.max_failed <= noted["refused"]:
            return None, ""  # the same command again: rows that failed are tried again
        if not (self.rows.holds(found.rows) and self.failed.holds(found.failed)):
            return None, "its rows are no longer there"
        return found, ""

    def _skip(self, source: Iterator[Recording | Dropped], noted: _Noted) -> bool:
        """Passes over what was examined; whether it is what was examined then."""
        while self.done < noted.done:
            one = next(source, None)
            if one is None:
                return False
            if isinstance(one, Recording):
                is_known(one, self.seen)
            self._count(writable(one.id))
        return self._ids.hex() == noted.ids

    def _count(self, row_id: str) -> None:
        self.done += 1
        self._ids = hashlib.sha256(self._ids + row_id.encode()).digest()

    def add(self, result: Any) -> int:
        """Takes the next result, an Utterance or a Dropped; returns where its row stands in its table, in bytes."""
        is_row = not isinstance(result, Dropped)
        table = self.rows if is_row else self.failed
        place = table.size
        table.add(result if is_row else failed_row(result))
        self._count(result.id)
        if time.monotonic() - self._noted_at > NOTE_EVERY:
            self.note()
        return place

    def note(self, refused: float | None = None) -> None:
        """Brings what was added to the disk, and notes how far it goes; `refused`: the limit that too many rows exceeded."""
        self.rows.sync()
        self.failed.sync()
        state = {"done": self.done, "rows": self.rows.size, "failed": self.failed.size, "ids": self._ids.hex()}
        write_json(self.progress_path, {**state, "refused": refused, "identity": self._identity})
        self._noted_at = time.monotonic()

    def close(self) -> None:
        """Closes the files; what was noted stays for the next run."""
        self.rows.close()
        self.failed.close()

    def forget(self) -> None:
        """Removes what is only for an unfinished run."""
        with os_errors("remove", self.progress_path):
            self.progress_path.unlink(missing_ok=True)
            self.rows.partial.unlink(missing_ok=True)
            self.failed.partial.unlink(missing_ok=True)


def failed_row(dropped: Dropped) -> dict[str, str]:
    """A row of the list of failed rows: with `filter` where it was left out, without where it is broken."""
    row = {"id": dropped.id, "reason": dropped.reason}
    return row if dropped.fault else {**row, "filter": dropped.filter}
