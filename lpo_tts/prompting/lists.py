"""Test lists: seed-tts-eval's meta.lst, JSONL, and this project's prompts.jsonl, as prompts."""

import logging
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from lpo_tts import places
from lpo_tts.errors import ArtefactError
from lpo_tts.files import loads, read_lines
from lpo_tts.records import Prompt, Utterance

log = logging.getLogger("lpo_tts")

SHOWN = 3  # ours: recordings that are not there, of those that a message names; the others are counted


def load_list(path: Path, language: str = "en", split: str | None = None) -> list[Prompt]:
    """Reads a test list; voices and targets in it are relative to its folder, and come out relative to the working folder.

    An id names an audio file below the folder that is judged: `a` and `speaker/a` are ids, `../a` and `/a` are not.

    Args:
        path: `.jsonl`: rows with id, text, and optionally voice, target, language, tags (a voice is a path, or an
            Utterance row as in prompts.jsonl, of which audio and text are taken). Anything else: seed-tts-eval's form,
            fields between "|": 2 `id|text`, 3 `id|text|voice`, 4 `id|voice text|voice|text`, 5 the same with the target
            recording.
        language: Of rows that name none.
        split: Only rows of this split, and those that name none; None = all.

    Raises:
        ArtefactError: The list is missing, empty, torn, has an id twice, or a row has a field that is empty or of another
            kind than it should be; the message names the line. Whether recordings are there, `check_recordings` tells.
    """
    parse = _json_row if path.suffix.lower() == ".jsonl" else meta_row
    items: dict[str, Prompt] = {}
    others = 0
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        item = parse(line, path, where, language)
        if item.id in items:
            raise ArtefactError(f"{where}: id {item.id!r} stands twice; ids name the audio files, so each may appear once")
        if split is not None and parse is _json_row and loads(line, where).get("split", split) != split:
            others += 1
            continue
        items[item.id] = item
    if not items:
        found = f"{others} rows of other splits" if others else "none"
        raise ArtefactError(f"{path}: expected at least one utterance{f' of split {split}' if others else ''}, found {found}")
    if others:
        log.info("%s: %d rows of other splits than %s are left out", path, others, split)
    return list(items.values())


def check_recordings(path: Path, prompts: Iterable[Prompt]) -> None:
    """Refuses a list whose voices or targets are not there, before anybody works on its rows.

    Nothing is decoded. Of a tar the index is made, which reading needs too; it is kept.

    Args:
        path: the list, or a table of prompts (prompts.jsonl).
        prompts: the rows of it that are used, with paths relative to the working folder.

    Raises:
        ArtefactError: a recording that a row names is no file, or cannot be looked for. The message names the first ones with
            their lines, and how many more there are.
    """
    faults: dict[str, tuple[str, str, str]] = {}  # path -> id of the first row that names it, what it is there, what is wrong
    seen: set[str] = set()
    for one in prompts:
        for name, recording in (("voice", one.voice), ("target", one.target)):
            if recording is not None and recording.audio not in seen:
                seen.add(recording.audio)
                fault = _absent(recording.audio)
                if fault is not None:
                    faults[recording.audio] = one.id, name, fault
    if not faults:
        return
    lines = _lines(path)
    told = [f"{path}:{lines[row]}: the {name} of {row!r}: {fault}" for row, name, fault in list(faults.values())[:SHOWN]]
    more = len(faults) - len(told)
    raise ArtefactError(
        "\n".join([*told, *([f"and {more} more of its recordings are not there"] if more else [])])
        + "; put each recording in its place, correct the paths (they start from the folder of the list), or leave them out"
    )


def _absent(audio: str) -> str | None:
    """What is said of a recording that is not there; None = it is."""
    try:
        found = places.find(audio)
    except ArtefactError as error:
        return str(error)
    return f"expected a recording {audio}, found {found}" if isinstance(found, str) else None


def _lines(path: Path) -> dict[str, int]:
    """Id -> number of its line, of a list that was read without fault."""
    rows = [(number, line) for number, line in enumerate(read_lines(path), start=1) if line.strip()]
    if path.suffix.lower() == ".jsonl":
        return {loads(line, f"{path}:{number}")["id"]: number for number, line in rows}
    return {_meta_id(line.partition("|")[0]): number for number, line in rows}


