"""lpo-tts.json: what an exported data set says of how its tables were made, so that an import can go on from there."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lpo_tts import artefacts
from lpo_tts.errors import ArtefactError
from lpo_tts.exchange.publishing import scrubbed
from lpo_tts.steps.tables import Table

NOTE = "lpo-tts.json"
SCHEMA = 1
PART = re.compile(r"part-\d{1,9}")
STATED = ("verb", "settings", "inputs", "counts", "versions", "imported")


@dataclass(frozen=True)
class Note:
    """What the file says.

    Attributes:
        format: "datasets" or "trl".
        tables: by name: settings, hashes of inputs, counts, versions, ids that failed, and the hash of the table.
    """

    format: str
    tables: dict[str, dict[str, Any]]

    @classmethod
    def read(cls, folder: Path) -> "Note | None":
        """That of a data set; None where it has none. Raises ArtefactError for one that is torn or of another version."""
        path = folder / NOTE
        if not path.exists():
            return None
        tree = artefacts.read_object(path)
        if tree.get("schema") != SCHEMA or not isinstance(tree.get("tables"), dict):
            raise ArtefactError(f"{path}: expected schema {SCHEMA}, found {tree.get('schema')!r}; export the tables again")
        for name, entry in tree["tables"].items():
            fault = _fault(entry)
            if fault is not None:
                raise ArtefactError(f"{path}: tables.{name}: expected {fault}, found something else; export the tables again")
        return cls(str(tree.get("format")), tree["tables"])


def _fault(entry: Any) -> str | None:
    """What a table's entry should be and is not; None = it is in order."""
    if not isinstance(entry, dict):
        return "an object"
    for name in ("settings", "inputs", "counts", "versions", "failed"):
        if not isinstance(entry.get(name) or {}, dict):
            return f"an object in {name}"
    if not all(isinstance(one, str | None) for one in (entry.get("inputs") or {}).values()):
        return "hashes in inputs"
    parts = entry.get("failed") or {}
    if not all(PART.fullmatch(name) and isinstance(one, dict) for name, one in parts.items()):
        return "the failed ids of each part in failed"
    return None


def note_of(recipe: str, system: str, tables: Iterable[Table], format: str) -> dict[str, Any]:
    """The contents of the file for these tables."""
    made = {}
    for one in tables:
        entry: dict[str, Any] = {}
        if one.made is not None:
            meta = artefacts.read_object(one.made.with_name(f"{one.made.name}.meta.json"))
            entry = {name: meta[name] for name in STATED if meta.get(name) is not None}
            if "imported" in entry:
                entry["imported"] = scrubbed(entry["imported"], {})  # which names a folder of this machine
            parts = (meta.get("parts") or {}).items()
            entry["failed"] = {name: part["failed"] for name, part in parts if part.get("failed")}
            if one.made == one.path:
                entry["sha256"] = artefacts.digest_of(one.path)
        made[one.name] = entry
    return {"schema": SCHEMA, "format": format, "recipe": recipe, "system": system, "tables": made}
