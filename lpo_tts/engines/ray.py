"""ray: worker actors of a Ray cluster, or of a Ray that is started on this machine, with results in order.

The actors are Ray's own, in a pool of this package. A pool of Ray Data (`map_batches` with a class) was tried with Ray 2.60
and does not keep an engine's contract:

- its sources are planned before the first result: of a generator of 2000 blocks all were taken, where here it is at most
  four for each worker;
- an error of the work arrives as RayTaskError(UserCodeException), of another class than was raised and without its cause;
- a block that kills its worker is tried again without end, where here it is named after `max_restarts` deaths;
- 300 blocks of 20 ms on two actors took 9.3 s, start-up included, where the pool took 5.1 s.

Nodes share the file system in which the command is started, since what workers read and write are files: a worker enters
this folder, and finds modules where this process does (a recipe's `module:Class` too). Packages are those of the node.
"""

import importlib
import itertools
import math
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from lpo_tts.bounds import above, at_least, check_settings
from lpo_tts.engines.actors import Place, Pool, Worker, whole_or_share
from lpo_tts.engines.base import Block, Result
from lpo_tts.errors import ComponentError, ConfigError

MAX_WORKERS = 65_536  # ours: beyond it a slip of the keyboard is likelier than a plan
MAX_RESTARTS = 1000
_STORE = 256 * 2**20  # bytes of the object store of a Ray that is started here; results pass through it, none stays
_CONNECT = 10.0  # seconds that an address has to answer


@dataclass(frozen=True)
class Ray:
    """Workers of a Ray cluster, each an actor with one torch thread.

    Attributes:
        workers: number of actors; None = as many as the cluster has room for when a step starts.
        address: of a cluster: "auto" (the one this machine is part of), "head:6379", or "ray://head:10001" (from outside;
            needs `ray[client]`). None = a Ray of this machine alone, started for the command and ended with it.
        gpus: GPUs of one actor where models run on GPUs; 0.25 = four actors share one. None = what the step asks for, one.
        cpus: CPU cores that Ray sets aside for one actor.
        max_restarts: so many deaths of its worker one block survives, before the step gives up.
        patience: seconds that the cluster has to place the first actor.
    """

    workers: int | None = None
    address: str | None = None
    gpus: float | None = None
    cpus: float = 1.0
    max_restarts: int = 3
    patience: float = 300.0

    joins = ("address",)  # settings from elsewhere may not: see SECURITY.md
    bounds = {
        "workers": at_least(1).at_most(MAX_WORKERS),
        "gpus": at_least(0),
        "cpus": above(0),
        "max_restarts": at_least(0).at_most(MAX_RESTARTS),
        "patience": above(0),
    }

    def __post_init__(self) -> None:
        check_settings(self, "")
        if self.gpus is not None and not whole_or_share(self.gpus):
            raise ConfigError(f"gpus: expected a share of one GPU or a whole number of them, found {self.gpus:g}")
        if self.address not in (None, "auto") and _host_and_port(self.address) is None:
            raise ConfigError(f"address: expected auto, host:port or ray://host:port, found {self.address!r}")

    @property
    def in_process(self) -> bool:
        """Never: models live in the actors."""
        return False

    def worker_device(self, name: str) -> str:
        """The device of an actor: Ray shows it no GPU but its own, so that each is `cuda`; "auto": if the cluster has GPUs.

        Raises ConfigError where `gpus` leaves an actor none of what `name` asks for.
        """
        if name != "auto":
            if name.startswith("cuda") and self.gpus == 0:
                raise ConfigError(f"device: {name} needs a GPU, and engine.gpus is 0; raise it, or set device to cpu")
            return name.partition(":")[0]
        return "cuda" if self.gpus != 0 and self._connect().cluster_resources().get("GPU", 0) else "cpu"

    def map(
        self, make_worker: Callable[[], Callable[[Block], Result]], blocks: Iterable[Block], *, gpus: float = 0
    ) -> Iterator[Result]:
        """See `Engine.map`.

        A worker that dies is replaced, and its block is computed again, so that a death changes nothing in the results.
        An error is raised in its block's place, so that all results before it are kept.

        Raises:
            ComponentError: Ray is not installed, does not answer or cannot place an actor; one block's workers died
                more often than `max_restarts`.
            ArtefactError: a node does not have the folder of this process, or its disk is full; names the node.
            Exception: whatever the worker's function raises, of the same class, with the worker's traceback as cause.
        """
        blocks = iter(blocks)
        first = list(itertools.islice(blocks, 1))
        if not first:
            return
        ray = self._connect()
        start = _Start(ray, make_worker, self.cpus, gpus if gpus == 0 or self.gpus is None else self.gpus)
        pool = Pool(start, self.workers or start.room(), self.max_restarts, self.patience)
        try:
            yield from pool.serve(itertools.chain(first, blocks))
        finally:
            pool.close()

    def _connect(self) -> Any:
        """The module, connected; a connection that somebody else made in this process is used as it is."""
        global _connected
        try:
            ray: Any = importlib.import_module("ray")  # by name: this module is called so too
            importlib.import_module("ray.exceptions")
        except ImportError as error:
            raise ComponentError(
                f"the ray engine needs the package ray ({error}); install it: pip install 'lpo-tts[ray]'"
            ) from error
        cores = max(os.cpu_count() or 1, math.ceil((self.workers or 1) * self.cpus)) if self.address is None else 0
        if ray.is_initialized():
            if _connected is None or (_connected[0] == self.address and _connected[1] >= cores):
                return ray
            ray.shutdown()
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
        if self.address is None:
            options |= {"num_cpus": cores, "include_dashboard": False, "object_store_memory": _STORE}
        else:
            _check_answers(self.address)
        try:
            ray.init(address=self.address or "local", **options)
        except (ImportError, RuntimeError, OSError, ValueError, AssertionError, SystemExit, ray.exceptions.RayError) as error:
            text = " ".join(str(error).split())[:300]
            raise ComponentError(f"cannot use Ray at {self.address or 'this machine'} (engine.address): {text}") from error
        _connected = self.address, cores
        return ray


