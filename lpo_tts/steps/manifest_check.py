"""check, for a manifest: what is wrong row by row, and what the rows are in sum; nothing is changed."""

import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO

from lpo_tts import audio
from lpo_tts.artefacts import read_object
from lpo_tts.engines.local import map_blocks
from lpo_tts.errors import ArtefactError, os_errors
from lpo_tts.manifests.faults import DOUBLED, SENTENCE, Fault, Row, listen, read_row
from lpo_tts.manifests.hashes import HashTable, fingerprint
from lpo_tts.manifests.summary import Summary, many
from lpo_tts.report import manifest as page
from lpo_tts.steps.progress import progress

BLOCK = 32  # rows that a worker takes at a time
MAX_LINE = 1 << 20  # bytes; a row has a few hundred, and a file that is no table may have no line ends
KEPT = 200  # faults that the page shows

Line = tuple[int, int, bytes]  # number, where it begins, the line


@dataclass
class Checked:
    """What was found; memory grows with the rows by the hashes of ids and sentences alone, 0.4 GB for 10^7."""

    path: Path
    num_kept: int
    num_rows: int = 0
    num_bad: int = 0  # rows with a fault
    counts: Counter[str] = field(default_factory=Counter)  # of faults, by kind
    summary: Summary = field(default_factory=Summary)
    _faults: list[Fault] = field(default_factory=list)
    _shared: list[Fault] = field(default_factory=list)
    _num_shared: int = 0
    _ids: HashTable = field(default_factory=HashTable)

    def add(self, found: Row) -> None:
        """Takes the next row."""
        self.num_rows += 1
        if found.id:
            key = fingerprint(found.id)
            first = self._ids.get(key)
            if first is None:
                self._ids.put(key, min(found.line, (1 << 32) - 1))
            else:
                found.add(DOUBLED, f"id: expected one that no other row has, found that of line {first}")
        self.num_bad += bool(found.faults)
        self.counts.update(fault.kind for fault in found.faults)
        self._faults += found.faults[: self.num_kept - len(self._faults)]
        other = None if found.row is None else self.summary.add(found.row, found.place, found.line)
        if other is not None:
            self._num_shared += 1
            if len(self._shared) < self.num_kept:
                text = (
                    f"text: expected a sentence of one split, found it in split {other[0]} too; its first row is line {other[1]}"
                )
                self._shared.append(Fault(line=found.line, id=found.id, kind=SENTENCE, text=text))

    @property
    def by_speaker(self) -> bool:
        """Whether the splits share no speaker. Then they may share a sentence: who says it is unheard in training."""
        return not self.summary.speakers.num_shared

    @property
    def by_kind(self) -> dict[str, int]:
        """Faults by kind, the most first."""
        shared = {} if self.by_speaker or not self._num_shared else {SENTENCE: self._num_shared}
        return dict((self.counts + Counter(shared)).most_common())

    @property
    def num_faults(self) -> int:
        """All of them."""
        return sum(self.by_kind.values())

    def faults(self) -> Iterator[Fault]:
        """Those that were kept, in the order of the rows."""
        return heapq.merge(self._faults, [] if self.by_speaker else self._shared, key=lambda fault: fault.line)

    def notes(self) -> Iterator[str]:
        """What is worth knowing and no fault."""
        speakers = self.summary.speakers
        if self.by_speaker and self.summary.shared_sentences:
            shared = self.summary.shared_sentences
            found = f"{many(shared, 'sentence')} stand{'s' * (shared == 1)} in more than one split"
            yield f"{found}; the splits are disjoint by speaker"
        if not self.by_speaker:
            index = next(index for index, bits in enumerate(speakers.splits) if bits.bit_count() > 1)
            example = speaker_names(self.path, [speakers.places[index]])[0]
            shared = speakers.num_shared
            yield f"{many(shared, 'speaker')} stand{'s' * (shared == 1)} in more than one split, such as {example}"


def check(path: Path, *, quick: bool = False, num_kept: int = KEPT, workers: int = 0) -> Checked:
    """Reads a manifest to its end and, unless `quick`, every recording; returns what was found.

    Args:
        path: of the manifest.
        quick: only look whether the recordings are there.
        num_kept: faults that are kept; all are counted.
        workers: processes that decode; 0 = in this one.

    Raises:
        ArtefactError: the table itself cannot be read.
        ComponentError: a worker died.
    """
    fault = audio.path_fault(path)
    if fault is not None:
        raise ArtefactError(f"{path}: expected a manifest, found {fault}; check the path")
    result = Checked(path, num_kept)
    with os_errors("read", path), path.open("rb") as file:
        rows = map_blocks(partial(_worker, path.parent, quick), _blocks(file), workers)
        for found in progress((row for block in rows for row in block), "check", unit=" rows"):
            result.add(found)
    return result


