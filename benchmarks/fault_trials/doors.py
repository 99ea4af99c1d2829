"""The doors of the project, a bad input as a case, and the verdict on what a door said to it."""

import os
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fault_trials.lives import ROOT, Ended, Life, module
from fault_trials.world import World, main
from lpo_tts.errors import exit_code

LIMIT = 300.0  # seconds; what takes longer hangs
MOST_LINES, LONGEST_LINE = 25, 1500  # ours: a list of problems is one line each, and a line is no dump

REFUSED, COUNTED, MENDED, TAKEN = "refused", "counted", "mended", "taken"  # what a door may do
FAULT = "FAULT"

PROGRAMS = {  # door -> folder and module of its program; the rest are verbs of lpo-tts
    "folder.py": ("data_prep", "folder"),
    "ljspeech.py": ("data_prep", "ljspeech"),
    "librispeech.py": ("data_prep", "librispeech"),
    "build_pairs.py": ("data_prep", "build_pairs"),
    "evaluate.py": ("evaluation", "evaluate"),
    "checkpoints.py": ("evaluation", "checkpoints"),
    "corpus.py": ("recipes/mini", "corpus"),
}


Verify = Callable[["Place", Ended], str | None]


class Place:
    """An empty folder in which one case lays out its input."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder = world, folder
        self.out = folder / "out"
        folder.mkdir(parents=True)

    def file(self, name: str, data: bytes | str = b"") -> Path:
        """Puts a new file there, in the place of one that may be shared with the world's own run."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink() or path.exists():
            path.unlink()
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    def finished(self) -> Path:
        """The world's finished run, as `out`."""
        return self.world.copy(self.out)

    def change(self, name: str, how: Callable[[bytes], bytes | str]) -> Path:
        """A file of the run with other contents."""
        return self.file(f"out/{name}", how((self.out / name).read_bytes()))


@dataclass(frozen=True)
class Case:
    """One bad input.

    Attributes:
        door: what it is given to: a verb of lpo-tts, a program of `PROGRAMS`, or `demo`.
        name: what is wrong with it.
        lay: lays it out in a place and returns the arguments; for the demo a function to call.
        verify: for exit 0: says what the door did (COUNTED, MENDED, TAKEN, or FAULT with a reason), or None: it swallowed the
            input.
    """

    door: str
    name: str
    lay: Callable[[Place], Any]
    verify: Verify | None = None


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
        shutil.rmtree(folder, ignore_errors=True)
        self.place = Place(world, folder)
        laid = case.lay(self.place)
        if callable(laid):
            self.command, work = case.name, lambda: exit_code("demo", laid)
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
        shutil.rmtree(self.folder, ignore_errors=True)
        return Verdict(self.case, kind, why, self.command)


def _command(door: str, arguments: Sequence[str], *, fresh: bool) -> Callable[[], int]:
    if not fresh:
        return lambda: module(*PROGRAMS[door]).main(arguments) if door in PROGRAMS else main([door, *arguments])
    start = ["-m", "lpo_tts.cli", door] if door not in PROGRAMS else ["/".join(PROGRAMS[door]) + ".py"]
    return lambda: os.execv(sys.executable, [sys.executable, *start, *arguments])


def judge(ended: Ended, case: Case, place: Place) -> tuple[str, str]:
    """The verdict and its reason."""
    if ended.seconds is None:
        return FAULT, f"hangs: not done after {LIMIT:.0f} s"
    if "Traceback (most recent call last)" in ended.err:
        return FAULT, f"traceback: {ended.err.strip().splitlines()[-1][:300]}"
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
    done = case.verify(place, ended) if case.verify is not None else None
    if done is None:
        return FAULT, f"accepted in silence (exit 0): {(ended.err + ended.out).strip()[-300:]}"
    if done.startswith(FAULT):
        return FAULT, f"{done.removeprefix(FAULT + ': ')}; {ended.err.strip()[-300:]}"
    return done, ended.err.strip()[-200:]


def error_lines(text: str) -> list[str]:
    """The last message of a command on stderr, `program: what is wrong`, and the lines that belong to it."""
    names = "|".join(map(re.escape, ("error", "lpo-tts", "demo", *(name for _, name in PROGRAMS.values()))))
    starts = [found.start() for found in re.finditer(rf"^(?:{names})(?:\.py)?(?: [\w-]+)?: ", text, re.MULTILINE)]
    return text[starts[-1] :].strip().splitlines() if starts else []


def judging(place: Place | World, wavs: Path, rows: Path, *more: str) -> list[str]:
    """Arguments of evaluate.py with the mini recogniser."""
    recogniser = f"mini:model={ROOT}/recipes/mini/checkpoints/asr-train"
    return ["--wavs", str(wavs), "--list", str(rows), "--out", str(place.folder / "report"), "--asr", recogniser, *more]
