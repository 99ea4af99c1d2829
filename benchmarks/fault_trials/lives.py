"""A command as a process of its own group, forked from one that has imported everything, so that trials cost no start-up."""

import atexit
import ctypes
import importlib
import mmap
import multiprocessing.util
import os
import signal
import sys
import time
import traceback
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lpo_tts.steps import STEPS

ROOT = Path(__file__).resolve().parents[2]
PR_SET_PDEATHSIG = 1  # of linux/prctl.h
CHECKS = "checks"  # before the first step works


def import_everything() -> None:
    """Loads what the commands need, without computing anything: a process that has threads must not be forked."""
    import jiwer  # noqa: F401
    import speechbrain.inference.speaker  # noqa: F401
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, Trainer  # noqa: F401

    from lpo_tts import cli, pipeline, recipe  # noqa: F401
    from lpo_tts.training import run  # noqa: F401

    torch.set_num_threads(1)


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes:
        code: exit code, or minus the signal.
        out, err: what it wrote.
        seconds: it took; None where it was killed for taking too long.
        left: processes of its group that were still there some seconds later.
    """

    code: int
    out: str
    err: str
    seconds: float | None
    left: tuple[int, ...] = ()


class Stage:
    """Which step a process is in, in memory that both sides of a fork see."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 16)

    def set(self, name: str) -> None:
        """Notes a step."""
        self._memory[:] = name.encode().ljust(16, b"\0")

    def get(self) -> str:
        """The step that was noted last; empty before the first one."""
        return bytes(self._memory[:]).rstrip(b"\0").decode()

    def watch(self) -> None:
        """From here on the steps of this process note themselves."""
        recipe = importlib.import_module("lpo_tts.recipe")
        recipe.load = self._noted(CHECKS, recipe.load)
        for name in STEPS:
            step = importlib.import_module(f"lpo_tts.steps.{name}")
            step.execute = self._noted(name, step.execute)

    def _noted(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any, **keywords: Any) -> Any:
            self.set(name)
            return work(*arguments, **keywords)

        return noted


class Life:
    """One process that runs a function, begun and not yet ended; its output goes to files."""

    def __init__(self, work: Callable[[], int | None], output: Path, cwd: Path = ROOT) -> None:
        output.mkdir(parents=True, exist_ok=True)
        self.paths = output / "out.txt", output / "err.txt"
        self.started = time.monotonic()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            self._live(work, cwd)
        self._status: int | None = None

    def _live(self, work: Callable[[], int | None], cwd: Path) -> None:
        code = 1
        try:
            _forget_what_the_parent_does_at_its_end()
            os.setsid()
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # a trial that is killed leaves nothing behind
            os.chdir(cwd)
            for number, path in enumerate((Path(os.devnull), *self.paths)):
                os.dup2(os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
            code = work() or 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:  # noqa: BLE001 - what Python does with an exception that nobody caught
            traceback.print_exc()
        finally:
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def has_ended(self) -> bool:
        """Looks, without waiting."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._status = os.waitstatus_to_exitcode(status) if pid else None
        return self._status is not None

    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self.started

    def children(self) -> list[int]:
        """Its processes of the first generation, its workers."""
        try:
            return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]
        except OSError:
            return []

    def end(self, limit: float, patience: float = 10.0) -> Ended:
        """Waits, kills what takes longer than `limit` seconds, and looks for processes that stay for `patience` seconds."""
        while not self.has_ended() and time.monotonic() - self.started < limit:
            time.sleep(0.002)
        seconds = time.monotonic() - self.started if self.has_ended() else None
        if seconds is None:
            os.killpg(self.pid, signal.SIGKILL)
        until = time.monotonic() + patience
        while not self.has_ended() or (group(self.pid) and time.monotonic() < until):
            time.sleep(0.01)
        left = tuple(group(self.pid))
        if left:
            os.killpg(self.pid, signal.SIGKILL)
        out, err = (path.read_text(encoding="utf-8", errors="replace") if path.exists() else "" for path in self.paths)
        return Ended(self._status or 0, out, err, seconds, left)


def _forget_what_the_parent_does_at_its_end() -> None:
    """Leaves a forked process the exit functions it registers itself: the parent's would remove folders that it still uses."""
    atexit._clear()
    for one in list(weakref.finalize._registry):  # pyright: ignore[reportAttributeAccessIssue]
        one.detach()
    weakref.finalize._registered_with_atexit = False  # pyright: ignore[reportAttributeAccessIssue]
    atexit.register(multiprocessing.util._exit_function)  # pyright: ignore[reportAttributeAccessIssue]


def group(number: int) -> list[int]:
    """Living processes of a process group."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # gone in the meantime
            continue
        if int(fields[2]) == number and fields[0] not in "ZX":
            found.append(int(path.parent.name))
    return found
