"""local: a pure function over blocks of rows, in N worker processes of this machine, results in order.

Start-up: where it is safe the workers are forked, which takes milliseconds, because a new interpreter imports torch and
transformers for seconds before it does anything. Safe means: Linux, no CUDA context in this process, and no Python
thread but the main one (a lock held by another thread at the fork would stay locked in the child for ever). Idle OpenMP
threads of this process do no harm, since a worker computes with one thread and never wakes them. Otherwise workers are
spawned, and `make_worker` must be picklable (a function of a module, or `functools.partial` of one).
"""

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

import torch

from lpo_tts.bounds import at_least, check_settings, check_value
from lpo_tts.engines.base import Block, Result
from lpo_tts.engines.messages import pack, pack_error, unpack
from lpo_tts.errors import ComponentError

MAX_WORKERS = 1024  # ours: beyond it a slip of the keyboard is likelier than a plan
_AHEAD = 4  # ours: blocks per worker that may be done before the first of them has been taken


@dataclass(frozen=True)
class Local:
    """Worker processes of this machine.

    Attributes:
        workers: number of processes, with one torch thread each; 0 = in this process, with its own number of threads.
    """

    workers: int = 0

    bounds = {"workers": at_least(0).at_most(MAX_WORKERS)}

    def __post_init__(self) -> None:
        check_settings(self, "")

    @property
    def in_process(self) -> bool:
        """Whether there are no worker processes."""
        return self.workers == 0

    def map(
        self, make_worker: Callable[[], Callable[[Block], Result]], blocks: Iterable[Block], *, gpus: float = 0
    ) -> Iterator[Result]:
        """See `map_blocks`; `gpus` says nothing here, where all workers share the device of the recipe."""
        return map_blocks(make_worker, blocks, self.workers)


def map_blocks(
    make_worker: Callable[[], Callable[[Block], Result]],
    blocks: Iterable[Block],
    workers: int = 0,
    start_method: str | None = None,
) -> Iterator[Result]:
    """Yields `make_worker()(block)` for every block, in order.

    Args:
        make_worker: called once in each worker; loads the model and returns the function over blocks.
        blocks: taken from as workers become free; each block is pickled on its way.
        workers: processes, with one torch thread each; 0 = in this process, with its own number of threads.
        start_method: `fork` or `spawn`; None = fork where it is safe.

    Raises:
        ConfigError: when `workers` is negative.
        ComponentError: when a worker dies (killed for memory, for instance).
        Exception: whatever the worker's function raises, of the same class, with the worker's traceback as cause.

    Closing the generator, an error, or Ctrl-C kills the workers at once.
    """
    check_value("workers", workers, at_least(0))
    if workers == 0:
        return _map_here(make_worker, blocks)
    return _map_there(make_worker, blocks, workers, start_method or ("fork" if fork_is_safe() else "spawn"))


def fork_is_safe() -> bool:
    """Whether this process may fork workers (see the module's caption)."""
    # The monitor of tqdm's bars holds no lock that workers need.
    threads = [thread for thread in threading.enumerate() if type(thread).__name__ != "TMonitor"]
    return sys.platform == "linux" and len(threads) == 1 and not torch.cuda.is_initialized()


def _map_here(make_worker: Callable[[], Callable[[Block], Result]], blocks: Iterable[Block]) -> Iterator[Result]:
    worker = make_worker()
    for block in blocks:
        yield worker(block)


def _map_there(make_worker: Callable[[], Any], blocks: Iterable[Any], workers: int, start_method: str) -> Iterator[Any]:
    pool: dict[Connection, Any] = {}
    try:
        _start(pool, make_worker, workers, start_method)
        yield from _serve(pool, blocks)
    finally:
        for process in pool.values():
            process.kill()
        for connection, process in pool.items():
            process.join()
            connection.close()


def _start(pool: dict[Connection, Any], make_worker: Callable[[], Any], workers: int, start_method: str) -> None:
    context = multiprocessing.get_context(start_method)
    for number in range(workers):
        here, there = context.Pipe()
        # A forked child inherits our ends of all pipes; it closes them, so that our death is the end of its input.
        inherited = [*pool, here] if start_method == "fork" else []
        process = context.Process(  # pyright: ignore[reportAttributeAccessIssue]  # every context has it; typeshed's base lacks it
            target=_work, args=(there, inherited, make_worker), name=f"lpo-tts worker {number}", daemon=True
        )
        with warnings.catch_warnings(), _interrupts_wait():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of OpenMP's idle threads
            process.start()
        there.close()
        pool[here] = process


@contextlib.contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Holds Ctrl-C back until a worker has started; the worker inherits this until it ignores Ctrl-C by itself."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pool: dict[Connection, Any], blocks: Iterable[Any]) -> Iterator[Any]:
    """Hands out blocks and yields results in order."""
    source = enumerate(blocks)
    idle = list(pool)
    busy: dict[Connection, int] = {}
    results: dict[int, Any] = {}
    following = 0
    exhausted = False
    while True:
        while idle and not exhausted and len(busy) + len(results) < _AHEAD * len(pool):
            number, block = next(source, (None, None))
            if number is None:
                exhausted = True
                break
            connection = idle.pop(0)
            _send(connection, pool[connection], number, block)
            busy[connection] = number
        if following in results:
            yield results.pop(following)
            following += 1
            continue
        if not busy:
            return
        for connection in wait(list(busy)):
            number = busy.pop(connection)  # type: ignore[arg-type]
            results[number] = _receive(connection, pool[connection], number)  # type: ignore[index, arg-type]
            idle.append(connection)  # type: ignore[arg-type]


def _send(connection: Connection, process: Any, number: int, block: Any) -> None:
    try:
        connection.send_bytes(pickle.dumps(block, protocol=pickle.HIGHEST_PROTOCOL))
    except (BrokenPipeError, ConnectionResetError):
        # The worker may have failed while it loaded its model, and have said why before it ended.
        if connection.poll():
            _receive(connection, process, number)
        raise _death(process, number) from None


def _receive(connection: Connection, process: Any, number: int) -> Any:
    try:
        message = connection.recv_bytes()
    except (EOFError, ConnectionResetError):
        raise _death(process, number) from None
    return unpack(message)


def _death(process: Any, number: int) -> ComponentError:
    process.join(5)
    return ComponentError(
        f"{process.name} (process {process.pid}) died with exit code {process.exitcode} at block {number}; "
        "exit code -9 mostly means that memory ran out: lower the number of workers or the size of a block"
    )


def _work(connection: Connection, inherited: list[Connection], make_worker: Callable[[], Any]) -> None:
    """The life of a worker: load, then one block after the other until the other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process' business
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    for other in inherited:
        other.close()
    torch.set_num_threads(1)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    worker = None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the other side is gone
        while True:
            try:
                if worker is None:
                    worker = make_worker()
                message = _next_message(connection)
                if message is None:
                    return
                reply = pack(worker(pickle.loads(message)))
            except Exception as error:  # noqa: BLE001 - it is raised again on the other side
                connection.send_bytes(pack_error(error))
                return
            connection.send_bytes(reply)


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _next_message(connection: Connection) -> bytes | None:
    try:
        return connection.recv_bytes()
    except (EOFError, ConnectionResetError):
        return None
