"""What crosses between a worker and the process it works for: results, and errors with their traceback, as bytes."""

import pickle
import traceback
from typing import Any


class WorkerTraceback(Exception):
    """Carries the traceback of a worker as text; the cause of the exception raised here."""

    def __str__(self) -> str:
        return f"in a worker process:\n{self.args[0]}"


def pack(value: Any) -> bytes:
    """A result."""
    return pickle.dumps((True, value), protocol=pickle.HIGHEST_PROTOCOL)


def pack_error(error: Exception) -> bytes:
    """An error with its traceback; one that cannot be pickled becomes a RuntimeError with its class and text."""
    text = "".join(traceback.format_exception(error))
    try:
        packed = pickle.dumps((False, (error, text)))
        pickle.loads(packed)
    except Exception:  # noqa: BLE001 - exceptions of any library, with any state
        packed = pickle.dumps((False, (RuntimeError(f"{type(error).__name__}: {error}"), text)))
    return packed


def unpack(message: bytes) -> Any:
    """The result, or raises the error, with the worker's traceback as its cause."""
    ok, payload = pickle.loads(message)
    if ok:
        return payload
    error, text = payload
    raise error from WorkerTraceback(text)
