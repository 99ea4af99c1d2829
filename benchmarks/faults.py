"""What happens to a run that is killed, to bad input at every door, on a full disk, and in a folder that is read-only.

    python -m benchmarks.faults                     all trials
    python -m benchmarks.faults kills --runs 20     more campaigns
    python -m benchmarks.faults inputs --only table the inputs whose door or name holds this word

Prints what was tried and the counts (docs/reliability.md has them); the exit status is 1 when there was a fault.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType

# Before torch: the last bits of sums depend on it, and forked processes must have no threads.
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
os.environ.update({"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"})  # no hub is asked for parts that are nowhere

if not __package__:  # run by its path: the modules beside it are not found
    print("run it as a module, from the checkout: python -m benchmarks.faults", file=sys.stderr)
    sys.exit(2)

from benchmarks.fault_trials import inputs, kills, mounts, program_kills, ray_kills
from benchmarks.fault_trials.lives import import_everything
from benchmarks.fault_trials.world import LEFT_OUT, TIMES, Problem, World

TRIALS = ("kills", "ray", "programs", "inputs", "disk", "readonly")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: 0 when nothing was wrong, 1 when there was a fault, 2 when the trial could not be made."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trial", nargs="?", choices=(*TRIALS, "all"), default="all")
    parser.add_argument("--runs", type=int, default=8, help="kill campaigns (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    parser.add_argument("--only", default="", help="inputs: those whose door or name holds this word")
    parser.add_argument("--out", type=Path, help="folder to work in, kept (default: a temporary one, removed)")
    options = parser.parse_args(arguments)
    folder = options.out or Path(tempfile.mkdtemp(prefix="faults-"))
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    try:
        faults = _trials(options, World(folder))
    except Problem as problem:
        print(f"faults: {problem}", file=sys.stderr)
        return 2
    finally:
        if options.out is None:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"\n{len(faults)} faults in {time.monotonic() - started:.0f} s")
    for fault in faults:
        print(f"FAULT {fault}")
    return 1 if faults else 0


def _trials(options: argparse.Namespace, world: World) -> list[str]:
    """Runs what was asked for; returns the faults."""
    wanted = TRIALS if options.trial == "all" else (options.trial,)
    import_everything()
    world.make()
    faults = []
    for name in wanted:
        print(f"\n## {name}\n", flush=True)
        faults += _TRIALS[name](options, world)
    return faults


def _kills(options: argparse.Namespace, world: World) -> list[str]:
    tally = kills.run(world, options.runs, options.seed)
    print("\n".join(kills.table(tally)))
    print(f"compared without {', '.join(sorted(TIMES))}; left out: {'; '.join(f'{k} ({v})' for k, v in LEFT_OUT.items())}")
    return tally.faults


def _other_kills(trial: ModuleType, options: argparse.Namespace, world: World) -> list[str]:
    tally = trial.run(world, options.runs, options.seed)
    print("\n".join(trial.table(tally)))
    return tally.faults


def _inputs(options: argparse.Namespace, world: World) -> list[str]:
    verdicts = []
    log = world.folder / "inputs.tsv"
    with log.open("w", encoding="utf-8") as file:
        for one in inputs.run(world, inputs.all_cases(options.only)):
            verdicts.append(one)
            file.write(f"{one.case.door}\t{one.case.name}\t{one.kind}\t{one.why!r}\t{one.command!r}\n")
            file.flush()
    print("\n".join(inputs.table(verdicts)))
    return [f"{one.case.door}, {one.case.name}: {one.why}\n      {one.command!r}" for one in verdicts if one.kind == inputs.FAULT]


def _mounts(trial: Callable[[World], mounts.Tally], world: World) -> list[str]:
    tally = trial(world)
    if tally.skipped:
        print(f"skipped: this user may not mount ({tally.skipped})")
        return []
    print("\n".join(tally.lines))
    print(f"\n{tally.tried} commands tried, {tally.refused} refused in one line, {len(tally.faults)} faults")
    return tally.faults


_TRIALS = {
    "kills": _kills,
    "ray": partial(_other_kills, ray_kills),
    "programs": partial(_other_kills, program_kills),
    "inputs": _inputs,
    "disk": lambda options, world: _mounts(mounts.full_disk, world),
    "readonly": lambda options, world: _mounts(mounts.read_only, world),
}

if __name__ == "__main__":
    sys.exit(main())
