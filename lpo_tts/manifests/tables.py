"""Tables as those who made a corpus wrote them: whether one is there, its lines, and the names of files in it."""

from collections.abc import Iterator
from pathlib import Path

from lpo_tts import audio
from lpo_tts.errors import ArtefactError, os_errors


def table_file(path: Path, what: str, advice: str = "check the path") -> Path:
    """The path of a table; raises ArtefactError when it is no plain file (a pipe would wait for ever)."""
    found = audio.path_fault(path)
    if found is not None:
        raise ArtefactError(f"{path}: expected {what}, found {found}; {advice}")
    return path


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 text file that are not blank, with their numbers; read one by one, so any length will do.

    A byte-order mark is dropped, and only line feeds part lines.

    Raises:
        ArtefactError: the file cannot be read or is not UTF-8.
    """
    try:
        with os_errors("read", path), path.open(encoding="utf-8-sig", newline="\n") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ArtefactError(f"{path}: expected UTF-8 text, found other bytes ({error}); convert it") from error


def is_name(text: str) -> bool:
    """Whether a table names a file within a folder, and no path that leads out of it."""
    return text not in ("", ".", "..") and Path(text).name == text
