"""Members of a tar as it lies on the disk: where each begins and how long it is, found by walking the headers once."""

import bisect
import contextlib
import io
import os
import re
import stat
import tarfile
import threading
from array import array
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from lpo_tts.errors import ArtefactError, os_errors

COMPRESSED = re.compile(r"\.(tgz|tbz2?|txz|tar\.(gz|bz2|xz|zst|lz4|Z))$", re.IGNORECASE)
COMPRESSED_MAGIC = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd")  # gzip, bzip2, xz, zstd
BLOCK = tarfile.BLOCKSIZE
LONGEST_HEADER = 1 << 16  # bytes of a GNU or pax extension; a name of a file system has at most 4,096
KEPT = 256 << 20  # bytes of indexes kept in a process, some 100 archives of Emilia


@dataclass(frozen=True)
class Fault:
    """Something of an archive that is not read.

    Attributes:
        name: the member, or the file name of the archive where the fault is the archive's.
        reason: what was found, and where.
    """

    name: str
    reason: str


class Index(Sequence[str]):
    """The names of the plain files of one archive, sorted, with the place of each.

    A member takes its name and 20 bytes. What is no plain file, or is not unique, stands in `faults` instead.
    """

    def __init__(self, members: list[tuple[bytes, int, int]], faults: list[Fault], torn: str | None) -> None:
        """Takes (name, first byte, size) of each member; `torn` says where the archive ends too early."""
        members.sort()
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
        return os.fsdecode(self._name(range(len(self))[number]))

    def _name(self, number: int) -> bytes:
        return self._names[self._ends[number] : self._ends[number + 1]]

    def find(self, name: str) -> tuple[int, int] | None:
        """First byte and size of a member; None where there is no plain file of that name."""
        key = os.fsencode(name)
        number = bisect.bisect_left(range(len(self)), key, key=self._name)
        if number < len(self) and self._name(number) == key:
            return self._starts[number], self._sizes[number]
        return None

    def absent(self, name: str) -> str:
        """Why `find` gives None for a name, as "found ..." goes on."""
        own = next((fault.reason for fault in self.faults if fault.name == name), None)
        return own or ("none" if self.torn is None else f"none, but {self.torn}")

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
    """The bytes of a small member, such as a row of JSON; raises ArtefactError where there is no such member."""
    with window(path, name) as file:
        return file.read()


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
            made = _walk(Path(path), file, found.st_size)
        _kept[key] = made
        total = sum(one.num_bytes for one in _kept.values())
        while total > KEPT and len(_kept) > 1:
            total -= _kept.popitem(last=False)[1].num_bytes
        return made


class _Window(io.RawIOBase):
    """Some bytes of a file. It has its own position, and asks the system for bytes by their place."""

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
        data = os.pread(self._file.fileno(), wanted, self._start + self._at)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


class _Headers:
    """The file as tarfile sees it: an extension may not be longer than any name is, whatever its header says."""

    def __init__(self, file: io.FileIO) -> None:
        self._file, self.tell, self.seek = file, file.tell, file.seek

    def read(self, size: int) -> bytes:
        if not 0 <= size <= LONGEST_HEADER:
            raise ValueError(f"it tells of an extension of {size} bytes")
        return self._file.read(size)


_DAMAGED = (tarfile.TarError, ValueError, OverflowError, LookupError, RecursionError)