def inside(name: str) -> bool:
    """Whether an id names a file below a folder, and no other id names the same one (`a//b`, `a/./b`)."""
    pure = PurePosixPath(name)
    return pure.as_posix() == name != "." and not pure.is_absolute() and ".." not in pure.parts and "\0" not in name


def _prompt(where: str, name: str, text: str, **fields: Any) -> Prompt:
    if not name:
        raise ArtefactError(f"{where}: the id is empty")
    if not inside(name):
        raise ArtefactError(
            f"{where}: expected an id that names a file below the folder of audio, as 'a' or 'speaker/a', found {name!r}; "
            "rename it in the list and in the folder"
        )
    if not text.strip():
        raise ArtefactError(f"{where}: the text of {name!r} is empty, so nothing can be judged; fill it in or drop the row")
    return Prompt(id=name, text=text, split="test", **fields)


def _utterance(path: Path, text: str = "") -> Utterance:
    """A recording that a list names; how long it is and who speaks, a list does not say."""
    return Utterance(id=str(path), audio=str(path), text=text, duration=0.0, speaker="")


def meta_row(line: str, path: Path, where: str, language: str) -> Prompt:
    """The prompt of one line of a list in seed-tts-eval's form; see `load_list`.

    Args:
        line: fields between "|".
        path: the list, whose folder the recordings are relative to.
        where: file and line, for messages.
        language: of the text.

    Raises:
        ArtefactError: the line has another form, or a field that is empty.
    """
    if "\0" in line:
        raise ArtefactError(f"{where}: expected text, found a NUL character; the list is damaged or no text file")
    fields = [part.strip() for part in line.split("|")]
    folder = path.parent
    match fields:
        case [name, text]:
            said = voice = target = ""
        case [name, text, voice]:
            said = target = ""
        case [name, said, voice, text]:
            target = ""
        case [name, said, voice, text, target]:
            pass
        case _:
            raise ArtefactError(f"{where}: expected 2 to 5 fields between '|', found {len(fields)}; see load_list for the forms")
    if not text:
        forms = ("id|text", "id|text|voice", "id|voice text|voice|text", "id|voice text|voice|text|target")
        raise ArtefactError(f"{where}: the text is empty: {len(fields)} fields are read as {forms[len(fields) - 2]}")
    return _prompt(
        where,
        _meta_id(name),
        text,
        language=language,
        voice=_utterance(folder / voice, said) if voice else None,
        target=_utterance(folder / target, text) if target else None,
    )


def _meta_id(field: str) -> str:
    """The id in the first field of a list in seed-tts-eval's form."""
    return re.sub(r"\.wav$", "", Path(field.strip()).name, flags=re.IGNORECASE)


def _json_row(line: str, path: Path, where: str, language: str) -> Prompt:
    row = loads(line, where)
    if not isinstance(row, dict) or not isinstance(row.get("id"), str) or not isinstance(row.get("text"), str):
        raise ArtefactError(f"{where}: expected an object with 'id' and 'text', both text, found {line[:80]!r}")
    own = row.get("language")
    if own is not None and (not isinstance(own, str) or not own.strip()):
        raise ArtefactError(f"{where}: expected 'language' to be text such as 'en', found {own!r}")
    return _prompt(
        where,
        row["id"],
        row["text"],
        language=language if own is None else own,
        voice=_recording(row.get("voice"), path, where, "voice"),
        target=_recording(row.get("target"), path, where, "target"),
        tags=_tags(row.get("tags"), where),
    )


def _tags(value: Any, where: str) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ArtefactError(f"{where}: expected 'tags' to map names to values, found {value!r}")
    for name, one in value.items():
        if not isinstance(one, str | int | float) or (isinstance(one, float) and not math.isfinite(one)):
            raise ArtefactError(f"{where}: expected the tag {name!r} to be text or a number, found {one!r}")
    return {name: str(one) for name, one in value.items()}


def _recording(value: Any, path: Path, where: str, name: str) -> Utterance | None:
    found = value.get("audio") if isinstance(value, Mapping) else value
    if value is None:
        return None
    if not isinstance(found, str) or not found:
        raise ArtefactError(f"{where}: expected {name!r} to be a path or a row with 'audio', found {value!r}")
    said = value.get("text", "") if isinstance(value, Mapping) else ""
    if not isinstance(said, str):
        raise ArtefactError(f"{where}: expected the 'text' of {name!r} to be text, found {said!r}")
    return _utterance(path.parent / found, said)
