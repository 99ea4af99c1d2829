"""Kill campaigns: a run is killed again and again at random moments, started again, and must end with the same bytes."""

import os
import random
import shutil
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from benchmarks.fault_trials.lives import CHECKS, STEPS, Ended, Life, Stage
from benchmarks.fault_trials.world import LIMIT, World, compare, first_difference, main, rows

KINDS = {
    "SIGKILL of the group": "memory ran out, or the job's end on a cluster",
    "SIGKILL of main": "the main process alone; its workers must notice",
    "SIGKILL of a worker": "one worker process; main must say so in one line",
    "SIGINT": "Ctrl-C",
    "SIGTERM": "kill, or a scheduler's warning",
}
KILLS_OF_A_CAMPAIGN = 6
ENDS = {  # exit codes after a kill of the kind; 0: it came too late
    "SIGKILL of the group": (-signal.SIGKILL,),
    "SIGKILL of main": (-signal.SIGKILL,),
    "SIGKILL of a worker": (2,),
    "SIGINT": (130,),
    "SIGTERM": (-signal.SIGTERM,),
}


@dataclass
class Tally:
    """What the campaigns came to; `faults` is empty when all is well."""

    campaigns: int = 0
    lives: int = 0
    late: int = 0
    kills: Counter[tuple[str, str]] = field(default_factory=Counter)  # (kind, step) -> kills
    figures: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def run(world: World, campaigns: int, seed: int) -> Tally:
    """Kills `campaigns` runs of the world's recipe, each up to six times, and compares what they end with."""
    world.finish()
    tally, dice, stage = Tally(), random.Random(f"kills {seed}"), Stage()
    out = world.folder / "killed"
    durations = _durations(world)
    deck: list[str] = []
    for number in range(campaigns):
        shutil.rmtree(out, ignore_errors=True)
        for life in range(KILLS_OF_A_CAMPAIGN + 1):
            if not deck:
                deck = random.Random(f"{seed} {number} {life}").sample(list(KINDS), len(KINDS))
            kind = deck.pop() if life < KILLS_OF_A_CAMPAIGN else None
            where = dice.choice([*STEPS, None, None, None])
            if _live(world, out, tally, stage, kind, _moment(dice, where, durations), f"campaign {number + 1}, life {life + 1}"):
                break
        tally.campaigns += 1
        account(world, out, tally, f"campaign {number + 1}")
        print(f"campaign {number + 1} of {campaigns}: {sum(tally.kills.values())} kills, {len(tally.faults)} faults", flush=True)
    shutil.rmtree(out, ignore_errors=True)
    return tally


def _durations(world: World) -> dict[str, float]:
    """Seconds of every step of the uninterrupted run, from its side-cars, and of the whole."""
    import json

    found = dict.fromkeys(STEPS, 0.05)
    for path in world.whole.rglob("*.meta.json"):
        meta = json.loads(path.read_text(encoding="utf-8"))
        found[meta["verb"]] = max(found[meta["verb"]], meta["seconds"])
    return {**found, "": max(world.seconds, sum(found.values()))}


def _moment(dice: random.Random, step: str | None, durations: dict[str, float]) -> tuple[str | None, float]:
    """When to kill: so many seconds after a step began, or after the checks did."""
    return step, dice.uniform(0, durations[step or ""])


def _live(
    world: World, out: Any, tally: Tally, stage: Stage, kind: str | None, moment: tuple[str | None, float], name: str
) -> bool:
    """One life of a run; returns whether it ended by itself."""
    stage.set("")

    def work() -> int:
        stage.watch()
        return main(world.arguments(out))

    life = Life(work, world.folder / "output" / "killed")
    tally.lives += 1
    hit = _kill(life, kind, stage, *moment) if kind else None
    ended = life.end(LIMIT)
    tally.figures["processes left behind"] += len(ended.left)
    if ended.left:
        tally.faults.append(f"{name}: {len(ended.left)} processes were left after {kind}")
    if "Traceback" in ended.err:
        tally.faults.append(f"{name}: traceback after {kind} in {hit}: {ended.err[-300:]}")
        tally.figures["tracebacks"] += 1
    if ended.code == 0:
        tally.late += hit is not None
        return True
    if kind is None or hit is None or ended.code not in ENDS[kind]:
        tally.faults.append(f"{name}: exit {ended.code} after {kind} in {hit}: {ended.err[-300:]}")
        return kind is None
    _check_words(kind, ended, tally, name)
    tally.kills[kind, hit] += 1
    return False


