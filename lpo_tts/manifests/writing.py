"""Writes a manifest as its rows come: rows, failed rows, counts; in memory stand hashes and sums alone."""

import itertools
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm  # pyright: ignore[reportMissingModuleSource]

from lpo_tts.artefacts import Artefact, Provenance, loads
from lpo_tts.errors import ArtefactError, os_errors
from lpo_tts.manifests.examining import examine
from lpo_tts.manifests.options import Options
from lpo_tts.manifests.recordings import Dropped, Recording
from lpo_tts.manifests.resuming import Tables
from lpo_tts.manifests.summary import SPLITS, Summary, length
from lpo_tts.records import Utterance

TELL_EVERY = 30.0  # seconds between two lines where there is no terminal
Item = TypeVar("Item")


class Counts:
    """What was kept and what was not, and why; `summary` has the sums of the rows."""

    def __init__(self) -> None:
        self.summary = Summary()
        self.failed = 0
        self.left_out_by: Counter[str] = Counter()
        self.first: tuple[str, str] | None = None  # failed row, else the first one left out: id, reason

    @property
    def left_out(self) -> int:
        """Rows that a filter left out."""
        return self.left_out_by.total()

    def drop(self, row_id: str, reason: str, filter_name: str | None) -> None:
        """Takes a row without a place in the manifest; a filter's name is None for a broken row."""
        if filter_name is None:
            self.failed += 1
        else:
            self.left_out_by[filter_name] += 1
        if self.first is None or (filter_name is None and self.failed == 1):
            self.first = row_id, reason

    def as_json(self) -> dict[str, Any]:
        """For the side-car."""
        splits = self.summary.by_split()
        return {
            "rows": self.summary.all.rows,
            "failed": self.failed,
            "left_out": self.left_out,
            "left_out_by": dict(sorted(self.left_out_by.items())),
            **{name: splits[name].rows if name in splits else 0 for name in SPLITS},
        }


def write(found: Iterable[Recording | Dropped], options: Options, provenance: Provenance) -> str:
    """Writes the manifest, its failed rows and its side-car; returns lines that say what was done.

    Messages name the options as command lines do: `max_failed` is --max-failed.

    A run that was interrupted goes on where it was, if settings, inputs and ids are the same. To look at that, `found` is
    read again from its start, so a list or another iterable is wanted that can be.

    Raises:
        ArtefactError: more than `max_failed` of the rows are broken, or none is left. The list of failed rows is then
            written; a manifest of an earlier run is left as it was.
    """
    tables, counts = Tables(options.out, provenance, options.max_failed), Counts()
    with closing(tables):
        rest, line = tables.begin(found)
        if line:
            _tell(line)
        _recount(tables, counts)
        results = examine(rest, options, tables.seen)
        with closing(results):
            for result in _shown(results, tables, counts):
                place = tables.add(result)
                if isinstance(result, Dropped):
                    counts.drop(result.id, result.reason, None if result.fault else result.filter)
                else:
                    counts.summary.add(result, place)
        _check(tables, counts, options)
    _finish(tables, counts, provenance)
    return "\n".join(_lines(options, counts))


def _recount(tables: Tables, counts: Counts) -> None:
    """Counts what an earlier run wrote."""
    place = 0
    for line, where in _lines_of(tables.rows.partial, tables.rows.size):
        counts.summary.add(Utterance(**loads(line.decode(), where)), place)
        place += len(line)
    for line, where in _lines_of(tables.failed.partial, tables.failed.size):
        row = loads(line.decode(), where)
        counts.drop(row["id"], row["reason"], row.get("filter"))


def _lines_of(path: Path, size: int) -> Iterator[tuple[bytes, str]]:
    if not size:
        return
    with os_errors("read", path), path.open("rb") as file:
        for number, line in enumerate(file, 1):
            yield line, f"{path}:{number}"


def _check(tables: Tables, counts: Counts, options: Options) -> None:
    """Raises ArtefactError when too many rows are broken, or none is left; the list of failed rows is then written."""
    rows, failed = counts.summary.all.rows, counts.failed
    refused = failed > options.max_failed * (rows + failed)
    tables.note(options.max_failed if refused else None)
    if rows and not refused:
        return
    tables.failed.finish()
    first = f"first: {counts.first[0]}: {counts.first[1]}" if counts.first is not None else ""
    if refused:
        raise ArtefactError(
            f"{failed} of {rows + failed} rows failed, more than --max-failed {options.max_failed:g}; see "
            f"{tables.failed.path}, {first}; mend them, or give a larger --max-failed: then nothing is read again"
        )
    tables.forget()
    shown = f" ({counts.left_out} left out, {first})" if first else ""
    raise ArtefactError(f"{options.out}: no utterance to write{shown}; check the folder of the corpus and the options")


def _finish(tables: Tables, counts: Counts, provenance: Provenance) -> None:
    """Gives the tables their names; a kill on the way costs nothing, since the tables are taken back by what is noted."""
    artefact = Artefact(tables.out, provenance)
    artefact.begin()
    tables.failed.finish()
    tables.rows.finish()
    artefact.finish(**counts.as_json())
    tables.forget()


def _lines(options: Options, counts: Counts) -> Iterator[str]:
    found, summary = counts.as_json(), counts.summary
    speakers = len(summary.speakers)
    yield (
        f"{options.out}: {found['rows']} utterances, {length(summary.all.seconds)}, "
        f"{speakers} speaker{'s' * (speakers != 1)}; {found['train']} train, {found['dev']} dev, {found['test']} test; "
        f"{found['failed']} failed, {found['left_out']} left out"
    )
    if counts.left_out_by:
        most_first = sorted(counts.left_out_by.items(), key=lambda item: (-item[1], item[0]))
        yield "left out by " + ", ".join(f"{name} {count}" for name, count in most_first)
    if summary.shared_sentences:
        source = "with --by speaker" if options.by == "speaker" else "in the corpus' own splits"
        yield f"warning: {summary.shared_sentences} sentences stand in more than one split, {source}"
    yield from itertools.islice(summary.lines(), 2, None)
    if options.by == "speaker" and summary.speakers.num_shared:
        yield f"warning: {summary.speakers.num_shared} speakers stand in more than one of the corpus' own splits"


def _shown(results: Iterator[Item], tables: Tables, counts: Counts) -> Iterator[Item]:
    """Passes results on, with a bar on a terminal, and a line now and then elsewhere."""
    if sys.stderr.isatty():
        yield from tqdm(results, "manifest", initial=tables.done, unit=" files", leave=False)
        return
    began = told = time.monotonic()
    first = tables.done
    for result in results:
        yield result
        if time.monotonic() - told > TELL_EVERY:
            told = time.monotonic()
            pace = (tables.done - first) / (told - began)
            kept = f"{counts.summary.all.rows:,} kept, {counts.failed:,} failed, {counts.left_out:,} left out"
            _tell(f"{tables.out}: {tables.done:,} recordings, {kept}; {pace:.3g} per second")


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
