"""JSON that is too large to be held: lines of a (gzipped) table, and the elements of one array in a file of gigabytes."""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from data_prep.manifest import Dropped
from lpo_tts.artefacts import loads
from lpo_tts.errors import ArtefactError, os_errors

CHUNK = 1 << 22  # characters read at a time
LARGEST = 1 << 28  # characters of one element; more is a file that is damaged or of another form


def objects(path: Path) -> Iterator[tuple[str, dict[str, Any]] | Dropped]:
    """Rows of a .jsonl or .jsonl.gz, each with its place as `name:line`; a line that is no JSON object comes as `Dropped`.

    A file that is cut gives its whole lines and one fault.

    Raises:
        ArtefactError: the file cannot be opened.
    """
    number = 0
    with os_errors("read", path), (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
        lines = enumerate(file, 1)
        while True:
            try:
                number, line = next(lines, (0, b""))
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                reason = f"{path}:{number + 1}: cut or damaged ({error}); the lines before were read: fetch the file again"
                yield Dropped(id=f"{path.name}:{number + 1}", reason=reason)
                return
            if not number:
                return
            if line.strip():
                yield _object(line, f"{path.name}:{number}", path)


def _object(line: bytes, where: str, path: Path) -> tuple[str, dict[str, Any]] | Dropped:
    try:
        row = loads(line.decode("utf-8-sig"), where)
    except UnicodeDecodeError as error:
        return Dropped(id=where, reason=f"{where}: not UTF-8 text: {error}")
    except ArtefactError as error:
        return Dropped(id=where, reason=str(error))
    if not isinstance(row, dict):
        return Dropped(id=where, reason=f"{where}: expected an object with the fields of a row, found {type(row).__name__}")
    return where, row


def elements(path: Path, key: str) -> Iterator[Any]:
    """The elements of the array that stands under a key of a file's outermost object, one at a time.

    Memory does not grow with the array: the text is read in pieces, and what was decoded is let go.

    Raises:
        ArtefactError: the file cannot be read, is no JSON object, has no array of that name, or is cut or damaged, which
            comes after every element that is whole.
    """
    try:
        with os_errors("read", path), path.open(encoding="utf-8-sig") as file:
            text = _Text(path, file)
            text.take("{")
            while text.peek() != "}":
                name = text.value()
                text.take(":")
                if name == key:
                    yield from text.array()
                    return
                text.value()
                if text.peek() == ",":
                    text.take(",")
    except UnicodeDecodeError as error:
        raise ArtefactError(f"{path}: expected UTF-8 text, found other bytes ({error})") from error
    raise ArtefactError(f"{path}: expected an array {key!r} in the outermost object, found none; is it the file of this corpus?")


class _Text:
    """JSON text read in pieces, with a place in it."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self._path, self._file = path, file
        self._text, self._at, self._before = "", 0, 0
        self._ended = False
        self._decode = json.JSONDecoder().raw_decode

    def peek(self) -> str:
        """The next character that is no space; "" at the end of the file."""
        while True:
            while self._at < len(self._text):
                if not self._text[self._at].isspace():
                    return self._text[self._at]
                self._at += 1
            if not self._more():
                return ""

    def take(self, wanted: str) -> None:
        found = self.peek()
        if found != wanted:
            raise self._fault(f"expected {wanted!r}, found {found!r}" if found else f"expected {wanted!r}, found its end")
        self._at += 1

    def value(self) -> Any:
        """The next value; more text is read until it is whole."""
        self.peek()
        while True:
            try:
                value, end = self._decode(self._text, self._at)
            except (json.JSONDecodeError, RecursionError) as error:
                if self._ended or len(self._text) - self._at > LARGEST:
                    self._at = getattr(error, "pos", self._at)
                    raise self._fault(f"cut or damaged: {getattr(error, 'msg', 'brackets are nested too deep')}") from error
            else:
                if end < len(self._text) or self._ended:  # a number at the end of a piece may go on in the next
                    self._at = end
                    return value
            self._more()

    def array(self) -> Iterator[Any]:
        self.take("[")
        while self.peek() != "]":
            yield self.value()
            if self.peek() != "]":
                self.take(",")

    def _more(self) -> bool:
        """Reads on, as much as is held already, so that a long value is not decoded again and again."""
        self._text, self._before, self._at = self._text[self._at :], self._before + self._at, 0
        piece = "" if self._ended else self._file.read(max(CHUNK, len(self._text)))
        self._ended = not piece
        self._text += piece
        return bool(piece)

    def _fault(self, what: str) -> ArtefactError:
        return ArtefactError(f"{self._path}: {what}, at character {self._before + self._at}; fetch the file again")
