"""Test lists: seed-tts-eval's meta.lst, JSONL, and this project's prompts.jsonl, as one kind of row."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lpo_tts.errors import ArtefactError


@dataclass(frozen=True, kw_only=True)
class ListItem:
    """One utterance of a test list: what should be said, in whose voice, and a recording of it where there is one."""

    id: str
    text: str
    language: str
    voice: Path | None = None
    target: Path | None = None
    tags: dict[str, str] = field(default_factory=dict)


def load_list(path: Path, language: str = "en") -> list[ListItem]:
    """Reads a test list; audio paths in it are relative to its folder.

    Args:
        path: `.jsonl`: rows with id, text, and optionally voice, target, language, tags (a voice is a path, or an
            Utterance row as in prompts.jsonl). Anything else: seed-tts-eval's form, fields between "|":
            2 `id|text`, 3 `id|text|voice`, 4 `id|voice text|voice|text`, 5 the same with the target recording.
        language: Of rows that name none.

    Raises:
        ArtefactError: The list is missing, empty, torn, or has an id twice.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ArtefactError(f"cannot read the list {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ArtefactError(f"{path}: expected UTF-8 text, found other bytes ({error}); convert it") from error
    parse = _json_row if path.suffix == ".jsonl" else _meta_row
    items: dict[str, ListItem] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        item = parse(line, path, f"{path}:{number}", language)
        if item.id in items:
            raise ArtefactError(
                f"{path}:{number}: id {item.id!r} stands twice; ids name the audio files, so each may appear once"
            )
        items[item.id] = item
    if not items:
        raise ArtefactError(f"{path}: expected at least one utterance, found none")
    return list(items.values())


def _meta_row(line: str, path: Path, where: str, language: str) -> ListItem:
    fields = [part.strip() for part in line.split("|")]
    folder = path.parent
    match fields:
        case [name, text]:
            voice = target = None
        case [name, text, voice]:
            target = None
        case [name, _, voice, text]:
            target = None
        case [name, _, voice, text, target]:
            pass
        case _:
            raise ArtefactError(f"{where}: expected 2 to 5 fields between '|', found {len(fields)}; see load_list for the forms")
    if not name:
        raise ArtefactError(f"{where}: the id is empty")
    name = Path(name).name.removesuffix(".wav")
    return ListItem(
        id=name,
        text=text,
        language=language,
        voice=folder / voice if voice else None,
        target=folder / target if target else None,
    )


def _json_row(line: str, path: Path, where: str, language: str) -> ListItem:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise ArtefactError(f"{where}: expected a JSON object, found a torn or malformed line ({error})") from error
    if not isinstance(row, dict) or not isinstance(row.get("id"), str) or not isinstance(row.get("text"), str) or not row["id"]:
        raise ArtefactError(f"{where}: expected an object with 'id' and 'text', both text, found {line[:80]!r}")
    tags = row.get("tags") or {}
    if not isinstance(tags, dict):
        raise ArtefactError(f"{where}: expected 'tags' to map names to values, found {tags!r}")
    return ListItem(
        id=row["id"],
        text=row["text"],
        language=row.get("language") or language,
        voice=_recording(row.get("voice"), path, where, "voice"),
        target=_recording(row.get("target"), path, where, "target"),
        tags={str(name): str(value) for name, value in tags.items()},
    )


def _recording(value: Any, path: Path, where: str, name: str) -> Path | None:
    if isinstance(value, Mapping):
        value = value.get("audio")
    if value is None:
        return None
    if not isinstance(value, str):
        raise ArtefactError(f"{where}: expected {name!r} to be a path or a row with 'audio', found {value!r}")
    return path.parent / value