_connected: tuple[str | None, int] | None = None  # what this module connected to: address, and cores of a Ray of its own


@dataclass(frozen=True)
class _Start:
    """Starts actors; nothing waits for them."""

    ray: Any
    make_worker: Callable[[], Any]
    cpus: float
    gpus: float

    def __call__(self) -> Any:
        options = {"num_cpus": self.cpus, "num_gpus": self.gpus, "max_restarts": 0, "scheduling_strategy": "SPREAD"}
        actor = self.ray.remote(Worker).options(**options)
        return actor.remote(Place(), self.ray.cloudpickle.dumps(self.make_worker))

    @property
    def needs(self) -> str:
        """What an actor takes, for people."""
        return f"{self.cpus:g} CPU and {self.gpus:g} GPU"

    def room(self) -> int:
        """How many actors the cluster has room for; raises ComponentError where it has none."""
        there = self.ray.cluster_resources()
        wanted = {"CPU": self.cpus, "GPU": self.gpus}
        room = min(int(there.get(name, 0) / each + 1e-9) for name, each in wanted.items() if each)
        if not room:
            raise ComponentError(
                f"Ray has no room for a worker of {self.needs}: its nodes have {there.get('CPU', 0):g} CPU and "
                f"{there.get('GPU', 0):g} GPU; ask for less (engine.cpus, engine.gpus)"
            )
        return room


def _host_and_port(address: str) -> tuple[str, int] | None:
    host, _, port = address.removeprefix("ray://").rpartition(":")
    return (host.strip("[]"), int(port)) if host and port.isdecimal() and 0 < int(port) < 2**16 else None


def _found() -> str:
    """The cluster that Ray takes for `auto`. The note of one that has ended stays on the machine, and Ray waits for it.

    Raises:
        ComponentError: there is none.
    """
    try:
        from ray._private.services import get_ray_address_from_environment  # Ray has no public function for it
    except ImportError:
        return "auto"
    try:
        return get_ray_address_from_environment("auto", None) or "auto"
    except OSError as error:
        text = " ".join(str(error).split())[:200]
        raise ComponentError(f"no Ray runs on this machine (engine.address: auto): {text}") from error


def _check_answers(address: str) -> None:
    """Raises ComponentError unless a gRPC server answers at the address; Ray itself would try for minutes, then exit."""
    place = _host_and_port(_found() if address == "auto" else address)
    if place is None:
        return
    try:
        with socket.create_connection(place, _CONNECT) as connection:
            if os.environ.get("RAY_USE_TLS", "0") != "0":
                return
            # The preface of HTTP/2 with an empty SETTINGS frame, which a server answers with its own (type 4).
            connection.settimeout(_CONNECT)
            connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
            answer = connection.recv(9)
    except OSError as error:
        raise ComponentError(
            f"no Ray answers at {address} (engine.address): {error.strerror or error}; start one there with `ray start --head`, "
            "or mend the address"
        ) from error
    if len(answer) < 4 or answer[3] != 4:
        raise ComponentError(f"something else than Ray answers at {address} (engine.address): {answer[:9]!r}; mend the address")
