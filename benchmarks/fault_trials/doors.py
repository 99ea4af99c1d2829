"""The doors of the project, a bad input as a case, and the verdict on what a door said to it."""

import importlib
import os
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from benchmarks.fault_trials.lives import ROOT, Ended, Life
from benchmarks.fault_trials.world import World, main
from lpo_tts.errors import exit_code

LIMIT = 300.0  # seconds; what takes longer hangs
MOST_LINES, LONGEST_LINE = 25, 1500  # ours: a list of problems is one line each, and a line is no dump

REFUSED, COUNTED, MENDED, TAKEN = "refused", "counted", "mended", "taken"  # what a door may do
FAULT = "FAULT"

PROGRAMS = (  # doors that are programs, by module; the rest are verbs of lpo-tts
    "data_prep.folder",
    "data_prep.ljspeech",
    "data_prep.librispeech",
    "data_prep.libritts",
    "data_prep.vctk",
    "data_prep.aishell3",
    "data_prep.common_voice",
    "data_prep.hifi_tts",
    "data_prep.mls",
    "data_prep.ears",
    "data_prep.expresso",
    "data_prep.fsdd",
    "data_prep.seed_tts_eval",
    "data_prep.emilia",
    "data_prep.gigaspeech",
    "data_prep.lhotse_cuts",
    "data_prep.hf_dataset",
    "data_prep.build_pairs",
    "evaluation.evaluate",
    "evaluation.degrade",
    "evaluation.suites",
    "recipes.mini.corpus",
)


Verify = Callable[["Place", Ended], str | None]


