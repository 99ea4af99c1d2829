"""The headers of a tar: which members are plain files that can be read in place, and what is wrong with the others."""

import io
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from lpo_tts.errors import ArtefactError

Found: TypeAlias = tuple[bytes, int, int]  # name, first byte, size
COMPRESSED = re.compile(r"\.(tgz|tbz2?|txz|tar\.(gz|bz2|xz|zst|lz4|Z))$", re.IGNORECASE)
COMPRESSED_MAGIC = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd")  # gzip, bzip2, xz, zstd
BLOCK = tarfile.BLOCKSIZE
LONGEST_HEADER = 1 << 16  # bytes of a GNU or pax extension; a name of a file system has at most 4,096


@dataclass(frozen=True)
class Fault:
    """Something of an archive that is not read.

    Attributes:
        name: the member, or the file name of the archive where the fault is the archive's.
        reason: what was found, and where.
    """

    name: str
    reason: str


def encoded(name: str) -> bytes:
    """A name as bytes; what was no UTF-8 in the archive is again what it was."""
    return name.encode("utf-8", "surrogateescape")


def decoded(name: bytes) -> str:
    """The inverse of `encoded`."""
    return name.decode("utf-8", "surrogateescape")


class _Headers:
    """The file as tarfile sees it: an extension may not be longer than any name is, whatever its header says."""

    def __init__(self, file: io.FileIO) -> None:
        self._file, self.tell, self.seek = file, file.tell, file.seek

    def read(self, size: int) -> bytes:
        if not 0 <= size <= LONGEST_HEADER:
            raise ValueError(f"it tells of an extension of {size} bytes")
        return self._file.read(size)


_DAMAGED = (tarfile.TarError, ValueError, OverflowError, LookupError, RecursionError)


def walk(path: Path, file: io.FileIO, size: int) -> tuple[list[Found], list[Fault], str | None]:
    """Reads every header, one after the other. Only a mark of two empty blocks, or one, ends an archive as it should.

    Args:
        path: of the archive, for messages.
        file: the archive.
        size: its bytes.

    Returns:
        the members, sorted by name; what is not read; and where the archive ends too early, None = nowhere.

    Raises:
        ArtefactError: it is compressed, or no tar.
    """
    members: dict[bytes, tuple[int, int]] = {}
    twice: dict[bytes, list[int]] = {}
    faults: list[Fault] = []
    member: tarfile.TarInfo | None = None
    torn: str | None = None
    at = 0
    archive = _parser(path, file)
    while True:
        file.seek(at)
        block = file.read(BLOCK)
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
        name = encoded(_plain(member.name))
        fault = _refused(member)
        if fault is not None:
            faults.append(Fault(decoded(name), f"{fault}, in {path}"))
        elif name in members:
            twice.setdefault(name, [members[name][0]]).append(member.offset_data)
        else:
            members[name] = member.offset_data, member.size
    for name, starts in twice.items():
        del members[name]
        places = " and ".join(map(str, starts[:2])) + (f" and {len(starts) - 2} more" if len(starts) > 2 else "")
        faults.append(Fault(decoded(name), f"a name that stands {len(starts)} times, at bytes {places}, in {path}"))
    return sorted((name, *place) for name, place in members.items()), faults, torn


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
