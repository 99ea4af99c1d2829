"""What every engine offers: a function over blocks of rows, applied somewhere, with results in order."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

Block = TypeVar("Block")
Result = TypeVar("Result")


class Engine(Protocol):
    """Settings of an engine (a frozen dataclass); what a step makes does not depend on them.

    An engine whose workers may have other devices than this machine has a method `worker_device(name)` too: from the
    `device` of the recipe ("auto", "cpu", "cuda", "cuda:1", ...) to what torch calls the device of a worker.
    """

    @property
    def in_process(self) -> bool:
        """Whether the work runs in this process, which then holds the models and their CUDA context."""
        ...

    def map(
        self, make_worker: Callable[[], Callable[[Block], Result]], blocks: Iterable[Block], *, gpus: float = 0
    ) -> Iterator[Result]:
        """Yields `make_worker()(block)` for every block, in order.

        Args:
            make_worker: picklable; called once in each worker; loads the model and returns the function over blocks.
            blocks: taken from as workers become free, never all at once; each is picklable.
            gpus: GPUs that one worker takes, 0.25 = four workers share one; for engines that place workers themselves.

        Raises:
            ComponentError: a worker died, and the engine does not replace it, or not once more.
            Exception: whatever the worker's function raises, of the same class.

        Closing the iterator ends the workers.
        """
        ...
