"""Bad inputs at every door: each is refused in one line, counted with its reason, or mended; anything else is a fault."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence

from benchmarks.fault_trials import (
    bad_archives,
    bad_audio,
    bad_corpora,
    bad_engines,
    bad_evaluations,
    bad_exchange,
    bad_lists,
    bad_manifests,
    bad_parquet,
    bad_reports,
    bad_runs,
    bad_settings,
)
from benchmarks.fault_trials.doors import COUNTED, FAULT, MENDED, PROGRAMS, REFUSED, TAKEN, Case, Trial, Verdict
from benchmarks.fault_trials.world import Problem, World, contents

MODULES = (
    bad_settings,
    bad_manifests,
    bad_runs,
    bad_audio,
    bad_lists,
    bad_corpora,
    bad_archives,
    bad_parquet,
    bad_exchange,
    bad_engines,
    bad_evaluations,
    bad_reports,
)
KINDS = (REFUSED, COUNTED, MENDED, TAKEN, FAULT)


def all_cases(only: str = "") -> list[Case]:
    """Every case whose door or name holds a word."""
    found = [case for one in MODULES for case in one.cases()]
    return [case for case in found if only in case.door or only in case.name]


def run(world: World, cases: Sequence[Case], at_once: int = 2) -> Iterator[Verdict]:
    """Gives every case to its door; the first one of each door is started as people do, the others are forked."""
    started: set[str] = set()
    before = None
    going: list[Trial] = []
    waiting = list(enumerate(cases))
    while waiting or going:
        if waiting and len(going) < at_once:
            number, case = waiting.pop(0)
            fresh = case.door not in started and case.door != "demo"
            started.add(case.door)
            going.append(Trial(case, world, world.folder / f"case-{number}", fresh=fresh))
            if before is None and world.seconds:  # the first case that needs the run has made it
                before = contents(world.whole)
        over = [trial for trial in going if trial.is_over()]
        for trial in over:
            going.remove(trial)
            yield trial.verdict()
        if not over:
            time.sleep(0.002)
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
