"""lpo-tts.json: what an exported data set says of how its tables were made, so that an import can go on from there."""

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
        return cls(str(tree.get("format")), tree["tables"])


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
