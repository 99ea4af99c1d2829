"""A table that is written row by row: it survives a kill, and keeps the rows that failed apart."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

from lpo_tts.errors import ArtefactError, os_errors
from lpo_tts.files import drop_torn_line, iterate_rows, key_of, loads, row_line, write_rows

Row = TypeVar("Row")


def ids_of(partial: Path, kind: type) -> set[str]:
    """Ids of an unfinished table that is not to be changed; a last line without its end is no row."""
    if not partial.exists():
        return set()
    with os_errors("read", partial), partial.open(encoding="utf-8") as file:
        lines = (line for line in file if line.endswith("\n"))
        return {str(loads(line, str(partial))[key_of(kind) or "id"]) for line in lines}


class RowWriter(Generic[Row]):
    """Appends rows to NAME.partial, survives a kill, and becomes NAME when closed.

    Rows that fail go to NAME.failed.jsonl with id and reason; `finish` raises ArtefactError when their share
    exceeds `max_failed`.
    """

    def __init__(self, path: Path, kind: type[Row], max_failed: float = 0.01, *, resume: bool = True) -> None:
        self.path, self.kind, self.max_failed = path, kind, max_failed
        self.key = key_of(kind) or "id"
        self.partial = path.with_name(path.name + ".partial")
        self.failed_path = path.with_name(path.name.removesuffix(".jsonl") + ".failed.jsonl")
        self.failed: dict[str, str] = {}
        with os_errors("write", path):
            path.parent.mkdir(parents=True, exist_ok=True)
            if not resume:
                self.partial.unlink(missing_ok=True)
            drop_torn_line(self.partial)
            self.failed_path.unlink(missing_ok=True)  # rows that failed are tried again
            self.done: set[str] = (
                {getattr(row, self.key) for row in iterate_rows(self.partial, kind)} if self.partial.exists() else set()
            )
            self.resumed = bool(self.done)
            self._file = self.partial.open("a", encoding="utf-8")

    def append(self, rows: Iterable[Row]) -> None:
        """Adds rows and flushes them to the operating system; raises ArtefactError for a row whose id is there already."""
        with os_errors("write", self.partial):
            for row in rows:
                row_id = getattr(row, self.key)
                if row_id in self.done:
                    raise ArtefactError(f"{self.partial}: the {self.key} {row_id!r} comes twice; give each row its own")
                self._file.write(row_line(row))
                self.done.add(row_id)
            self._file.flush()

    def absorb(self, others: Iterable[Path]) -> None:
        """Takes the rows of other unfinished tables that are not here yet, and removes those tables."""
        for other in others:
            drop_torn_line(other)
            self.append(row for row in iterate_rows(other, self.kind) if getattr(row, self.key) not in self.done)
            with os_errors("write", self.partial):
                os.fsync(self._file.fileno())
            with os_errors("remove", other):
                other.unlink()
            self.resumed = True

    def fail(self, row_id: str, reason: str) -> None:
        """Notes a row that could not be made."""
        if row_id in self.failed:
            return
        self.failed[row_id] = reason
        with os_errors("write", self.failed_path), self.failed_path.open("a", encoding="utf-8") as file:
            file.write(row_line({"id": row_id, "reason": reason}))

    def keep(self, wanted: Callable[[Row], bool]) -> None:
        """Closes the table unfinished, with these rows alone: the others are made again when the step runs again."""
        self._file.close()
        write_rows(self.partial, (row for row in iterate_rows(self.partial, self.kind, unique=False) if wanted(row)))

    def sort(self, order: Iterable[str]) -> None:
        """Brings the rows into this order of ids, so that a table filled in several turns is that of one turn.

        Keeps where each row lies in the file, not the rows. Raises ArtefactError for a row whose id the order has not.
        """
        self._file.close()
        places, place = {}, 0
        with os_errors("read", self.partial), self.partial.open("rb") as file:
            for line, row in zip(file, iterate_rows(self.partial, self.kind, unique=False), strict=True):
                places[getattr(row, self.key)] = place
                place += len(line)
        write_rows(self.partial, self._at(places.pop(row_id) for row_id in order if row_id in places))
        self._file = self.partial.open("a", encoding="utf-8")
        if places:
            raise ArtefactError(
                f"{self.partial}: the {self.key} {next(iter(places))!r} is none of this step's; remove the file and run again"
            )

    def _at(self, places: Iterable[int]) -> Iterator[Any]:
        with os_errors("read", self.partial), self.partial.open("rb") as file:
            for place in places:
                file.seek(place)
                yield loads(file.readline().decode(), f"{self.partial}, byte {place}")

    def finish(self) -> dict[str, int]:
        """Renames to NAME; returns counts."""
        with os_errors("write", self.partial):
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
        with os_errors("write", self.path):
            self.partial.replace(self.path)
        return {"rows": len(self.done), "failed": len(self.failed)}
