"""Where a recording lies: a file, a member of a tar, or a stretch of either; read in place, nothing is unpacked."""

import contextlib
import io
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lpo_tts import tars
from lpo_tts.errors import ArtefactError, os_errors

LONGEST = 1e9  # seconds, 30 years: what lies behind is no place in a recording
ABSENT = tars.ABSENT  # what `find` says where there is nothing of this name
_STRETCH = re.compile(r"(?P<path>.*)#t=(?P<start>\d+(?:\.\d+)?),(?P<stop>\d+(?:\.\d+)?)", re.DOTALL)


@dataclass(frozen=True)
class Place:
    """A path, taken apart.

    Attributes:
        file: what lies on the disk.
        member: name within the tar that `file` is; None = the file itself.
        stretch: first and last second of a part of the recording; None = all of it.
    """

    file: Path
    member: str | None = None
    stretch: tuple[float, float] | None = None


def find(path: str | os.PathLike) -> Place | str:
    """The place a path names, or why there is none, as "found ..." goes on. No recording is opened, so a pipe cannot hang.

    Args:
        path: a file; a member of a tar as a path through it (`EN-B000000.tar/EN_B00000_S00000_W000000.mp3`, under
            whatever name the tar lies on the disk); or one of these and seconds, as a W3C media fragment
            (`POD0001.opus#t=12.48,17.96`). What exists under the literal name goes before.

    Raises:
        ArtefactError: no file can have this name (too long, a NUL byte), the folder cannot be searched, or the tar it leads
            through cannot be read or is compressed.
    """
    name: str = os.fspath(path)
    mode = _mode(name)
    if mode is not None or os.path.islink(name):
        return _kind(mode) or Place(Path(name))
    stretch = None
    parts = _STRETCH.fullmatch(name)
    if parts is not None:
        name, stretch = parts["path"], (float(parts["start"]), float(parts["stop"]))
        if not stretch[0] < stretch[1]:
            return f"a stretch that ends before it begins (#t={parts['start']},{parts['stop']})"
        mode = _mode(name)
        if mode is not None or os.path.islink(name):
            return _kind(mode) or Place(Path(name), None, stretch)
    archive = _archive(Path(name))
    if archive is None:
        return ABSENT
    member = Path(name).relative_to(archive).as_posix()
    index = tars.index(archive)
    if index.find(member) is None:
        return index.absent(member)
    return Place(archive, member, stretch)


def stretch(path: str | os.PathLike, start: float, stop: float) -> str:
    """The place from one second to another of a recording, as `find` reads it; exact to a microsecond."""
    return f"{os.fspath(path)}#t={_seconds(start)},{_seconds(stop)}"


def is_seconds(value: object) -> bool:
    """Whether a value from a table can be a time in a recording: a number from 0 to LONGEST, which NaN and `true` are not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LONGEST


def _seconds(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


def exists(path: str | os.PathLike) -> bool:
    """Whether anything lies there, usable or not: reading tells the two apart. Of a tar, the index is made once."""
    try:
        found = find(path)
    except ArtefactError:
        return True
    return found != ABSENT


def may_exist(path: str | os.PathLike) -> bool:
    """Whether the file a place lies in is there, for a quick look at many: a tar is not opened, so a member counts as there."""
    path = os.fspath(path)
    try:
        if os.path.isfile(path):
            return True
        parts = _STRETCH.fullmatch(path)
        path = path if parts is None else parts["path"]
        return os.path.isfile(path) or _archive(Path(path)) is not None
    except ArtefactError:
        return False


@contextlib.contextmanager
def opened(place: Place) -> Iterator[BinaryIO]:
    """The whole file or member as a file to read, which begins at its first byte; of a tar, nothing else is read."""
    if place.member is not None:
        with tars.window(place.file, place.member) as member:
            yield member
        return
    with os_errors("read", place.file):
        file = io.FileIO(place.file)
    with file:
        yield file  # type: ignore[misc]


def _mode(path: str) -> int | None:
    """What the system says of a path; None where there is nothing."""
    with os_errors("read", path):
        try:
            return os.stat(path).st_mode
        except (FileNotFoundError, NotADirectoryError):
            return None


def _kind(mode: int | None) -> str | None:
    """What a path names that is no plain file; None = it is one."""
    if mode is None:
        return "a link that leads nowhere"
    if stat.S_ISREG(mode):
        return None
    return "a folder" if stat.S_ISDIR(mode) else "a named pipe" if stat.S_ISFIFO(mode) else "a device or socket"


def _archive(path: Path) -> Path | None:
    """The part of a path that is a plain file: only a tar has anything below it."""
    for parent in path.parents:
        mode = _mode(os.fspath(parent))
        if mode is not None:
            return parent if stat.S_ISREG(mode) else None
    return None