class Place:
    """An empty folder in which one case lays out its input, and beside it a run folder, so that paths in its tables hold."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder = world, folder
        self.out = folder.with_name(f"{folder.name}-out")
        self.held: list[IO] = []  # files whose locks the case holds
        self.clear()
        folder.mkdir(parents=True)

    def clear(self) -> None:
        """Removes both, and lets go of what is held."""
        while self.held:
            self.held.pop().close()
        for one in (self.folder, self.out):
            shutil.rmtree(one, ignore_errors=True)

    def file(self, name: str, data: bytes | str = b"") -> Path:
        """Puts a new file there, in the place of one that may be shared with the world's own run."""
        return self._new(self.folder / name, data)

    def _new(self, path: Path, data: bytes | str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink() or path.exists():
            path.unlink()
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    def run_before(self, door: str, arguments: Sequence[Any]) -> int:
        """Runs a command to its end, before the one that is tried; returns its exit code."""
        given = [str(one) for one in arguments]
        return Life(_command(door, given, fresh=False), self.folder / "before").end(LIMIT).code

    def finished(self) -> Path:
        """The world's finished run, as `out`."""
        return self.world.copy(self.out)

    def change(self, name: str, how: Callable[[bytes], bytes | str]) -> Path:
        """A file of the run with other contents."""
        return self._new(self.out / name, how((self.out / name).read_bytes()))

    def put(self, name: str, text: str) -> Path:
        """A file of the run in the place of what is there."""
        return self._new(self.out / name, text)


@dataclass(frozen=True)
class Case:
    """One bad input.

    Attributes:
        door: what it is given to: a verb of lpo-tts, a program of `PROGRAMS`, or `demo`.
        name: what is wrong with it.
        lay: lays it out in a place and returns the arguments; for the demo a function to call.
        verify: for exit 0: says what the door did (COUNTED, MENDED, TAKEN, or FAULT with a reason), or None: it swallowed the
            input.
        reports: the door tells faults as its result on stdout, and then ends with 2: there `verify` is asked, too.
    """

    door: str
    name: str
    lay: Callable[[Place], Any]
    verify: Verify | None = None
    reports: bool = False


@dataclass(frozen=True)
class Verdict:
    """What a door did with a case, why, and the command that shows it."""

    case: Case
    kind: str
    why: str
    command: str


class Trial:
    """A case that was given to its door, in a process of its own."""

    def __init__(self, case: Case, world: World, folder: Path, *, fresh: bool = False) -> None:
        """Lays out the input and starts the command.

        Args:
            case: the bad input.
            world: a finished run and its corpus.
            folder: where it is laid out; what lies there is removed.
            fresh: the command is started as people do, and not forked from a process that has imported everything.
        """
        self.case, self.folder = case, folder
        self.place = Place(world, folder)
        laid = case.lay(self.place)
        if callable(laid):
            self.command, work = case.name, lambda: exit_code("demo", lambda: laid() and None)
        else:
            arguments = [str(one) for one in laid]
            self.command = " ".join([case.door, *arguments])
            work = _command(case.door, arguments, fresh=fresh)
        self.life = Life(work, folder / "output")

    def is_over(self) -> bool:
        """Whether the verdict can be had without waiting."""
        return self.life.has_ended() or self.life.seconds() > LIMIT

    def verdict(self) -> Verdict:
        """Waits for the end and judges; removes what was laid out."""
        kind, why = judge(self.life.end(LIMIT), self.case, self.place)
        witnesses = [path for path in (self.folder / "witness", ROOT / "witness") if path.exists()]
        if witnesses:  # the code in the bad inputs leaves this file
            witnesses[0].unlink()
            kind, why = FAULT, "ran code that came with the data"
        self.place.clear()
        return Verdict(self.case, kind, why, self.command)


def _command(door: str, arguments: Sequence[str], *, fresh: bool) -> Callable[[], int]:
    if not fresh:
        return lambda: importlib.import_module(door).main(arguments) if door in PROGRAMS else main([door, *arguments])
    start = ["-m", door] if door in PROGRAMS else ["-m", "lpo_tts.cli", door]
    return lambda: os.execv(sys.executable, [sys.executable, *start, *arguments])


def judge(ended: Ended, case: Case, place: Place) -> tuple[str, str]:
    """The verdict and its reason."""
    if ended.seconds is None:
        return FAULT, f"hangs: not done after {LIMIT:.0f} s"
    if "Traceback (most recent call last)" in ended.err:
        return FAULT, f"traceback: {ended.err.strip().splitlines()[-1][:300]}"
    if ended.code == 2 and case.reports and ended.out.strip():
        return _done(ended, case, place)
    if ended.code == 2:
        lines = error_lines(ended.err)
        if not lines:
            return FAULT, f"exit 2 without a line that says why: {ended.err[-300:]!r}"
        if len(lines) > MOST_LINES or max(map(len, lines)) > LONGEST_LINE:
            return FAULT, f"a message of {len(lines)} lines and up to {max(map(len, lines))} characters: {lines[0][:200]}"
        return REFUSED, lines[0]
    if ended.code != 0:
        return FAULT, f"exit {ended.code}: {ended.err.strip()[-300:]}"
    if ended.left:
        return FAULT, f"{len(ended.left)} processes were left behind"
    return _done(ended, case, place)


def _done(ended: Ended, case: Case, place: Place) -> tuple[str, str]:
    """What the case's own look at the result says."""
    done = case.verify(place, ended) if case.verify is not None else None
    if done is None:
        return FAULT, f"accepted in silence (exit {ended.code}): {(ended.err + ended.out).strip()[-300:]}"
    if done.startswith(FAULT):
        return FAULT, f"{done.removeprefix(FAULT + ': ')}; {ended.err.strip()[-300:]}"
    return done, ended.err.strip()[-200:]


def error_lines(text: str) -> list[str]:
    """The last message of a command on stderr, `program: what is wrong`, and the lines that belong to it."""
    names = "|".join(map(re.escape, ("error", "lpo-tts", "demo", *(door.rpartition(".")[2] for door in PROGRAMS))))
    starts = [found.start() for found in re.finditer(rf"^(?:{names})(?:\.py)?(?: [\w-]+)?: ", text, re.MULTILINE)]
    return text[starts[-1] :].strip().splitlines() if starts else []


def judging(wavs: Path, rows: Path, out: Path) -> list[str]:
    """Arguments of evaluation.evaluate with the mini recogniser."""
    recogniser = f"mini:model={ROOT}/recipes/mini/checkpoints/asr-train"
    return ["--system", f"new={wavs}", "--list", str(rows), "--out", str(out), "--asr", recogniser, "--num-resamples", "1000"]
