"""Programs killed half-way again and again: a manifest, an import, copies, an evaluation; all end with the same bytes."""

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.fault_trials import bad_exchange
from benchmarks.fault_trials.bad_audio import put_tone
from benchmarks.fault_trials.doors import judging
from benchmarks.fault_trials.kills import Tally
from benchmarks.fault_trials.lives import Life
from benchmarks.fault_trials.world import LIMIT, World, compare, first_difference, main
from data_prep import folder
from evaluation import degrade, evaluate
from lpo_tts.files import read_rows, write_rows
from lpo_tts.records import Utterance

RECORDINGS, KILLS = 400, 4


def run(world: World, campaigns: int, seed: int) -> Tally:
    """Kills each `KILLS` times at random moments of their work, ends them, and compares with one that was left alone."""
    tally, dice = Tally(), random.Random(f"program kills {seed}")
    for name, work in _programs(world).items():
        whole, killed = (world.folder / f"{name}-{kind}" for kind in ("whole", "killed"))
        for one in (whole, killed):
            shutil.rmtree(one, ignore_errors=True)
        seconds = _end(world, work, whole, tally, name)
        for number in range(campaigns * KILLS):
            if number % KILLS == 0:
                shutil.rmtree(killed, ignore_errors=True)
            life = Life(lambda work=work, killed=killed: work(killed), world.folder / "output" / name)
            tally.lives += 1
            until = time.monotonic() + dice.uniform(0, seconds)
            while time.monotonic() < until and not life.has_ended():
                time.sleep(0.001)
            hit = not life.has_ended()
            if hit:
                os.killpg(life.pid, signal.SIGKILL)
            life.end(LIMIT)
            tally.kills[name, "work"] += hit
            tally.late += not hit
            if number % KILLS == KILLS - 1:
                _end(world, work, killed, tally, name)
                tally.campaigns += 1
                _account(whole, killed, tally, name)
        shutil.rmtree(killed, ignore_errors=True)
    return tally


def _programs(world: World) -> dict[str, Callable[[Path], int]]:
    raw = world.folder / "many"
    for number in range(RECORDINGS):
        put_tone(raw / f"{number:04d}.wav", 0.6 + number / 1000)
        (raw / f"{number:04d}.txt").write_text(f"sentence {number}")
    exported = bad_exchange.exported(world)
    manifest, listed = world.corpus / "manifest.jsonl", world.folder / "list.jsonl"
    rows = read_rows(manifest, Utterance)
    write_rows(listed, [{"id": row.id, "text": row.text} for row in rows])
    return {
        "manifest": lambda out: folder.main([str(raw), "--out", str(out / "m.jsonl")]),
        "import": lambda out: main(world.arguments(out, "--from", str(exported), verb="import")),
        "copies": lambda out: degrade.main(["--list", str(manifest), "--out", str(out)]),
        "evaluation": lambda out: evaluate.main(judging(world.corpus / "audio", listed, out)),
    }


def _end(world: World, work: Callable[[Path], int], out: Path, tally: Tally, name: str) -> float:
    """Lets it end; returns the seconds."""
    ended = Life(lambda: work(out), world.folder / "output" / name).end(LIMIT)
    tally.lives += 1
    if ended.code or "Traceback" in ended.err:
        tally.faults.append(f"{name}: exit {ended.code}: {ended.err[-400:]}")
    return ended.seconds or 0.0


def _account(whole: Path, killed: Path, tally: Tally, name: str) -> None:
    found = compare(whole, killed)
    tally.figures["files compared"] += sum(1 for one in whole.rglob("*") if one.is_file())
    for what, names in found.items():
        tally.figures[f"files {what}"] += len(names)
        if names:
            shown = f"; {first_difference(whole, killed, names[0])}" if what == "differ" else ""
            tally.faults.append(f"{name}: {len(names)} files {what}: {', '.join(names[:5])}{shown}")


def table(tally: Tally) -> list[str]:
    """The tally as lines."""
    kills = ", ".join(f"{name} ({count})" for (name, _), count in tally.kills.items())
    return [
        f"{tally.campaigns} campaigns, {tally.lives} lives, killed during: {kills}; {tally.late} came too late",
        "; ".join(f"{name} {count}" for name, count in tally.figures.items()),
    ]
