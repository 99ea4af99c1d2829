"""Judges listen to what systems said: one table for each judge and system, kept, and gone on with file by file.

Rows are kept by content. Each carries a hash of its audio, text and voice; where that is another one, the item is judged
again, alone.

The last bits of a judgement depend on who shares its batch, so blocks depend on nothing but the items that lacked a row
when the judging began, in the order of the list and by their lengths. What a run that was killed had done of them does not
matter, and neither does the number of workers. So a run that goes on gives the bytes of one that was not killed. Items that
are judged again later, because their audio is another one, share other batches: their values agree to float32's last digits.
"""

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lpo_tts import audio, places
from lpo_tts.batches import of_like_length
from lpo_tts.errors import ArtefactError, os_errors
from lpo_tts.judging import Clip, Panel, voice_copies
from lpo_tts.metrics.base import Metric, needs_voice_copy
from lpo_tts.records import Judgement
from lpo_tts.steps.contents import Contents
from lpo_tts.steps.judged_table import Heard, Item, Table, Where
from lpo_tts.steps.progress import blocks
from lpo_tts.steps.run import Plan

BLOCK = 32  # ours: items that a worker judges between two writes; what a kill may cost, for each worker
READING = "reading"  # the stage in which audio is decoded
WINDOW = 512  # ours: items that are sorted by length; those of one prompt, which share a voice, stay near each other


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
    """What came of a block.

    Attributes:
        block: the work.
        judgements: by judge.
        durations: seconds of every item's audio.
        faults: why it cannot be read, of every item.
        spent: seconds by stage: READING, and each judge with the loading of its model and of voices.
    """

    block: JudgeBlock
    judgements: dict[str, list[Judgement]]
    durations: list[float | None]
    faults: list[str | None]
    spent: dict[str, float]


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
            start = time.perf_counter()
            together = [read(item) for item in block.items]
            clips, faults = [clip for clip, _ in together], [fault for _, fault in together]
            spent = {READING: time.perf_counter() - start}
            found = {}
            with audio.resampled_once():
                for name in block.judges:
                    start = time.perf_counter()
                    found |= panel.judge(clips, [name])
                    spent[name] = time.perf_counter() - start
            durations = [None if clip.audio is None else clip.audio.numel() / clip.sample_rate for clip in clips]
            return Answers(block, found, durations, faults, spent)

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
    spent: dict[str, float] | None = None,
) -> Scores:
    """Every judge's scores of every system, kept under judgements/ of the folder of results and reused.

    Args:
        where: the folder of results, and what runs the work.
        judges: by name.
        wavs: items of every system, in the order of the tables.
        asks: whether a judge, by name, is to hear a system.
        watch: told how far the work is.
        spent: is given the seconds of all workers by stage (`Answers.spent`).

    Returns:
        Rows by judge and system, then by the item's id in order. Of an item beyond `max_candidates` there is none.
    """
    contents = Contents()
    tables: dict[Key, Table] = {}
    for system, items in wavs.items():
        for name, judge in judges.items():
            if asks(name, system):
                copies = voice_copies(where.out) if needs_voice_copy(judge.metric) else None
                keys = {item.id: contents.key(item.prompt, item.path, where.out, copies) for item in items}
                own = list(items[: judge.max_candidates])
                tables[name, system] = Table(where, plan(where, name, judge, system), name, own, keys)
    work = _blocks(tables, contents)
    done, total = 0.0, sum(block.seconds for block in work)
    worker = JudgeWorker({name: judge.metric for name, judge in judges.items()}, where.worker_device, where.out)
    if work:
        watch(done, total)
    for answers in where.map(worker, work):
        if spent is not None:
            spent.update({stage: spent.get(stage, 0.0) + seconds for stage, seconds in answers.spent.items()})
        for name in answers.block.judges:
            table = tables[name, answers.block.system]
            table.add(answers.block.items, answers.judgements[name], answers.durations, answers.faults)
        done += answers.block.seconds
        watch(done, total)
    one_pass = uuid.uuid4().hex
    return {
        (name, system): tables[name, system].finish(one_pass) for name in judges for system in wavs if (name, system) in tables
    }


def _blocks(tables: Mapping[Key, "Table"], contents: Contents) -> list[JudgeBlock]:
    """The work, longest blocks first, so that no worker waits long for the last one.

    Judges of a system that lack the same items hear them together, so that audio is read once. A block holds items of like
    length, so that little is spent on padding.
    """
    together: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (name, system), table in tables.items():
        together.setdefault((system, tuple(item.id for item in table.fresh)), []).append(name)
    found = []
    for (system, _), names in together.items():
        for window in blocks(tables[names[0], system].fresh, WINDOW):
            seconds = [contents.seconds(item.path) for item in window]
            for batch in of_like_length(seconds, BLOCK):
                part = tuple(window[place] for place in batch)
                lacking = tuple(name for name in names if tables[name, system].lacks(part))
                if lacking:
                    found.append(JudgeBlock(system, part, lacking, len(lacking) * sum(seconds[place] for place in batch)))
    return sorted(found, key=lambda block: -block.seconds)
