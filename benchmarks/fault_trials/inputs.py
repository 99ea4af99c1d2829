"""Bad inputs at every door: each is refused in one line, counted with its reason, or mended; anything else is a fault."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from fault_trials import bad_audio, bad_lists, bad_settings, bad_tables
from fault_trials.doors import COUNTED, FAULT, MENDED, PROGRAMS, REFUSED, TAKEN, Case, Verdict, examine, reset
from fault_trials.world import Problem, World, contents

KINDS = (REFUSED, COUNTED, MENDED, TAKEN, FAULT)


def all_cases(only: str = "") -> list[Case]:
    """Every case whose door or name holds a word."""
    found = [case for one in (bad_settings, bad_tables, bad_audio, bad_lists) for case in one.cases()]
    return [case for case in found if only in case.door or only in case.name]


def run(world: World, cases: Sequence[Case]) -> Iterator[Verdict]:
    """Gives every case to its door; the first one of each door is started as people do, the others are forked."""
    started: set[str] = set()
    before = None
    for case in cases:
        folder = reset(world.folder / "case")
        yield examine(case, world, folder, fresh=case.door not in started and case.door != "demo")
        started.add(case.door)
        if before is None and world.seconds:
            before = contents(world.whole)
    reset(world.folder / "case")
    if before is not None and contents(world.whole) != before:
        raise Problem("a case has changed the world's own run; the verdicts after it mean nothing")


def table(verdicts: Sequence[Verdict]) -> list[str]:
    """Counts by door."""
    counts = Counter((one.case.door, one.kind) for one in verdicts)
    doors = sorted({one.case.door for one in verdicts}, key=lambda door: (door in PROGRAMS or door == "demo", door))
    lines = ["| door | tried | " + " | ".join(KINDS) + " |", "|---|" + "---|" * (len(KINDS) + 1)]
    for door in doors:
        row = [counts[door, kind] for kind in KINDS]
        lines.append(f"| {door} | {sum(row)} | " + " | ".join(map(str, row)) + " |")
    every = [sum(counts[door, kind] for door in doors) for kind in KINDS]
    return [*lines, f"| all | {sum(every)} | " + " | ".join(map(str, every)) + " |"]
