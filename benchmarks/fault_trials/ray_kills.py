"""A run on Ray whose actor, driver or raylet is killed: it goes on, or the same command does, and ends with the same bytes."""

import os
import random
import shutil
import signal
import time
from pathlib import Path

from benchmarks.fault_trials.kills import Tally, account
from benchmarks.fault_trials.lives import Ended, Life
from benchmarks.fault_trials.world import LIMIT, World, main

ENGINE = "engine={name: ray, workers: 2, max_restarts: 5, patience: 20}"
KINDS = {  # what is killed, by the beginning of its command line or a part of it; and the exit codes that may follow
    "an actor": ("ray::Worker", (0,)),
    "the driver": ("", (-signal.SIGKILL,)),
    "the raylet": ("/raylet/raylet", (0, 2)),  # Ray itself ends a driver without its raylet, with 1 and in its own words: a fault
}
PATIENCE = 60.0  # seconds in which Ray ends what a dead driver has left


def run(world: World, campaigns: int, seed: int) -> Tally:
    """Kills `campaigns` runs on Ray, each kind once in the step score or sample, and compares what they end with."""
    world.finish()
    tally, dice = Tally(), random.Random(f"ray kills {seed}")
    out = world.folder / "killed"
    for number in range(campaigns):
        shutil.rmtree(out, ignore_errors=True)
        kinds = dice.sample(["the driver", "the raylet"], 2)
        for kind in [*kinds, "an actor", None]:  # after an actor's death the run goes on to its end
            _live(world, out, tally, kind, dice.uniform(0.0, 2.0), f"campaign {number + 1}, {kind or 'to the end'}")
        tally.campaigns += 1
        account(world, out, tally, f"campaign {number + 1}")
    shutil.rmtree(out, ignore_errors=True)
    return tally


def _live(world: World, out: Path, tally: Tally, kind: str | None, delay: float, name: str) -> None:
    """One life: waits until actors work, then `delay` seconds, and kills."""
    life = Life(lambda: main(world.arguments(out, ENGINE)), world.folder / "output" / "killed")
    tally.lives += 1
    hit = _kill(life, kind, delay) if kind is not None else False
    known = _descendants(life.pid)
    ended = life.end(LIMIT)
    _no_process_left(known, tally, name)
    _judge(ended, kind, hit=hit, tally=tally, name=name)


def _judge(ended: Ended, kind: str | None, *, hit: bool, tally: Tally, name: str) -> None:
    expected = (0,) if kind is None or not hit else KINDS[kind][1]
    if "Traceback" in ended.err or ended.code not in expected:
        tally.faults.append(f"{name}: exit {ended.code}: {ended.err[-600:]}")
    if kind == "an actor" and hit and "takes its place" not in ended.err:
        tally.faults.append(f"{name}: no line tells of the actor's death: {ended.err[-300:]}")
    if ended.code == 2 and not ended.err.strip().splitlines()[-1].startswith("lpo-tts: "):
        tally.faults.append(f"{name}: expected one line, found {ended.err[-600:]}")
    tally.late += kind is not None and not hit
    if hit and kind is not None:
        tally.kills[kind, "run"] += 1


def _kill(life: Life, kind: str, delay: float) -> bool:
    """Whether the process was killed; False where the run ended before."""
    words = KINDS[kind][0]
    while not _of(life.pid, "ray::Worker"):
        if life.has_ended():
            return False
        time.sleep(0.01)
    until = time.monotonic() + delay
    while time.monotonic() < until or (words and not _of(life.pid, words)):
        if life.has_ended():
            return False
        time.sleep(0.01)
    try:
        os.kill(_of(life.pid, words)[0] if words else life.pid, signal.SIGKILL)
    except (ProcessLookupError, IndexError):
        return False
    return True


def _of(pid: int, words: str) -> list[int]:
    """Processes below one whose command line holds some words."""
    return [one for one in _descendants(pid) if words in _command(one)]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _descendants(pid: int) -> list[int]:
    """All processes below one: only these are ever killed."""
    found, waiting = [], [pid]
    while waiting:
        for path in Path(f"/proc/{waiting.pop()}/task").glob("*/children"):
            try:
                children = [int(one) for one in path.read_text().split()]
            except OSError:
                continue
            found += children
            waiting += children
    return found


def _no_process_left(known: list[int], tally: Tally, name: str) -> None:
    """Ray's own processes end with the driver, within some seconds; whatever stays is killed and is a fault."""
    until = time.monotonic() + PATIENCE
    while (left := [pid for pid in known if "ray" in _command(pid)]) and time.monotonic() < until:
        time.sleep(0.1)
    tally.figures["processes left behind"] += len(left)
    if left:
        tally.faults.append(f"{name}: {len(left)} processes stayed for {PATIENCE:.0f} s: {_command(left[0])[:100]}")
    for pid in left:
        os.kill(pid, signal.SIGKILL)


def table(tally: Tally) -> list[str]:
    """The tally as lines."""
    kills = ", ".join(f"{kind} ({tally.kills[kind, 'run']})" for kind in KINDS)
    return [
        f"{tally.campaigns} campaigns, {tally.lives} lives, killed: {kills}; {tally.late} came too late",
        "; ".join(f"{name} {count}" for name, count in tally.figures.items()),
    ]
