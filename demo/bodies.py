"""Bodies of requests: read no further than they may be long, and searched for names of files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from starlette.types import Message, Receive

MAX_DEPTH = 50  # of JSON


def paths(found: Any, depth: int = MAX_DEPTH) -> Iterator[str]:
    """Every text that stands under `path` in JSON; "" for what is nested too deep, which is no path of ours."""
    if depth == 0:
        yield ""
    elif isinstance(found, dict):
        for key, value in found.items():
            if key == "path" and isinstance(value, str):
                yield value
            yield from paths(value, depth - 1)
    elif isinstance(found, list):
        for value in found:
            yield from paths(value, depth - 1)


async def read_body(receive: Receive, limit: int) -> bytes | None:
    """A whole body; None where it is longer than the limit, or its sender has gone."""
    data, more = bytearray(), True
    while more:
        message = await receive()
        data += message.get("body", b"")
        if message["type"] == "http.disconnect" or len(data) > limit:
            return None
        more = message.get("more_body", False)
    return bytes(data)


def replayed(data: bytes, receive: Receive) -> Receive:
    """A body that was read, to be read again."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()  # waits until the client goes
        given = True
        return {"type": "http.request", "body": data, "more_body": False}

    return again


def size_of(folder: Path) -> int:
    """Bytes in a folder; a file that goes meanwhile does not count."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_size
        except FileNotFoundError:
            continue
    return total
