"""What trackers remember in the run folder, so that training and evaluation of a system meet in one place."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lpo_tts.errors import ArtefactError
from lpo_tts.files import read_object, write_json


def remembered(path: Path, tracker: str, system: str) -> dict[str, Any]:
    """What a tracker wrote down of a system; empty where it wrote nothing."""
    if not path.exists():
        return {}
    found: Any = read_object(path)
    for key in (tracker, system):
        found = found.get(key, {})
        if not isinstance(found, dict):
            raise ArtefactError(f"{path}: expected an object under {key!r}, found {found!r}; delete the file and run again")
    return dict(found)


def remember(path: Path, tracker: str, system: str, values: Mapping[str, Any]) -> None:
    """Writes it down, in place of what was there of this system."""
    tree = read_object(path) if path.exists() else {}
    tree[tracker] = {**tree.get(tracker, {}), system: dict(values)}
    write_json(path, tree)
