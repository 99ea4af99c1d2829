"""A pool of Ray actors: blocks go out as actors become free, results come back in order, a death costs no block."""

import logging
import math
import os
import pickle
import socket
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from lpo_tts import __version__
from lpo_tts.engines.messages import pack, pack_error, unpack
from lpo_tts.errors import WHAT_TO_DO, ArtefactError, ComponentError, os_error_text

log = logging.getLogger("lpo_tts")
_AHEAD = 4  # ours: blocks per actor that may be done before the first of them has been taken
_PASSED_ON = ("HF_HUB_OFFLINE", "TOKENIZERS_PARALLELISM")  # variables that decide what a worker may load


@dataclass(frozen=True)
class Place:
    """What a worker on any node shares with this process.

    Attributes:
        folder: current one, which relative paths of a recipe start from.
        path: where modules are looked for, a recipe's `module:Class` among them.
        variables: of the environment.
        versions: of this package and of torch.
    """

    folder: str = field(default_factory=os.getcwd)
    path: tuple[str, ...] = field(default_factory=lambda: tuple(sys.path))
    variables: dict[str, str] = field(default_factory=lambda: {key: os.environ[key] for key in _PASSED_ON if key in os.environ})
    versions: tuple[str, str] = (__version__, torch.__version__)

    def enter(self) -> None:
        """Makes a worker work here; raises ArtefactError on a node that has no such folder."""
        try:
            os.chdir(self.folder)
        except OSError as error:
            raise ArtefactError(
                f"cannot enter {self.folder}: {error.strerror}; start the command in a folder that all nodes of the cluster share"
            ) from error
        sys.path += [one for one in self.path if one not in sys.path]
        os.environ.update(self.variables)
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        torch.set_num_threads(1)


class Worker:
    """The life of an actor: load at the first block, then one block after the other."""

    def __init__(self, place: Place, make_worker: bytes) -> None:
        self._place, self._make = place, make_worker
        self._work: Any = None

    def hello(self) -> tuple[str, int, tuple[str, str]]:
        """Node, process and versions; the answer says that the actor has found its place."""
        return socket.gethostname(), os.getpid(), (__version__, torch.__version__)

    def run(self, block: bytes) -> bytes:
        """The result of a block, or the error with its traceback."""
        try:
            if self._work is None:
                self._place.enter()
                self._work = pickle.loads(self._make)()
            return pack(self._work(pickle.loads(block)))
        except Exception as error:  # noqa: BLE001 - it is raised again on the other side
            return pack_error(_on_this_node(error))


def _on_this_node(error: Exception) -> Exception:
    """The same error, with the node in the message where the node may be what is at fault."""
    if type(error) is OSError and error.errno in WHAT_TO_DO:  # a full disk; classes of its own say which kind it is
        found: Exception = ArtefactError(os_error_text("use", error.filename or "a file", error))
    elif type(error) in (ArtefactError, ComponentError):
        found = error
    else:
        return error
    named = type(found)(f"{found} (on the node {socket.gethostname()})")
    named.__cause__ = error
    return named.with_traceback(error.__traceback__)


