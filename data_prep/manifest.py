"""What corpus programs are made of: what they yield, their command line, and the run that makes a manifest of it."""

import argparse
import hashlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from data_prep.command_line import options_of, parser
from lpo_tts.artefacts import Provenance
from lpo_tts.errors import ArtefactError, exit_code, os_error_text, os_errors
from lpo_tts.manifests.recordings import Dropped, Recording
from lpo_tts.manifests.tables import table_file
from lpo_tts.manifests.writing import write

__all__ = ["Dropped", "Recording", "parser", "run", "table_file", "walk"]


def run(
    corpus: str,
    arguments: argparse.Namespace,
    find: Callable[[], Iterable[Recording | Dropped]],
    tables: Callable[[], Mapping[str, Iterable[Path]]],
) -> int:
    """Finds, checks, writes; returns the exit code: 0, or 2 for what the user can mend.

    The same command goes on where it was interrupted.

    Args:
        corpus: name noted in the side-car.
        arguments: the parsed command line of `parser`, and what the corpus added to it; noted in the side-car.
        find: yields what the corpus holds, in the same order at every call. It is called when RAW_DIR is known to be a folder.
        tables: the files the texts come from, in groups by name; the hash of each group goes into the side-car.
    """

    def work() -> None:
        options = options_of(arguments)
        with os_errors("read", arguments.raw):
            is_folder = arguments.raw.is_dir()
        if not is_folder:
            raise ArtefactError(f"{arguments.raw}: expected the folder of the corpus, found none; check the path")
        inputs = {name: _hash(paths, options.out) for name, paths in tables().items()}
        provenance = Provenance(f"data_prep/{corpus}", _settings(arguments), inputs)
        print(write(_Again(find), options, provenance), file=sys.stderr)

    return exit_code(corpus, work)


class _Again:
    """What `find` yields, from its start at every `iter`."""

    def __init__(self, find: Callable[[], Iterable[Recording | Dropped]]) -> None:
        self._find = find

    def __iter__(self) -> Iterator[Recording | Dropped]:
        return iter(self._find())


def walk(root: Path) -> Iterator[Path | Dropped]:
    """Everything below a folder, in the order of the paths; folders that were not entered come as `Dropped`.

    Links to folders are not followed: they may lead in a circle. The names of one folder at a time are in memory.
    """
    yield from _below(root, root)


def _below(folder: Path, root: Path) -> Iterator[Path | Dropped]:
    try:
        with os.scandir(folder) as entries:
            names = sorted((entry.name, _is_folder(entry), entry.is_symlink()) for entry in entries)
    except OSError as error:
        yield Dropped(id=str(folder.relative_to(root)), reason=os_error_text("read the folder", folder, error))
        return
    for name, is_folder, is_link in names:
        path = folder / name
        if is_folder and is_link:
            reason = f"{path} is a link to a folder and was not followed; give that folder as RAW_DIR"
            yield Dropped(id=str(path.relative_to(root)), reason=reason, fault=False, filter="link")
            continue
        yield path
        if is_folder:
            yield from _below(path, root)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads in a circle
        return False


def _hash(paths: Iterable[Path], out: Path) -> str:
    """sha-256 of a file, or over the contents of several and their names seen from the first one's folder.

    Raises:
        ArtefactError: a file cannot be read, or is the one to be written.
    """
    out_path = os.path.realpath(out)
    digest, first, alone = hashlib.sha256(), None, ""
    for number, path in enumerate(paths):
        if os.path.realpath(path) == out_path:
            raise ArtefactError(f"{out}: expected a table to write, found one the texts come from; choose another --out")
        first = path.parent if first is None else first
        with os_errors("read", path), path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        alone = "" if number else found
        digest.update(f"{os.path.relpath(path, first)}:{found}\n".encode("utf-8", "surrogateescape"))
    return alone or digest.hexdigest()


def _settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """Options as plain values; where folders lie, and how many processes work, is no part of what the manifest says."""
    return {name: value for name, value in vars(arguments).items() if not isinstance(value, Path) and name != "workers"}
