"""How far a step is: blocks of work, progress bars, and the share of rows that may fail."""

import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from tqdm import tqdm  # pyright: ignore[reportMissingModuleSource]

from lpo_tts.errors import ArtefactError

log = logging.getLogger("lpo_tts")
Item = TypeVar("Item")


def check_failures(verb: str, failed: int, total: int, limit: float, first: str = "") -> None:
    """Raises ArtefactError when more than `limit` of the rows failed; warns of fewer."""
    if not failed:
        return
    text = f"{verb}: {failed} of {total} rows failed" + (f", first: {first}" if first else "")
    if failed / total > limit:
        raise ArtefactError(
            f"{text}; more than the limit of {limit:.1%} (max_failed); they are tried again when the step runs again"
        )
    log.warning("%s", text)


def progress(items: Iterable[Item], verb: str, total: int | None = None, unit: str = "it") -> Iterator[Item]:
    """A progress bar on a terminal, silence elsewhere."""
    return iter(tqdm(items, desc=verb, total=total, unit=unit, disable=not sys.stderr.isatty(), leave=False))


def blocks(items: Sequence[Item], size: int) -> list[list[Item]]:
    """Consecutive blocks of at most `size` items."""
    return [list(items[start : start + size]) for start in range(0, len(items), size)]
