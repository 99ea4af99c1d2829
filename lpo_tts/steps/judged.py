"""Judges listen to what systems said: one table for each judge and system, kept, and gone on with file by file.

Rows are kept by content. Each carries a hash of its audio, text and voice; where that is another one, the item is judged
again, alone. Blocks are made of all items that lacked a row when the judging began, whatever a run that was killed had
done of them, since the last bits of a judgement depend on who shares its batch. So a run that was killed and goes on gives
the bytes of one that was not.
"""

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from lpo_tts import artefacts, audio, places
from lpo_tts.artefacts import Artefact, RowWriter
from lpo_tts.errors import ArtefactError, os_errors
from lpo_tts.judging import Clip, Panel, voice_copies
from lpo_tts.metrics.base import Metric, needs_voice_copy
from lpo_tts.records import Judgement, Prompt, Score
from lpo_tts.steps.contents import Contents
from lpo_tts.steps.progress import blocks
from lpo_tts.steps.run import Plan

BLOCK = 32  # ours: items that a worker judges between two writes; what a kill may cost, for each worker
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


class Judge(Protocol):
    """One judge: a metric, and of how many items of each system it hears; None = all."""

    @property
    def metric(self) -> Metric:
        """What it measures with."""
        ...

    @property
    def max_candidates(self) -> int | None:
        """At most so many items, the first ones."""
        ...


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


Wavs = Mapping[str, Sequence[Item]]  # system -> what is to be judged of it
Scores = Mapping[tuple[str, str], Mapping[str, Heard]]  # (judge, system) -> item id -> score
Key = tuple[str, str]  # judge, system
Watch = Callable[[float, float], None]  # told seconds of audio that were judged, and those of all that is to be, as they grow


@dataclass(frozen=True)
class JudgeBlock:
    """Items of one system, and who shall hear them now."""

    system: str
    items: tuple[Item, ...]
    judges: tuple[str, ...]
    seconds: float = 0.0


@dataclass(frozen=True)
class Answers:
    """What came of a block: judgements by judge, and of every item its seconds, or why it cannot be read."""

    block: JudgeBlock
    judgements: dict[str, list[Judgement]]
    durations: list[float | None]
    faults: list[str | None]


@dataclass(frozen=True)
class JudgeWorker:
    """Makes the function one worker process applies to blocks; a judge is loaded when its first block comes."""

    metrics: dict[str, Metric]
    device: str
    root: Path

    def __call__(self) -> Callable[[JudgeBlock], Answers]:
        """Nothing is loaded yet."""
        panel = Panel(self.metrics, self.root, self.device, voice_copies(self.root))

        def judge(block: JudgeBlock) -> Answers:
            clips, faults = [], []
            for item in block.items:
                clip, fault = read(item)
                clips.append(clip)
                faults.append(fault)
            durations = [None if clip.audio is None else clip.audio.numel() / clip.sample_rate for clip in clips]
            return Answers(block, panel.judge(clips, block.judges), durations, faults)

        return judge


def read(item: Item) -> tuple[Clip, str | None]:
    """An item with its audio, or without, and why it cannot be read where there is some."""
    clip = Clip(id=item.id, prompt=item.prompt, audio=None, sample_rate=0)
    if not places.exists(item.path):
        return clip, None
    try:
        with os_errors("read", item.path):
            wave, sample_rate = audio.read(item.path)
    except ArtefactError as error:
        return clip, str(error)
    return Clip(id=item.id, prompt=item.prompt, audio=wave, sample_rate=sample_rate), None


def plan(where: Where, name: str, judge: Judge, system: str) -> Plan:
    """One judge's table for one system."""
    named = {"metric": where.identity(judge.metric, Metric), "max_candidates": judge.max_candidates}
    return Plan(where.out / "judgements" / name / f"{system}.jsonl", "evaluate", named)


def judge_all(
    where: Where,
    judges: Mapping[str, Judge],
    wavs: Wavs,
    *,
    asks: Callable[[str, str], bool] = lambda judge, system: True,
    watch: Watch = lambda done, total: None,
) -> Scores:
    """Every judge's scores of every system, kept under judgements/ of the folder of results and reused.

    Args:
        where: the folder of results, and what runs the work.
        judges: by name.
        wavs: items of every system, in the order of the tables.
        asks: whether a judge, by name, is to hear a system.
        watch: told how far the work is.

    Returns:
        Rows by judge and system, then by the item's id in order. Of an item beyond `max_candidates` there is none.
    """
    contents = Contents()
    tables: dict[Key, _Table] = {}
    for system, items in wavs.items():
        for name, judge in judges.items():
            if asks(name, system):
                copies = voice_copies(where.out) if needs_voice_copy(judge.metric) else None
                keys = {item.id: contents.key(item.prompt, item.path, where.out, copies) for item in items}
                own = list(items[: judge.max_candidates])
                tables[name, system] = _Table(where, plan(where, name, judge, system), name, own, keys)
    work = list(_blocks(tables, contents))
    done, total = 0.0, sum(block.seconds for block in work)
    worker = JudgeWorker({name: judge.metric for name, judge in judges.items()}, where.worker_device, where.out)
    if work:
        watch(done, total)
    for answers in where.map(worker, work):
        for name in answers.block.judges:
            tables[name, answers.block.system].add(name, answers)
        done += answers.block.seconds
        watch(done, total)
    one_pass = uuid.uuid4().hex
    return {
        (name, system): tables[name, system].finish(one_pass) for name in judges for system in wavs if (name, system) in tables
    }


def _blocks(tables: Mapping[Key, "_Table"], contents: Contents) -> Iterator[JudgeBlock]:
    """The work: judges of a system that lack the same items hear them together, so that audio is read once."""
    together: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (name, system), table in tables.items():
        together.setdefault((system, tuple(item.id for item in table.fresh)), []).append(name)
    for (system, _), names in together.items():
        for part in blocks(tables[names[0], system].fresh, BLOCK):
            lacking = tuple(name for name in names if tables[name, system].lacks(part))
            if lacking:
                seconds = len(lacking) * sum(contents.look(item.path).seconds for item in part)
                yield JudgeBlock(system, tuple(part), lacking, seconds)


class _Table:
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

    def add(self, name: str, answers: Answers) -> None:
        """Adds the rows that are not there yet, and flushes them."""
        writer = self._writer
        if writer is None:
            return
        told = zip(answers.block.items, answers.judgements[name], answers.durations, answers.faults, strict=True)
        writer.append(
            Heard(
                candidate_id=item.id,
                metric=name,
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