def _kill(life: Life, kind: str, stage: Stage, step: str | None, delay: float) -> str | None:
    """Waits for the moment and kills; returns the step that was hit, None when the run ended before."""
    order = ["", CHECKS, *STEPS]
    first = order.index(step or CHECKS)
    while order.index(stage.get()) < first:
        if life.has_ended():
            return None
        time.sleep(0.0005)
    until = time.monotonic() + delay
    while time.monotonic() < until or (kind == "SIGKILL of a worker" and not life.children()):
        if life.has_ended():
            return None
        time.sleep(0.0005)
    hit = stage.get()
    try:
        if kind == "SIGKILL of the group":
            os.killpg(life.pid, signal.SIGKILL)
        elif kind == "SIGKILL of a worker":
            os.kill(random.Random(delay).choice(life.children() or [life.pid]), signal.SIGKILL)
        elif kind == "SIGINT":
            os.killpg(life.pid, signal.SIGINT)  # a terminal sends it to the whole group
        else:
            os.kill(life.pid, signal.SIGKILL if kind == "SIGKILL of main" else signal.SIGTERM)
    except ProcessLookupError:
        return None
    return hit


def _check_words(kind: str, ended: Ended, tally: Tally, name: str) -> None:
    """Ctrl-C and a dead worker are said in one line."""
    words = {"SIGINT": "interrupted; the same command goes on where it was", "SIGKILL of a worker": "died with exit code -9"}
    wanted = words.get(kind)
    if wanted is not None and wanted not in (ended.err.strip().splitlines() or [""])[-1]:
        tally.faults.append(f"{name}: after {kind} expected a line with {wanted!r}, found {ended.err[-300:]!r}")


def account(world: World, out: Any, tally: Tally, name: str) -> None:
    """Compares a run that was killed with the one that was not."""
    found = compare(world.whole, out)
    expected, there = rows(world.whole), rows(out)
    lost = sum((expected - there).values())
    doubled = sum((there - expected).values())
    tally.figures["files compared"] += len(found["differ"]) + sum(1 for one in world.whole.rglob("*") if one.is_file())
    tally.figures["files that differ"] += len(found["differ"])
    tally.figures["files missing"] += len(found["missing"])
    tally.figures["stray files"] += len(found["stray"])
    tally.figures["rows compared"] += sum(expected.values())
    tally.figures["rows lost"] += lost
    tally.figures["rows doubled"] += doubled
    for what, names in found.items():
        if names:
            shown = f"; {first_difference(world.whole, out, names[0])}" if what == "differ" else ""
            tally.faults.append(f"{name}: {len(names)} files {what}: {', '.join(names[:5])}{shown}")
    if lost or doubled:
        tally.faults.append(f"{name}: {lost} rows lost, {doubled} doubled")


def table(tally: Tally) -> list[str]:
    """The tally as lines: kills by kind and step, and the figures."""
    steps = (CHECKS, *STEPS)
    lines = [
        f"{tally.campaigns} campaigns, {tally.lives} lives, {sum(tally.kills.values())} kills, {tally.late} came too late",
        "",
    ]
    lines.append("| killed by | " + " | ".join(steps) + " | all |")
    lines.append("|---|" + "---|" * (len(steps) + 1))
    for kind in (*KINDS, None):
        counts = [sum(count for (one, at), count in tally.kills.items() if kind in (None, one) and at == step) for step in steps]
        lines.append(f"| {kind or 'all'} | " + " | ".join(map(str, counts)) + f" | {sum(counts)} |")
    lines += ["", "; ".join(f"{name} {count}" for name, count in tally.figures.items())]
    return lines
