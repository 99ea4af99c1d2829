"""Local processes: order, errors with their traceback, dead workers, and nothing left behind."""

import functools
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

import pytest
import torch

from lpo_tts.engines.local import Local, fork_is_safe, map_blocks
from lpo_tts.errors import ComponentError, ConfigError, ContractError
from lpo_tts.testing import check_engine


def square():
    return lambda block: (block * block, os.getpid(), torch.get_num_threads())


def slow_first():
    def work(block):
        time.sleep(0.3 if block == 0 else 0)
        return block

    return work


def failing(kind, at):
    def work(block):
        if block == at:
            raise kind(f"block {block} is bad")
        return block

    return work


class Unpicklable(Exception):
    def __init__(self, one, two):
        super().__init__(one)
        self.lock = threading.Lock()


def raising_unpicklable():
    def work(block):
        raise Unpicklable("odd", block)

    return work


def dying():
    return lambda block: os.kill(os.getpid(), signal.SIGKILL)


def cannot_load():
    raise ComponentError("no such model")


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_results_come_in_order(workers):
    found = list(map_blocks(square, range(40), workers))
    assert [value for value, _, _ in found] == [n * n for n in range(40)]
    processes = {process for _, process, _ in found}
    assert (os.getpid() in processes) == (workers == 0)
    assert len(processes) <= max(workers, 1)
    if workers:
        assert {threads for _, _, threads in found} == {1}
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("workers", [0, 2])
def test_the_engine_keeps_the_contract(workers):
    engine = Local(workers)
    check_engine(engine)
    assert engine.in_process == (workers == 0)
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("workers", [-1, 1025])
def test_a_number_of_workers_that_makes_no_sense_is_refused(workers):
    with pytest.raises(ConfigError, match="workers must be at least 0 and at most 1024"):
        Local(workers)


@dataclass(frozen=True)
class Reversed:
    """Results from the last to the first."""

    in_process = True

    def map(self, make_worker, blocks, *, gpus=0):
        return map(make_worker(), reversed(list(blocks)))


@dataclass(frozen=True)
class Swallowing(Reversed):
    """Ends at an error."""

    def map(self, make_worker, blocks, *, gpus=0):
        work = make_worker()
        for block in blocks:
            if block < 0:
                return
            yield work(block)


@pytest.mark.parametrize(
    ("engine", "message"), [(Reversed(), "expected 0 first"), (Swallowing(), "an error of the work was lost")]
)
def test_an_engine_that_breaks_the_contract_is_named(engine, message):
    with pytest.raises(AssertionError, match=message):
        check_engine(engine)


def test_spawned_workers():
    import math

    found = map_blocks(functools.partial(functools.partial, math.pow, 2), [1, 2, 3], 1, start_method="spawn")
    assert list(found) == [2.0, 4.0, 8.0]


def test_a_slow_block_does_not_change_the_order_and_blocks_are_taken_lazily():
    taken = []

    def blocks():
        for n in range(100):
            taken.append(n)
            yield n

    results = map_blocks(slow_first, blocks(), 2)
    assert next(results) == 0
    assert len(taken) <= 12
    assert list(results) == list(range(1, 100))


@pytest.mark.parametrize("kind", [ContractError, ValueError, EOFError])
def test_errors_keep_their_class_and_traceback(kind):
    results = map_blocks(functools.partial(failing, kind, 3), range(10), 2)
    with pytest.raises(kind, match="block 3 is bad") as caught:
        list(results)
    assert "in work\n" in str(caught.value.__cause__)
    assert not multiprocessing.active_children()


def test_an_error_that_cannot_be_pickled_is_told():
    with pytest.raises(RuntimeError, match="Unpicklable: odd"):
        list(map_blocks(raising_unpicklable, [1], 1))


def test_errors_while_loading_are_those_of_the_worker():
    with pytest.raises(ComponentError, match="no such model"):
        list(map_blocks(cannot_load, range(5), 2))


def test_a_killed_worker_is_noticed():
    with pytest.raises(ComponentError, match=r"worker 0 \(process \d+\) died with exit code -9 at block 0"):
        list(map_blocks(dying, [1, 2], 1))


def test_closing_the_generator_kills_the_workers():
    results = map_blocks(square, range(100), 2)
    next(results)
    assert len(multiprocessing.active_children()) == 2
    results.close()
    assert not multiprocessing.active_children()


INTERRUPTED = """
import os, sys, time
from lpo_tts.engines.local import map_blocks
def make():
    def work(block):
        if block:
            time.sleep(600)
        return os.getpid()
    return work
for result in map_blocks(make, range(4), 2):
    print(result, flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_program_leaves_no_workers(number):
    program = subprocess.Popen([sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    worker = int(program.stdout.readline())
    os.kill(program.pid, number)
    _, errors = program.communicate(timeout=100)  # far below the 600 s the workers would sleep
    assert program.returncode != 0
    # That the pipe has closed says that the workers, which hold it too, have ended.
    if number == signal.SIGINT:
        assert "KeyboardInterrupt" in errors
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)


AT_THE_FORK = """
import os, signal
from lpo_tts.engines.local import map_blocks
from lpo_tts.errors import exit_code

def make_worker():
    return str

os.register_at_fork(
    after_in_parent=lambda: os.kill(os.getpid(), signal.SIGINT), after_in_child=lambda: os.kill(os.getpid(), signal.SIGINT)
)
raise SystemExit(exit_code("prog", lambda: print(*map_blocks(make_worker, range(9), 1, "fork"))))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_an_interrupt_at_the_fork_ends_the_program_in_one_line():
    ended = subprocess.run([sys.executable, "-c", AT_THE_FORK], capture_output=True, text=True, timeout=100)
    assert (ended.returncode, ended.stdout, ended.stderr) == (
        130,
        "",
        "prog: interrupted; the same command goes on where it was\n",
    )


def test_fork_is_left_alone_when_other_threads_run():
    running = [thread for thread in threading.enumerate() if type(thread).__name__ != "TMonitor"]
    assert fork_is_safe() == (sys.platform == "linux" and len(running) == 1)
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    assert not fork_is_safe()
    stop.set()
    thread.join()


def test_negative_workers_are_refused():
    with pytest.raises(ConfigError, match="workers must be at least 0, found -1"):
        map_blocks(square, [], -1)
