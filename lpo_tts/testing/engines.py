"""The contract of engines: `check_engine`."""

from collections.abc import Callable, Iterable, Iterator

from lpo_tts.engines.base import Engine
from lpo_tts.errors import ContractError
from lpo_tts.testing.base import check_settings


def check_engine(engine: Engine) -> None:
    """Checks an engine on blocks of numbers.

    Raises:
        AssertionError: it is no frozen dataclass, results are missing or out of order, blocks are all taken at once, or an
            error of the work does not arrive as what it is.
    """
    name = type(engine).__name__
    check_settings(engine, loads=False)
    taken: list[int] = []
    results = engine.map(_doubling, _noted(range(10_000), taken))
    first = next(results, None)
    if first != 0 or len(taken) == 10_000:
        raise AssertionError(
            f"{name}.map: expected 0 first and blocks taken as they are needed, found {first} after {len(taken)}"
        )
    found = [first, *results]
    if found != [2 * number for number in range(10_000)]:
        raise AssertionError(f"{name}.map: expected one result per block, in their order, found {len(found)}: {found[:8]} ...")
    try:
        list(engine.map(_doubling, [1, -1, 2]))
    except ContractError as error:
        if "below 0" in str(error):
            return
        raise
    raise AssertionError(f"{name}.map: an error of the work was lost")


def _doubling() -> Callable[[int], int]:
    return _double


def _double(number: int) -> int:
    if number < 0:
        raise ContractError("below 0")
    return 2 * number


def _noted(numbers: Iterable[int], taken: list[int]) -> Iterator[int]:
    for number in numbers:
        taken.append(number)
        yield number
