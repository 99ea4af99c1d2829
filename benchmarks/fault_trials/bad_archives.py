"""Tars that are cut, damaged, or hold what no archive of recordings may: to Emilia, to Lhotse Shar, and to rows into one."""

import gzip
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from functools import partial

from benchmarks.fault_trials.bad_corpora import accounted
from benchmarks.fault_trials.corpora import SAID, cut, emilia_members, emilia_row, sound, tar
from benchmarks.fault_trials.doors import Case, Place

BLOCK = 512
ROWS = 3
GOOD = emilia_members()
ENDS = BLOCK * 20  # tarfile fills an archive up to a record of 20 blocks


def _with(*more: tuple[tarfile.TarInfo, bytes], first: bool = False) -> bytes:
    """The good members, and others behind or before them."""
    data = io.BytesIO()
    whole = [(_info(name, content), content) for name, content in GOOD]
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, content in [*more, *whole] if first else [*whole, *more]:
            archive.addfile(info, io.BytesIO(content))
    return data.getvalue()


def _info(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "", **pax: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(content)
    info.pax_headers = pax
    return info


def _pair(name: str, row: bytes | None = None, **pax: str) -> list[tuple[tarfile.TarInfo, bytes]]:
    """A row and its recording under another name."""
    text = json.dumps(emilia_row("EN_B00000_S00000_W000009", "a fourth")).encode() if row is None else row
    data = sound(".mp3")
    return [(_info(f"{name}.json", text, **pax), text), (_info(f"{name}.mp3", data, **pax), data)]


def _link(kind: bytes, target: str) -> bytes:
    row = json.dumps(emilia_row("EN_B00000_S00000_W000009", "a fourth")).encode()
    return _with((_info("four.json", row), row), (_info("four.mp3", kind=kind, link=target), b""))


WHOLE = tar(GOOD)
LAST = WHOLE.rindex(GOOD[-1][0].encode())  # the header of the last member; its name stands in its row, too


def _patched(at: int, data: bytes, *, sealed: bool = False) -> bytes:
    """The archive with other bytes in the header of the last member; `sealed`: its checksum is right."""
    header = bytearray(WHOLE[LAST : LAST + BLOCK])
    header[at : at + len(data)] = data
    if sealed:
        header[148:156] = b" " * 8
        header[148:156] = f"{sum(header):06o}\0 ".encode()
    return WHOLE[:LAST] + bytes(header) + WHOLE[LAST + BLOCK :]


def _sparse() -> bytes:
    """A member in the old GNU form: a map of its pieces stands in the header."""
    name = "four.mp3"
    header = bytearray(_info(name, bytes(BLOCK)).tobuf(tarfile.GNU_FORMAT))
    header[156:157] = b"S"
    header[386:410] = b"00000000000\0" + b"00000001000\0"
    header[483:495] = b"00000002000\0"
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    row = json.dumps(emilia_row("EN_B00000_S00000_W000009", "a fourth")).encode()
    return _with((_info("four.json", row), row))[: -_zeros(_with((_info("four.json", row), row)))] + header + bytes(BLOCK * 3)


def _zeros(data: bytes) -> int:
    """Bytes of empty blocks at the end of an archive."""
    return (len(data) - len(data.rstrip(b"\0"))) // BLOCK * BLOCK


def _pax(record: bytes) -> bytes:
    """The archive with an extension of these bytes before its last member."""
    info = tarfile.TarInfo("PaxHeaders/x")
    info.type, info.size = tarfile.XHDTYPE, len(record)
    block = info.tobuf(tarfile.USTAR_FORMAT) + record.ljust(-(-len(record) // BLOCK) * BLOCK, b"\0")
    return WHOLE[:LAST] + block + WHOLE[LAST:]


def _record(key: str, value: str) -> bytes:
    body = f" {key}={value}\n".encode()
    size = len(body) + len(str(len(body) + 2))
    return f"{size}".encode() + body


# Contents, and how many rows there would be without the fault: one of them is counted. 0: nothing is lost; -1: no row is left.
ARCHIVES: dict[str, tuple[Callable[[], bytes], int]] = {
    "a member that leads out": (lambda: _with(*_pair("../outside")), 4),
    "a member with an absolute name": (lambda: _with(*_pair("/etc/passwd")), 4),
    "a member of a/../../b": (lambda: _with(*_pair("a/../../b")), 4),
    "a link to outside": (lambda: _link(tarfile.SYMTYPE, "../outside.wav"), 4),
    "a link to /etc/passwd": (lambda: _link(tarfile.SYMTYPE, "/etc/passwd"), 4),
    "a link to itself": (lambda: _link(tarfile.SYMTYPE, "four.mp3"), 4),
    "a hard link to a member": (lambda: _link(tarfile.LNKTYPE, GOOD[1][0]), 4),
    "a hard link to /etc/passwd": (lambda: _link(tarfile.LNKTYPE, "/etc/passwd"), 4),
    "a character device": (lambda: _link(tarfile.CHRTYPE, ""), 4),
    "a block device": (lambda: _link(tarfile.BLKTYPE, ""), 4),
    "a pipe": (lambda: _link(tarfile.FIFOTYPE, ""), 4),
    "a folder of the name of a recording": (lambda: _link(tarfile.DIRTYPE, ""), 4),
    "a type that is none": (lambda: _link(b"Z", ""), 4),
    "two members of one name": (lambda: _with(*_pair(GOOD[0][0][:-5])), 3),
    "two members of one id": (lambda: _with(*_pair("four", GOOD[0][1])), 4),
    "a row without its recording": (lambda: _with(_pair("four")[0]), 4),
    "a recording without its row": (lambda: _with(_pair("four")[1]), 4),
    "a row that is torn": (lambda: _with(*_pair("four", GOOD[0][1][:20])), 4),
    "a row that is a list": (lambda: _with(*_pair("four", b"[1]")), 4),
    "a row of NaN": (lambda: _with(*_pair("four", GOOD[0][1].replace(b"0.8", b"NaN"))), 4),
    "a row that is not UTF-8": (lambda: _with(*_pair("four", b'{"id": "\xff"}')), 4),
    "a recording of no bytes": (lambda: _with(_pair("four")[0], (_info("four.mp3"), b"")), 4),
    "a recording that is text": (lambda: _with(_pair("four")[0], (_info("four.mp3", b"no sound"), b"no sound")), 4),
    "a sparse member": (_sparse, 4),
    "a path that a pax header leads out": (lambda: _pax(_record("path", "../../outside.mp3")), 3),
    "a pax header with a size below 0": (lambda: _pax(_record("size", "-5")), 3),
    "a pax header with a size of 2^62": (lambda: _pax(_record("size", str(2**62))), 3),
    "a pax header without a length (good)": (lambda: _pax(b"path=x\n"), 0),  # what it says is passed over, and nothing is lost
    "a pax header that is too long": (lambda: _pax(_record("comment", "x" * (1 << 17))), 3),
    "cut in a header": (lambda: WHOLE[: LAST + 100], 3),
    "cut in a member": (lambda: WHOLE[: LAST + BLOCK + 300], 3),
    "cut in the header of the first member": (lambda: WHOLE[:300], -1),
    "a damaged header": (lambda: _patched(10, b"\xff\xff"), 3),
    "a size below 0": (lambda: _patched(124, b"\xff" * 12, sealed=True), 3),
    "a size of 2^60": (lambda: _patched(124, b"\x80\0\0\0" + (2**60).to_bytes(8, "big"), sealed=True), 3),
    "no bytes": (lambda: b"", -1),
    "nothing but its end": (lambda: bytes(ENDS), -1),
    "a gzip named .tar": (lambda: gzip.compress(WHOLE), -1),
    "text": (lambda: b"this is no archive\n" * 100, -1),
    "bytes of chance": (lambda: os.urandom(1 << 14), -1),
}
# The rows are all there; what is wrong with the end is told beside them.
ENDED: dict[str, Callable[[], bytes]] = {
    "cut before its end": lambda: WHOLE[: -_zeros(WHOLE)],
    "cut in its end": lambda: WHOLE[: -_zeros(WHOLE) + 100],
    "joined with another": lambda: WHOLE + tar(emilia_members([4])),
}


def cases() -> Iterator[Case]:
    """All of them, by door."""
    door = "data_prep.emilia"
    for name, (make, rows) in ARCHIVES.items():
        verify = accounted(rows) if rows > 0 else accounted(ROWS, whole=True) if rows == 0 else None
        yield Case(door, f"tar: {name}", partial(_emilia, make=make), verify)
    for name, make in ENDED.items():
        yield Case(door, f"tar: {name}", partial(_emilia, make=make), accounted(ROWS + 1))
    yield Case(door, "tar: a named pipe", partial(_emilia, make=None))
    door = "data_prep.lhotse_cuts"
    for name in (
        "a damaged header",
        "a size of 2^60",
        "cut in a header",
        "cut in a member",
        "no bytes",
        "a gzip named .tar",
        "text",
    ):
        yield Case(door, f"shar: {name}", partial(_shar, make=ARCHIVES[name][0]), accounted(3, lost=2))
    yield Case(door, "shar: a named pipe", partial(_shar, make=None), accounted(3, lost=2))
    for name, member in _MEMBERS.items():
        yield Case("data_prep.folder", f"row into a tar: {name}", partial(_table, member=member), accounted(2))


def _emilia(place: Place, make: Callable[[], bytes] | None) -> list[str]:
    raw = place.folder / "raw"
    (place.folder / "outside.wav").write_bytes(sound(".wav"))
    _put(place, "raw/EN/EN-B000000.tar", make)
    return [str(raw), "--out", str(place.folder / "out" / "m.jsonl"), "--max-failed", "0.6"]


def _put(place: Place, name: str, make: Callable[[], bytes] | None) -> None:
    path = place.file(name, b"" if make is None else make())
    if make is None:
        path.unlink()
        os.mkfifo(path)


def _shar(place: Place, make: Callable[[], bytes] | None) -> list[str]:
    """A cut set with one cut in a file and two in a tar, of which one at most is there."""
    source = {"id": "r", "sources": [{"type": "shar", "channels": [0], "source": ""}], "duration": 0.8}
    cuts = [cut(0), *(cut(k, id=GOOD[2 * k][0][:-5], recording=source) for k in (1, 2))]
    place.file("raw/cuts.000000.jsonl", "".join(json.dumps(one) + "\n" for one in cuts))
    place.file("raw/r0.wav", sound(".wav"))
    _put(place, "raw/recording.000000.tar", make)
    return [str(place.folder / "raw"), "--out", str(place.folder / "out" / "m.jsonl"), "--max-failed", "0.7"]


_MEMBERS = {
    "a member that is not there": "a.tar/nothing.mp3",
    "a member that leads out": "a.tar/../outside.wav/x",
    "no member": "a.tar/",
    "a member of a member": "a.tar/four.json/x.wav",
    "a member that is a link": "a.tar/four.mp3",
    "a row for a recording": "a.tar/four.json",
    "a stretch without end": f"good.wav#t=0,{'9' * 400}",
    "a stretch behind the end": "good.wav#t=7,8",
    "a stretch that is no time": "good.wav#t=a,b",
    "a stretch of a stretch": "good.wav#t=0,0.5#t=0,0.2",
    "a stretch of a pipe": "pipe#t=0,1",
    "a member of a pipe": "pipe/x.wav",
}


def _table(place: Place, member: str) -> list[str]:
    for name, text in (("good.wav", sound(".wav")), ("a.tar", _link(tarfile.SYMTYPE, "../outside.wav"))):
        place.file(f"raw/{name}", text)
    os.mkfifo(place.folder / "raw" / "pipe")
    (place.folder / "outside.wav").write_bytes(sound(".wav"))
    rows = [{"audio": "good.wav", "text": SAID[0]}, {"audio": member, "text": SAID[1]}]
    table = place.file("t.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    raw, out = place.folder / "raw", place.folder / "out" / "m.jsonl"
    return [str(raw), "--out", str(out), "--max-failed", "0.6", "--table", str(table)]
