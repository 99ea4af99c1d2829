"""How far a step is: blocks of work, progress bars, and the share of rows that may fail."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

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


class Meter:
    """Tells how far work on audio is, in seconds of audio: a bar with the time left on a terminal, else a log line now and then.

    Called with the seconds that are done and those of all the work.
    """

    EVERY = 60.0  # ours: seconds between two lines of the log

    def __init__(self, verb: str) -> None:
        self.verb, self.started = verb, False
        self._bar: Any = None
        self._begun = self._told = 0.0

    def __enter__(self) -> "Meter":
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, done: float, total: float) -> None:
        """Shows it."""
        now = time.monotonic()
        if not self.started:
            self.started, self._begun, self._told = True, now, now
            if sys.stderr.isatty():
                form = "{desc}: {percentage:3.0f}% |{bar}| {n:.0f} of {total:.0f} s of audio, {remaining} left"
                self._bar = tqdm(desc=self.verb, total=total, bar_format=form, leave=False)
        if self._bar is not None:
            self._bar.total = total
            self._bar.update(done - self._bar.n)
        elif now - self._told >= self.EVERY and 0 < done < total:
            self._told = now
            left = (now - self._begun) * (total - done) / done
            log.info("%s: %.0f of %.0f s of audio, about %s left", self.verb, done, total, _clock(left))


def _clock(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{max(1, minutes)} min"
