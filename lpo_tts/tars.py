"""Members of a tar as it lies on the disk: where each begins and how long it is; an index is made once, and kept."""

import bisect
import contextlib
import io
import os
import stat
import threading
from array import array
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from lpo_tts import tar_headers
from lpo_tts.errors import ArtefactError, os_errors
from lpo_tts.tar_headers import Fault, Found, decoded, encoded

LARGEST_READ = 1 << 24  # bytes of a member that is read at once
ABSENT = "none"  # what is said where there is nothing of a name, as "found ..." goes on
KEPT = 256 << 20  # bytes of indexes kept in a process, some 100 archives of Emilia


class Index(Sequence[str]):
    """The names of the plain files of one archive, sorted, with the place of each.

    A member takes its name and 20 bytes. What is no plain file, or is not unique, stands in `faults` instead.
    """

    def __init__(self, members: Sequence[Found], faults: Sequence[Fault], torn: str | None) -> None:
        """Takes what `tar_headers.walk` returns."""
        self.faults = faults
        self.torn = torn
        self._names = b"".join(name for name, _, _ in members)
        self._ends = array("I", [0])
        for name, _, _ in members:
            self._ends.append(self._ends[-1] + len(name))
        self._starts = array("Q", (start for _, start, _ in members))
        self._sizes = array("Q", (size for _, _, size in members))

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, number: int) -> str:  # type: ignore[override]  # slices are not needed
        return decoded(self._name(range(len(self))[number]))

    def _name(self, number: int) -> bytes:
        return self._names[self._ends[number] : self._ends[number + 1]]

    def find(self, name: str) -> tuple[int, int] | None:
        """First byte and size of a member; None where there is no plain file of that name."""
        key = encoded(name)
        number = bisect.bisect_left(range(len(self)), key, key=self._name)
        if number < len(self) and self._name(number) == key:
            return self._starts[number], self._sizes[number]
        return None

    def absent(self, name: str) -> str:
        """Why `find` gives None for a name, as "found ..." goes on."""
        own = next((fault.reason for fault in self.faults if fault.name == name), None)
        return own or (ABSENT if self.torn is None else f"{ABSENT}, but {self.torn}")

    @property
    def num_bytes(self) -> int:
        """What the index takes in memory, about."""
        return len(self._names) + 20 * len(self) + sum(len(fault.name) + len(fault.reason) + 200 for fault in self.faults)


_kept: OrderedDict[tuple[str, int, int], Index] = OrderedDict()
_lock = threading.Lock()
if hasattr(os, "register_at_fork"):  # a worker that is forked while another thread walks an archive must not wait for it
    os.register_at_fork(after_in_child=lambda: globals().update(_lock=threading.Lock()))


def index(path: str | os.PathLike) -> Index:
    """The members of a tar. It is walked once per process and state of the file; the indexes used last are kept.

    Raises:
        ArtefactError: the file cannot be read, is compressed, or is no tar.
    """
    with _opened(path) as file:
        return _index(path, file)


def read(path: str | os.PathLike, name: str) -> bytes:
    """The bytes of a small member, such as a row of JSON.

    Raises:
        ArtefactError: there is no such member, or it has more than LARGEST_READ bytes.
    """
    with window(path, name) as file:
        data = file.read(LARGEST_READ + 1)
    if len(data) > LARGEST_READ:
        raise ArtefactError(f"{path}: expected a small member {name!r}, found one of more than {LARGEST_READ} bytes")
    return data


@contextlib.contextmanager
def window(path: str | os.PathLike, name: str) -> Iterator[BinaryIO]:
    """A member as a file of its own, which reads from the archive what is asked for and nothing else.

    Raises:
        ArtefactError: as `index`, or there is no plain file of that name in the archive.
    """
    with _opened(path) as file:
        found = _index(path, file)
        place = found.find(name)
        if place is None:
            raise ArtefactError(f"{path}: expected the member {name!r}, found {found.absent(name)}; check the name")
        with io.BufferedReader(_Window(file, *place), 1 << 16) as member:
            yield member


@contextlib.contextmanager
def _opened(path: str | os.PathLike) -> Iterator[io.FileIO]:
    with os_errors("read", path):
        if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe would wait for ever
            raise ArtefactError(f"{path}: expected a tar, found a folder, a pipe or a device; check the path")
        file = open(path, "rb", buffering=0)  # noqa: SIM115
    with file:
        yield file


def _index(path: str | os.PathLike, file: io.FileIO) -> Index:
    found = os.fstat(file.fileno())
    key = (os.path.abspath(path), found.st_mtime_ns, found.st_size)
    with _lock:
        if key in _kept:
            _kept.move_to_end(key)
            return _kept[key]
        with os_errors("read", path):
            made = Index(*tar_headers.walk(Path(path), file, found.st_size))
        _kept[key] = made
        total = sum(one.num_bytes for one in _kept.values())
        while total > KEPT and len(_kept) > 1:
            total -= _kept.popitem(last=False)[1].num_bytes
        return made


class _Window(io.RawIOBase):
    """Some bytes of a file, which nobody else reads from."""

    def __init__(self, file: io.FileIO, start: int, size: int) -> None:
        self._file, self._start, self._size, self._at = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        wanted = max(0, min(len(buffer), self._size - self._at))
        self._file.seek(self._start + self._at)
        found = self._file.readinto(memoryview(buffer)[:wanted])
        self._at += found
        return found