class Pool:
    """Actors at work on one call of `map`.

    Args:
        start: starts an actor (a handle of `Worker`) somewhere, without waiting for it.
        workers: how many.
        max_restarts: so many deaths of its worker one block survives.
        patience: seconds that the cluster has to place the first actor.
    """

    def __init__(self, start: Callable[[], Any], workers: int, max_restarts: int, patience: float) -> None:
        import ray.exceptions

        self._ray: Any = ray
        self._start, self.workers, self.max_restarts, self.patience = start, workers, max_restarts, patience
        self._starting: dict[Any, Any] = {}  # answer to hello -> actor
        self._busy: dict[Any, tuple[Any, int]] = {}  # result to come -> actor, block
        self._idle: list[Any] = []
        self._named: dict[Any, str] = {}  # actor -> node and process
        self._held: dict[int, bytes] = {}  # blocks without a result
        self._again: deque[int] = deque()  # those of actors that died
        self._exhausted = False  # no block is left to be taken
        self._deaths: Counter[int | None] = Counter()  # by block; None: before the first one

    def serve(self, blocks: Iterable[Any]) -> Iterator[Any]:
        """Yields the results of all blocks in order, an error in its place."""
        for _ in range(self.workers):
            self._hire()
        source: Iterator[tuple[int | None, Any]] = iter(enumerate(blocks))
        results: dict[int, bytes] = {}
        following = 0
        while True:
            self._hand_out(source, _AHEAD * self.workers - len(results))
            while following in results:
                yield unpack(results.pop(following))
                following += 1
                self._hand_out(source, _AHEAD * self.workers - len(results))
            if self._exhausted and not self._held:
                return
            results.update(self._wait())

    def close(self) -> None:
        """Ends all actors at once."""
        for actor in (*self._starting.values(), *self._idle, *(one for one, _ in self._busy.values())):
            if self._ray.is_initialized():
                self._ray.kill(actor)
        self._starting, self._busy, self._idle = {}, {}, []

    def _hire(self) -> None:
        actor = self._start()
        self._starting[actor.hello.remote()] = actor

    def _hand_out(self, source: Iterator[tuple[int | None, Any]], room: int) -> None:
        """Gives every idle actor a block, those of dead actors first; `room` limits how many are held."""
        while self._idle:
            if self._again:
                number = self._again.popleft()
            elif self._exhausted or len(self._held) >= room:
                return
            else:
                number, block = next(source, (None, None))
                if number is None:
                    self._exhausted = True
                    return
                self._held[number] = pickle.dumps(block, protocol=pickle.HIGHEST_PROTOCOL)
            actor = self._idle.pop(0)
            self._busy[actor.run.remote(self._held[number])] = actor, number

    def _wait(self) -> dict[int, bytes]:
        """What comes next: results by block; none where an actor has found its place, or has died."""
        pending = [*self._busy, *self._starting]
        done, _ = self._ray.wait(pending, num_returns=1, timeout=None if self._busy else self.patience)
        if not done:
            raise ComponentError(
                f"no worker was placed within {self.patience:g} s (engine.patience): {self.workers} were asked for, "
                f"{self._needs()} each, and free are {_resources(self._ray.available_resources())} of "
                f"{_resources(self._ray.cluster_resources())}; ask for less (engine.cpus, engine.gpus), or wait for the nodes"
            )
        (ref,) = done
        actor, number = self._busy.pop(ref, None) or (self._starting.pop(ref), None)
        try:
            found = self._ray.get(ref)
        except (self._ray.exceptions.RayActorError, self._ray.exceptions.ObjectLostError) as error:
            self._bury(actor, number, error)
            return {}
        except self._ray.exceptions.RayError as error:
            raise ComponentError(f"Ray cannot run a worker: {_first_line(error)}") from error
        self._idle.append(actor)
        if number is None:
            self._greet(actor, found)
            return {}
        del self._held[number]
        return {number: found}

    def _greet(self, actor: Any, found: tuple[str, int, tuple[str, str]]) -> None:
        node, process, versions = found
        self._named[actor] = f"{node}, process {process}"
        self._deaths[None] = 0
        if versions != (__version__, torch.__version__):
            log.warning(
                "the node %s has lpo-tts %s with torch %s, this machine %s with %s; the last bits of results may differ",
                node, *versions, __version__, torch.__version__,
            )  # fmt: skip

    def _bury(self, actor: Any, number: int | None, error: Exception) -> None:
        """Replaces an actor that died, and has its block computed again."""
        self._deaths[number] += 1
        where = self._named.pop(actor, "not placed yet")
        what = "before it had a block" if number is None else f"at block {number}"
        if self._deaths[number] > self.max_restarts:
            raise ComponentError(
                f"a worker of Ray ({where}) died {what}, as {self._deaths[number] - 1} did before it (engine.max_restarts); "
                f"mostly memory ran out: ask for fewer workers or smaller blocks. Ray says: {_cause(error)}"
            ) from error
        log.warning("a worker of Ray (%s) died %s; another one takes its place", where, what)
        if number is not None:
            self._again.append(number)
        self._ray.kill(actor)  # one that is only out of reach must not go on
        self._hire()

    def _needs(self) -> str:
        return getattr(self._start, "needs", "some")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


def _cause(error: Exception) -> str:
    """The line of a death that tells why."""
    lines = [line for line in str(error).splitlines() if "because" in line] or [_first_line(error)]
    return lines[0].split(" Some common causes")[0][:300]


def _resources(found: Mapping[str, float]) -> str:
    named = {name: found.get(name, 0) for name in ("CPU", "GPU")}
    return ", ".join(f"{value:g} {name}" for name, value in named.items())


def whole_or_share(gpus: float) -> bool:
    """Whether Ray knows such a number of GPUs: a share of one, or whole ones."""
    return gpus <= 1 or math.floor(gpus) == gpus