def _walk(path: Path, file: io.FileIO, size: int) -> Index:
    """Reads every header, one after the other. Only a mark of two empty blocks, or one, ends an archive as it should."""
    members: dict[bytes, tuple[int, int]] = {}
    twice: dict[bytes, list[int]] = {}
    faults: list[Fault] = []
    member: tarfile.TarInfo | None = None
    torn: str | None = None
    at = 0
    archive = _parser(path, file)
    while True:
        block = os.pread(file.fileno(), BLOCK, at)
        if len(block) < BLOCK:
            torn = f"the archive is cut at byte {size}, where its next header or its end should stand"
        elif not any(block):
            if _holds_more(file, at):
                reason = f"the archive ends at byte {at}, and more stands behind its end (archives that were joined?)"
                faults.append(Fault(path.name, f"{path}: {reason}; what stands there was not read: part them"))
            break
        else:
            member, torn = _member(archive, file, at, size)
        if torn is not None or member is None:
            faults.append(Fault(path.name, f"{path}: {torn}; every whole member before it was read: fetch the archive again"))
            break
        at = archive.offset
        if member.isdir():
            continue
        name = os.fsencode(_plain(member.name))
        fault = _refused(member)
        if fault is not None:
            faults.append(Fault(os.fsdecode(name), f"{fault}, in {path}"))
        elif name in members:
            twice.setdefault(name, [members[name][0]]).append(member.offset_data)
        else:
            members[name] = member.offset_data, member.size
    for name, starts in twice.items():
        del members[name]
        places = " and ".join(map(str, starts[:2])) + (f" and {len(starts) - 2} more" if len(starts) > 2 else "")
        faults.append(Fault(os.fsdecode(name), f"a name that stands {len(starts)} times, at bytes {places}, in {path}"))
    return Index([(name, start, length) for name, (start, length) in members.items()], faults, torn)


def _member(archive: tarfile.TarFile, file: io.FileIO, at: int, size: int) -> tuple[tarfile.TarInfo | None, str | None]:
    """The member whose header begins at a byte; or None and what is wrong. `archive.offset` is then where the next begins."""
    file.seek(at)
    try:
        member = tarfile.TarInfo.fromtarfile(archive)
    except _DAMAGED as error:
        if size <= file.tell():
            return None, f"the archive is cut at byte {size}, in the header that begins at byte {at}"
        return None, f"the header at byte {at} is damaged ({str(error) or type(error).__name__})"
    if not at < archive.offset or member.size < 0:
        return None, f"the header at byte {at} is damaged (a size of {member.size} bytes)"
    if member.isfile() and not member.issparse() and member.offset_data + member.size > size:
        return None, f"the archive is cut at byte {size}, in the data of {member.name!r}"
    return member, None


def _parser(path: Path, file: io.FileIO) -> tarfile.TarFile:
    """A TarFile that lends `TarInfo.fromtarfile` its settings.

    `TarFile.next` is not used: it takes a damaged header in the middle for the end of the archive, and keeps every member.
    """
    start = file.read(BLOCK)
    file.seek(0)
    if COMPRESSED.search(path.name) or start.startswith(COMPRESSED_MAGIC):
        raise ArtefactError(
            f"{path}: expected a plain .tar, found a compressed one, whose members cannot be read in place; "
            "unpack it, or decompress it to a .tar"
        )
    try:
        return tarfile.TarFile(fileobj=_Headers(file), mode="r", encoding="utf-8", errors="surrogateescape")  # type: ignore
    except _DAMAGED as error:
        raise ArtefactError(
            f"{path}: expected a tar, found another format or a damaged first header ({error}); fetch the archive again"
        ) from error


def _holds_more(file: io.FileIO, end: int) -> bool:
    """Whether anything but the zeros that fill an archive up stands behind its end."""
    file.seek(end)
    while data := file.read(1 << 20):
        if data.count(0) < len(data):
            return True
    return False


def _plain(name: str) -> str:
    """`./a//b` as `a/b`; what leads out of the archive stays as it is."""
    return PurePosixPath(name).as_posix()


def _refused(member: tarfile.TarInfo) -> str | None:
    """Why a member is not read, as "found ..." goes on; None = it is a plain file with a name below the archive."""
    if not member.name or "\0" in member.name:
        return "a member without a usable name"
    if member.name.startswith("/"):
        return "a member with an absolute name, which is never followed"
    if ".." in member.name.split("/"):
        return "a member whose name leads out of the archive, which is never followed"
    if member.issym() or member.islnk():
        return f"a link to {member.linkname!r}, which is never followed"
    if member.issparse():
        return "a sparse file, which has no bytes in one piece"
    return None if member.isfile() else "a device or a pipe, which is never opened"
