"""Emilia (CC BY-NC 4.0) and Emilia-YODAS (CC BY 4.0; 216,000 hours in six languages, 24 kHz mp3) to manifest.jsonl."""

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

if not __package__:  # run by its path: the modules beside it are not found
    print("run it as a module, from the checkout: python -m data_prep.emilia", file=sys.stderr)
    sys.exit(2)

from data_prep.json_streams import objects
from data_prep.manifest import Dropped, Recording, parser, run, table_file
from lpo_tts import tars
from lpo_tts.artefacts import loads
from lpo_tts.errors import ArtefactError, os_errors

SOURCE = re.compile(r"([A-Z]{2})[-_]B\d+\.(jsonl|tar|tar\.gz|tgz)")  # EN_B00000.jsonl beside EN_B00000/, or EN-B000000.tar
DEPTH = 4  # folders from RAW_DIR down to the sources; the recordings themselves lie deeper and are not listed
AUDIO = (".mp3", ".flac", ".wav", ".ogg")


def sources(raw: Path, languages: Sequence[str] = ()) -> list[Path]:
    """The tables (`EN/EN_B*.jsonl`, with recordings below `EN/`) and the WebDataset tars (`EN/EN-B*.tar`), by path.

    Args:
        raw: any folder above them, at most DEPTH levels.
        languages: those whose files are wanted, such as "en"; none: all.

    Raises:
        ArtefactError: there is none, or none of a language, or a folder cannot be read.
    """
    found = sorted(_sources(raw, DEPTH, set()))
    if not found:
        raise ArtefactError(
            f"{raw}: expected EN_B*.jsonl or EN-B*.tar (of any language) in it, found none; give the folder Emilia as RAW_DIR"
        )
    absent = sorted(set(languages) - {_language(path) for path in found})
    if absent:
        there = ", ".join(sorted({_language(path) for path in found}))
        raise ArtefactError(f"{raw}: no file of language {', '.join(absent)}; there are: {there}")
    return [path for path in found if not languages or _language(path) in languages]


def _sources(folder: Path, depth: int, seen: set[str]) -> Iterator[Path]:
    place = os.path.realpath(folder)
    if place in seen:  # links may lead in a circle
        return
    seen.add(place)
    with os_errors("read the folder", folder):
        names = sorted(os.listdir(folder))
    for name in names:
        path = folder / name
        if SOURCE.fullmatch(name):
            yield path if path.suffix != ".jsonl" else table_file(path, "a table of Emilia")
        elif depth > 1 and not name.startswith(".") and "_B" not in name and os.path.isdir(path):
            yield from _sources(path, depth - 1, seen)


def _language(path: Path) -> str:
    return path.name[:2].lower()


def find(raw: Path, languages: Sequence[str] = ()) -> Iterator[Recording | Dropped]:
    """Every row, one source after the other. Members of tars are read in place, and one archive's names are held at a time.

    The dnsmos that comes with a row becomes a tag, and so does the subset, whose licences differ.

    Raises:
        ArtefactError: as `sources`.
    """
    for path in sources(raw, languages):
        rows = _table(path) if path.suffix == ".jsonl" else _archive(path)
        subset = "Emilia-YODAS" if "Emilia-YODAS" in path.parts else "Emilia"
        for one in rows:
            yield one if isinstance(one, Dropped) else _recording(*one, subset)


def _table(path: Path) -> Iterator[tuple[str, dict[str, Any], Path] | Dropped]:
    for row in objects(path):
        if isinstance(row, Dropped):
            yield row
            continue
        where, fields = row
        name = fields.get("wav")
        if not isinstance(name, str) or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            yield Dropped(id=str(fields.get("id", where)), reason=f"{where}: expected a path below {path.parent}, found {name!r}")
        else:
            yield where, fields, path.parent / name


def _archive(path: Path) -> Iterator[tuple[str, dict[str, Any], Path] | Dropped]:
    """Pairs of `<key>.json` and `<key>.mp3`; the path within a row is that of the machine where the tar was made."""
    try:
        index = tars.index(path)
    except ArtefactError as error:
        yield Dropped(id=path.name, reason=str(error))
        return
    for fault in index.faults:
        yield Dropped(id=fault.name if fault.name == path.name else f"{path.name}/{fault.name}", reason=fault.reason)
    for name in index:
        stem, suffix = os.path.splitext(name)
        where = f"{path.name}/{name}"
        if suffix in AUDIO and index.find(f"{stem}.json") is None:
            yield Dropped(id=where, reason=f"{path}: {name} has no text beside it ({stem}.json)")
        if suffix != ".json":
            continue
        recording = next((stem + one for one in AUDIO if index.find(stem + one) is not None), None)
        if recording is None:
            yield Dropped(id=where, reason=f"{path}: {name} has no recording beside it ({stem}.mp3)")
            continue
        try:
            fields = loads(tars.read(path, name).decode(), where)
        except (ArtefactError, UnicodeDecodeError) as error:
            yield Dropped(id=where, reason=f"{path}: {error}")
            continue
        yield where, fields, path / recording


def _recording(where: str, fields: Any, audio: Path, subset: str) -> Recording | Dropped:
    """A row: the keys are those of Emilia; in Emilia-YODAS the id is `_id`."""
    if not isinstance(fields, dict):
        return Dropped(id=where, reason=f"{where}: expected an object with the fields of a row, found {type(fields).__name__}")
    names = {"id": "_id" if "_id" in fields else "id", "text": "text", "speaker": "speaker", "language": "language"}
    values = {name: fields.get(key) for name, key in names.items()}
    texts = {name: value for name, value in values.items() if isinstance(value, str) and value.strip()}
    if len(texts) < len(values):
        wrong = ", ".join(name for name in values if name not in texts)
        return Dropped(id=where, reason=f"{where}: expected text in {wrong}, found {fields!r}"[:300])
    quality = fields.get("dnsmos")
    tags = {"subset": subset} | ({"dnsmos": f"{quality}"} if isinstance(quality, int | float) else {})
    return Recording(
        id=texts["id"],
        audio=audio,
        text=texts["text"],
        speaker=texts["speaker"],
        language=texts["language"].lower(),
        tags=tags,
    )


def tables(raw: Path, languages: Sequence[str] = ()) -> Mapping[str, Sequence[Path]]:
    """The tables of each language. Texts in tars have no hash of their own: it would take reading all the sound."""
    found = [path for path in sources(raw, languages) if path.suffix == ".jsonl"]
    groups = sorted({_language(path).upper() for path in found})
    return {f"{group}_B*.jsonl": [path for path in found if _language(path).upper() == group] for group in groups}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: returns the exit code."""
    command = parser(__doc__)
    given = command.parse_args(arguments)
    # Files of other languages are not even opened; rows are left out by --languages as in every corpus.
    languages = [one.split("-")[0].lower() for one in given.languages]
    return run("emilia", given, lambda: find(given.raw, languages), lambda: tables(given.raw, languages))


if __name__ == "__main__":
    sys.exit(main())