def _worker(folder: Path, quick: bool) -> Callable[[Sequence[Line]], list[Row]]:
    return partial(_look, folder, quick)


def _look(folder: Path, quick: bool, block: Sequence[Line]) -> list[Row]:
    rows = [read_row(data, number, place) for number, place, data in block]
    for row in rows:
        listen(row, folder, quick=quick)
    return rows


def _blocks(file: BinaryIO) -> Iterator[list[Line]]:
    block: list[Line] = []
    for line in _lines(file):
        block.append(line)
        if len(block) == BLOCK:
            yield block
            block = []
    if block:
        yield block


def _lines(file: BinaryIO) -> Iterator[Line]:
    """Lines that are not blank; of one that is too long, the beginning."""
    number = place = 0
    while data := file.readline(MAX_LINE):
        size, more = len(data), data
        while not more.endswith(b"\n") and (more := file.readline(MAX_LINE)):
            size += len(more)
        number += 1
        text = data.removeprefix(b"\xef\xbb\xbf") if number == 1 else data
        if text.strip():
            yield number, place, text
        place += size


def speaker_names(path: Path, places: Sequence[int]) -> list[str]:
    """The speakers of the rows that begin at some bytes of a manifest."""
    names = []
    with os_errors("read", path), path.open("rb") as file:
        for place in places:
            file.seek(place)
            row = read_row(file.readline().removeprefix(b"\xef\xbb\xbf"), 0).row
            names.append(row.speaker if row is not None else "?")
    return names


def tell(checked: Checked, limit: int) -> Iterator[str]:
    """What a terminal shows: faults, how many of each kind, notes, and the sums."""
    name = checked.path.name
    for fault, _ in zip(checked.faults(), range(limit), strict=False):
        yield f"{name}: {fault}"
    if checked.num_faults > limit:
        yield f"{name}: {checked.num_faults - limit:,} more faults; --limit shows more"
    if checked.num_faults:
        yield f"{many(checked.num_faults, 'fault')}: " + ", ".join(f"{kind} {count:,}" for kind, count in checked.by_kind.items())
    elif not checked.num_rows:
        yield f"{checked.path}: expected rows, found none"
    else:
        yield f"{checked.path}: every row is in order"
    yield from (f"note: {note}" for note in checked.notes())
    yield from checked.summary.lines()


def execute(
    path: Path,
    *,
    quick: bool = False,
    limit: int = 20,
    page_path: Path | None = None,
    workers: int = 0,
    say: Callable[[str], None] = lambda line: None,
) -> int:
    """Checks a manifest, says what was found, writes the page; returns the exit code, 2 where there are faults.

    Args:
        path: of the manifest.
        quick: as in `check`.
        limit: faults that are said.
        page_path: of the page; None = beside the manifest, under its name.
        workers: as in `check`.
        say: takes a line.
    """
    checked = check(path, quick=quick, num_kept=max(limit, KEPT), workers=workers)
    for line in tell(checked, limit):
        say(line)
    speakers = checked.summary.speakers
    largest = speakers.largest(page.NUM_SPEAKERS)
    names = speaker_names(path, [speakers.places[index] for index in largest])
    written = page.render(
        checked.summary,
        page_path or path.with_suffix(".html"),
        name=path.name,
        num_rows=checked.num_rows,
        num_bad=checked.num_bad,
        faults=list(checked.faults())[:KEPT],
        counts=checked.by_kind,
        notes=list(checked.notes()),
        speakers=dict(zip(largest, names, strict=True)),
        made=_side_car(path),
        quick=quick,
    )
    say(f"page: {written}")
    return 2 if checked.num_faults or not checked.num_rows else 0


def _side_car(path: Path) -> dict[str, object]:
    """How the manifest was made, where its side-car says so."""
    meta = path.with_name(f"{path.name}.meta.json")
    if not meta.is_file():
        return {}
    try:
        found = read_object(meta)
    except ArtefactError:
        return {}
    return {key: found[key] for key in ("verb", "settings", "inputs", "counts") if found.get(key)}
