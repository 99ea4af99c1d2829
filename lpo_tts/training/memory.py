"""Freed memory handed back: glibc keeps what was freed below something still in use, and every new shape adds to it."""

import ctypes
import functools
from collections.abc import Callable


@functools.cache
def _trim() -> Callable[[int], int] | None:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # not glibc
        return None


def release() -> None:
    """Returns what the C library holds unused to the operating system; nothing where it is not glibc."""
    trim = _trim()
    if trim is not None:
        trim(0)
