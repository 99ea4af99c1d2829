"""The table of one judge for one system: rows that know what they are of, kept as long as that is the same."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from lpo_tts import artefacts
from lpo_tts.artefacts import Artefact, RowWriter
from lpo_tts.records import Judgement, Prompt, Score
from lpo_tts.steps.run import Plan

Block = TypeVar("Block")
Result = TypeVar("Result")


class Item(NamedTuple):
    """Something to be judged.

    Attributes:
        id: of the candidate or file; unique within its system.
        prompt: what it should be; the path of its voice is relative to the folder of results.
        path: where its audio lies; there need be none.
    """

    id: str
    prompt: Prompt
    path: Path


class Where(Protocol):
    """Where judging is done and kept: `lpo_tts.steps.run.Run` is one."""

    @property
    def out(self) -> Path:
        """The folder of results, which voices are relative to."""
        ...

    @property
    def worker_device(self) -> Any:  # a str; pyright takes no cached property for one
        """What torch calls the device of the workers."""
        ...

    def map(self, make_worker: Callable[[], Callable[[Block], Result]], blocks: Iterable[Block]) -> Iterator[Result]:
        """As `lpo_tts.engines.base.Engine.map`."""
        ...

    def prepare(self, plan: Plan, inputs: dict[str, str], *, tell: bool = True) -> tuple[Artefact, bool]:
        """Begins an artefact that is not complete; raises ArtefactError where it was made with other settings."""
        ...

    def identity(self, value: Any, kind: Any = None) -> Any:
        """Settings as plain values, with the contents of local files in place of their paths."""
        ...


@dataclass(frozen=True, kw_only=True)
class Heard(Score):
    """What one judge said of one item, and what it heard.

    Attributes:
        content: hash of audio, text and voice; of another one nothing is said here.
        duration: seconds of audio, counted; None where there is none.
        fault: why the audio cannot be read, where there is some.
    """

    content: str
    duration: float | None = None
    fault: str | None = None


class Table:
    """One judge's table for one system.

    Rows of an earlier judging stand in NAME, those of the one under way in NAME.partial; `finish` makes one table of both.
    """

    def __init__(self, where: Where, plan: Plan, name: str, items: Sequence[Item], keys: Mapping[str, str]) -> None:
        self.items, self.keys, self.name = items, keys, name
        self._artefact, is_complete = where.prepare(plan, {}, tell=False)
        self._path = plan.path
        self._kept = self._current(self._path)
        self.fresh = [item for item in items if item.id not in self._kept]
        self._rows = {item.id: self._kept[item.id] for item in items if item.id in self._kept}
        self._done = is_complete and list(self._stored) == [item.id for item in items] and not self.fresh
        self._writer: RowWriter[Heard] | None = None
        if not self._done:
            self._open()

    def _current(self, path: Path) -> dict[str, Heard]:
        """Rows of a table that say something of what lies there now."""
        self._stored = {row.candidate_id: row for row in artefacts.read_rows(path, Heard)} if path.exists() else {}
        return {name: row for name, row in self._stored.items() if row.content == self.keys.get(name)}

    def _open(self) -> None:
        if self._artefact.is_closed:
            self._artefact.begin()
        wanted = {item.id for item in self.fresh}
        self._writer = RowWriter(self._path, Heard, max_failed=1.0)
        stale = [row for row in artefacts.iterate_rows(self._writer.partial, Heard) if not self._holds(row, wanted)]
        if stale:
            self._writer.keep(lambda row: self._holds(row, wanted))
            self._writer = RowWriter(self._path, Heard, max_failed=1.0)

    def _holds(self, row: Heard, wanted: set[str]) -> bool:
        return row.candidate_id in wanted and row.content == self.keys[row.candidate_id]

    def lacks(self, items: Iterable[Item]) -> bool:
        """Whether an item has no row yet."""
        return self._writer is not None and any(item.id not in self._writer.done for item in items)

    def add(
        self,
        items: Sequence[Item],
        judgements: Sequence[Judgement],
        durations: Sequence[float | None],
        faults: Sequence[str | None],
    ) -> None:
        """Adds the rows of a block that are not there yet, and flushes them."""
        writer = self._writer
        if writer is None:
            return
        told = zip(items, judgements, durations, faults, strict=True)
        writer.append(
            Heard(
                candidate_id=item.id,
                metric=self.name,
                value=found.value,
                weight=found.weight,
                detail=found.detail if fault is None else {**found.detail, "reason": fault},
                content=self.keys[item.id],
                duration=duration,
                fault=fault,
            )
            for item, found, duration, fault in told
            if item.id not in writer.done
        )

    def finish(self, one_pass: str) -> dict[str, Heard]:
        """All rows by id, in the order of the items; the table is complete then, and made in one pass with others."""
        if self._writer is None:
            return self._rows
        self._writer.append(row for name, row in self._rows.items() if name not in self._writer.done)
        self._writer.sort(item.id for item in self.items)
        self._artefact.parts, self._artefact.one_pass = {}, one_pass
        self._artefact.begin()  # what NAME was is no longer stated, so a kill behind this line costs nothing
        self._artefact.finish(**self._writer.finish())
        return {row.candidate_id: row for row in artefacts.read_rows(self._path, Heard)}
