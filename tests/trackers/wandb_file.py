"""Reads the file of an offline run: records of wandb's protobuf in blocks of LevelDB's log format."""

import json
import struct
import zlib
from pathlib import Path
from typing import Any

BLOCK, HEADER = 32768, 7  # bytes
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4
IDENT = b":W&B"


def records(path: Path) -> list[Any]:
    """All records; asserts the checksum of each part."""
    from wandb.proto.wandb_internal_pb2 import Record

    data = path.read_bytes()
    assert data.startswith(IDENT)
    place, kept, found = HEADER, b"", []
    while place + HEADER <= len(data):
        left = BLOCK - place % BLOCK
        if left < HEADER:
            place += left
            continue
        checksum, length, kind = struct.unpack("<IHB", data[place : place + HEADER])
        if not kind:
            break
        part = data[place + HEADER : place + HEADER + length]
        assert checksum == zlib.crc32(part, zlib.crc32(bytes([kind])))
        kept = part if kind in (FULL, FIRST) else kept + part
        if kind in (FULL, LAST):
            found.append(Record.FromString(kept))
        place += HEADER + length
    return found


def history(found: list[Any]) -> list[dict[str, Any]]:
    """Rows that were logged."""
    rows = [one.history for one in found if one.WhichOneof("record_type") == "history"]
    return [{_name(item): json.loads(item.value_json) for item in row.item} for row in rows]


def summary(found: list[Any]) -> dict[str, Any]:
    """The last value of everything."""
    updates = [item for one in found if one.WhichOneof("record_type") == "summary" for item in one.summary.update]
    return {_name(item): json.loads(item.value_json) for item in updates}


def config(found: list[Any]) -> dict[str, Any]:
    """Settings of the run."""
    updates = [item for one in found if one.WhichOneof("record_type") == "run" for item in one.run.config.update]
    updates += [item for one in found if one.WhichOneof("record_type") == "config" for item in one.config.update]
    return {_name(item): json.loads(item.value_json) for item in updates}


def _name(item: Any) -> str:
    return item.key or ".".join(item.nested_key)
