"""Watches a run from outside: memory and CPU time of its processes, rows on the disk, and a worker that is killed on the way."""

import contextlib
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

PAUSE = 0.5  # seconds between two looks
MIB = 2**20


@dataclass
class Look:
    """What was there at one moment.

    Attributes:
        seconds: since the first command was started; time between commands does not count.
        cpu: seconds that all processes have computed.
        rows: stage -> rows on the disk.
    """

    seconds: float
    cpu: float
    rows: dict[str, float]


@dataclass
class Watched:
    """What a run did, over all its commands.

    Attributes:
        looks: in order of time.
        peaks: role of a process -> the most memory that one of its kind held, MiB, pages shared with others included.
        processes: role -> how many there were.
        killed: stage -> its row at which a worker was killed.
        exits: exit status of every command.
    """

    looks: list[Look] = field(default_factory=list)
    peaks: dict[str, float] = field(default_factory=dict)
    processes: Counter[str] = field(default_factory=Counter)
    killed: dict[str, float] = field(default_factory=dict)
    exits: list[int] = field(default_factory=list)
    _cpu: dict[tuple[int, float], float] = field(default_factory=dict)
    _before: float = 0.0

    def run(self, command: Sequence[str], log: Path, rows: Callable[[], dict[str, float]], killing: dict[str, float]) -> int:
        """Runs a command to its end; returns its exit status.

        Args:
            command: what to run.
            log: gets what it says.
            rows: tells the rows of every stage.
            killing: stage -> number of rows at which a worker is killed; those that were are taken out.
        """
        with log.open("a") as said:
            process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
        over = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(process.pid, over, rows, killing))
        watcher.start()
        try:
            self.exits.append(process.wait())
        finally:
            over.set()
            watcher.join()
        self._before = self.looks[-1].seconds if self.looks else 0.0
        return self.exits[-1]

    def _watch(self, pid: int, over: threading.Event, rows: Callable[[], dict[str, float]], killing: dict[str, float]) -> None:
        start = time.monotonic()
        while True:
            ended = over.wait(PAUSE)
            workers = self._measure(pid)
            found = rows()
            self.looks.append(Look(self._before + time.monotonic() - start, sum(self._cpu.values()), found))
            if ended:
                return
            for stage in [stage for stage, at in killing.items() if found.get(stage, 0) >= at]:
                if workers:
                    victim = max(workers, key=lambda one: self._cpu.get((one.pid, one.create_time()), 0))
                    with contextlib.suppress(psutil.NoSuchProcess):
                        victim.kill()
                        self.killed[stage] = found[stage]
                        del killing[stage]

    def _measure(self, pid: int) -> list[psutil.Process]:
        """Notes memory and CPU time of a process and its descendants; returns the workers among them."""
        workers = []
        with contextlib.suppress(psutil.NoSuchProcess):
            driver = psutil.Process(pid)
            for one in [driver, *driver.children(recursive=True)]:
                with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    role = role_of(one, driver)
                    key = one.pid, one.create_time()
                    if key not in self._cpu:
                        self.processes[role] += 1
                    times = one.cpu_times()
                    self._cpu[key] = times.user + times.system
                    self.peaks[role] = max(self.peaks.get(role, 0.0), one.memory_info().rss / MIB)
                    if role == "worker":
                        workers.append(one)
        return workers


def role_of(process: psutil.Process, driver: psutil.Process) -> str:
    """What a process of a run is: the one that was started, one that works on blocks, or one that serves Ray."""
    if process.pid == driver.pid:
        return "driver"
    words = process.cmdline()
    first = words[0] if words else process.name()
    if first.startswith("ray::"):  # Ray names a process after the class and the method of its actor
        return "worker" if first.startswith("ray::Worker") else "Ray's services"
    served = any("/ray/" in word or word.startswith("ray") for word in words[:4])
    return "Ray's services" if served else "worker"
