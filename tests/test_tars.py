"""The index of a tar: long names, what is never followed, archives that are cut, and what is kept in memory."""

import io
import os
import subprocess
import sys
import tarfile
import threading

import pytest

from lpo_tts import tar_headers, tars
from lpo_tts.errors import ArtefactError


def pack(path, members, form=tarfile.GNU_FORMAT):
    """Writes a tar of (name, bytes), or of ready TarInfo objects with bytes."""
    with tarfile.open(path, "w", format=form) as archive:
        for name, data in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


LONG = "/".join(["folder" * 12] * 4) + "/" + "n" * 180 + ".mp3"
NAMES = ["b/2.json", "a.mp3", "日本.mp3", LONG]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_are_found_by_every_form_of_long_name(tmp_path, form):
    names = NAMES[:2] if form == tarfile.USTAR_FORMAT else NAMES
    path = pack(tmp_path / "a.tar", [(name, name.encode() * k) for k, name in enumerate(names)], form)
    index = tars.index(path)
    assert list(index) == sorted(names, key=os.fsencode)
    assert index.faults == []
    assert index.torn is None
    for k, name in enumerate(names):
        assert tars.read(path, name) == name.encode() * k
    assert index.find("a") is None
    assert index.find("zzz") is None


def test_names_are_the_same_however_the_archive_was_made(tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "a.txt").write_text("hello")
    subprocess.run(["tar", "cf", "../a.tar", "."], cwd=tmp_path / "in", check=True)
    assert list(tars.index(tmp_path / "a.tar")) == ["deep/a.txt"]
    assert tars.read(tmp_path / "a.tar", "deep/a.txt") == b"hello"


def test_what_could_lead_out_of_the_archive_is_counted_and_never_followed(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    path = pack(
        tmp_path / "a.tar",
        [
            ("good.mp3", b"good"),
            (str(secret), b"x"),
            ("../secret", b"x"),
            ("a/../../secret", b"x"),
            special("soft", tarfile.SYMTYPE, str(secret)),
            special("hard", tarfile.LNKTYPE, "good.mp3"),
            special("device", tarfile.CHRTYPE),
            special("pipe", tarfile.FIFOTYPE),
            special("folder", tarfile.DIRTYPE),
            ("last.mp3", b"last"),
        ],
    )
    index = tars.index(path)
    assert list(index) == ["good.mp3", "last.mp3"]
    reasons = {fault.name: fault.reason for fault in index.faults}
    assert "absolute name" in reasons[str(secret)]
    assert "leads out of the archive" in reasons["../secret"]
    assert "leads out of the archive" in reasons["a/../../secret"]
    assert f"a link to '{secret}', which is never followed" in reasons["soft"]
    assert "a link to 'good.mp3'" in reasons["hard"]
    assert "a device or a pipe" in reasons["device"]
    assert "a device or a pipe" in reasons["pipe"]
    assert set(reasons) == {str(secret), "../secret", "a/../../secret", "soft", "hard", "device", "pipe"}
    with pytest.raises(ArtefactError, match=r"member 'soft', found a link to .* never followed"):
        tars.read(path, "soft")


def test_a_sparse_member_is_counted(tmp_path):
    with (tmp_path / "holes.raw").open("wb") as file:
        file.truncate(1 << 20)
        file.seek(1 << 19)
        file.write(b"x" * 5000)
    subprocess.run(["tar", "--sparse", "-cf", "a.tar", "holes.raw"], cwd=tmp_path, check=True)
    index = tars.index(tmp_path / "a.tar")
    assert list(index) == []
    assert [fault.name for fault in index.faults] == ["holes.raw"]
    assert "a sparse file" in index.faults[0].reason


def test_two_members_of_one_name_are_told_and_neither_is_taken(tmp_path):
    path = pack(tmp_path / "a.tar", [("a.mp3", b"1"), ("b.mp3", b"2"), ("./a.mp3", b"3"), ("a.mp3", b"4")])
    index = tars.index(path)
    assert list(index) == ["b.mp3"]
    assert [fault.name for fault in index.faults] == ["a.mp3"]
    assert "stands 3 times, at bytes 512 and 2560 and 1 more" in index.faults[0].reason
    with pytest.raises(ArtefactError, match="stands 3 times"):
        tars.read(path, "a.mp3")


def whole(tmp_path):
    """Three members of 600 bytes: headers at 0, 1536 and 3072, the end at 4608."""
    return pack(tmp_path / "a.tar", [(f"{k}.mp3", bytes([k]) * 600) for k in range(3)]).read_bytes()


@pytest.mark.parametrize(
    ("cut", "names", "words"),
    [
        (4608, 3, "cut at byte 4608, where its next header or its end should stand"),
        (4700, 3, "cut at byte 4700, where its next header or its end should stand"),
        (3072 + 512 + 599, 2, "cut at byte 4183, in the data of '2.mp3'"),
        (3072 + 100, 2, "cut at byte 3172, where its next header or its end should stand"),
        (1536 + 512, 1, "cut at byte 2048, in the data of '1.mp3'"),
        (512 + 1, 0, "cut at byte 513, in the data of '0.mp3'"),
    ],
)
def test_a_cut_archive_gives_its_whole_members_and_one_fault_with_the_byte(tmp_path, cut, names, words):
    path = tmp_path / "cut.tar"
    path.write_bytes(whole(tmp_path)[:cut])
    index = tars.index(path)
    assert list(index) == [f"{k}.mp3" for k in range(names)]
    for k in range(names):
        assert tars.read(path, f"{k}.mp3") == bytes([k]) * 600
    assert [fault.name for fault in index.faults] == ["cut.tar"]
    assert words in index.faults[0].reason
    assert str(path) in index.faults[0].reason
    with pytest.raises(ArtefactError, match=f"found none, but the archive is cut at byte {cut}"):
        tars.read(path, "lost.mp3")


def test_a_cut_within_a_long_name_is_told(tmp_path):
    path = pack(tmp_path / "a.tar", [("a.mp3", b"1"), (LONG, b"2")])
    path.write_bytes(path.read_bytes()[: 1024 + 512 + 200])
    index = tars.index(path)
    assert list(index) == ["a.mp3"]
    assert "cut at byte 1736, in the header that begins at byte 1024" in index.faults[0].reason


def test_a_damaged_header_in_the_middle_is_no_end(tmp_path):
    data = bytearray(whole(tmp_path))
    data[1536 + 10] ^= 1
    path = tmp_path / "damaged.tar"
    path.write_bytes(data)
    index = tars.index(path)
    assert list(index) == ["0.mp3"]
    assert "the header at byte 1536 is damaged (bad checksum)" in index.faults[0].reason


def test_sizes_that_lead_back_or_fill_the_memory_end_the_walk(tmp_path):
    for number, (kind, size) in enumerate([(b"0", -1024), (b"x", 1 << 40), (b"L", 1 << 30), (b"0", 1 << 60)]):
        info = tarfile.TarInfo("evil")
        info.type, info.size = kind, size
        path = tmp_path / f"{number}.tar"
        start = pack(path, [("a.mp3", b"1")]).read_bytes()[:1024]
        path.write_bytes(start + info.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
        index = tars.index(path)
        assert list(index) == ["a.mp3"]
        assert "the header at byte 1024 is damaged" in index.faults[0].reason or "cut at byte" in index.faults[0].reason


def test_many_extensions_in_a_row_end_the_walk(tmp_path):
    info = tarfile.TarInfo("x")
    info.type = b"L"
    path = tmp_path / "deep.tar"
    path.write_bytes(pack(tmp_path / "a.tar", [("a.mp3", b"1")]).read_bytes()[:1024] + info.tobuf() * 3000)
    assert "the header at byte 1024 is damaged" in tars.index(path).faults[0].reason


def test_what_stands_behind_the_end_is_told(tmp_path):
    data = whole(tmp_path)
    path = tmp_path / "joined.tar"
    path.write_bytes(data + data)
    index = tars.index(path)
    assert len(index) == 3
    assert "the archive ends at byte 4608, and more stands behind its end" in index.faults[0].reason


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz", "a.tar", "a.tar.bz2", "a.tar.xz"])
def test_a_compressed_tar_is_refused_with_advice(tmp_path, name):
    mode = "w:bz2" if name.endswith("bz2") else "w:xz" if name.endswith("xz") else "w:gz"
    with tarfile.open(tmp_path / name, mode) as archive:
        archive.addfile(tarfile.TarInfo("a.mp3"))
    with pytest.raises(ArtefactError, match=r"expected a plain \.tar, found a compressed one.*unpack it") as refusal:
        tars.index(tmp_path / name)
    assert "\n" not in str(refusal.value)


def test_no_tar_and_no_file_are_refused_and_an_empty_tar_is_empty(tmp_path):
    (tmp_path / "text.tar").write_text("this is no tar " * 100)
    with pytest.raises(ArtefactError, match=r"text\.tar: expected a tar, found another format"):
        tars.index(tmp_path / "text.tar")
    (tmp_path / "none.tar").write_bytes(b"")
    with pytest.raises(ArtefactError, match=r"none\.tar: expected a tar, found .*empty file"):
        tars.index(tmp_path / "none.tar")
    with pytest.raises(ArtefactError, match="No such file"):
        tars.index(tmp_path / "absent.tar")
    assert list(tars.index(pack(tmp_path / "empty.tar", []))) == []


def test_an_archive_is_walked_once_until_it_changes(tmp_path, monkeypatch):
    walks = []
    real = tar_headers.walk
    monkeypatch.setattr(tar_headers, "walk", lambda *given: walks.append(given[0].name) or real(*given))
    path = pack(tmp_path / "a.tar", [("a.mp3", b"1")])
    threads = [threading.Thread(target=tars.read, args=(path, "a.mp3")) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert walks == ["a.tar"]
    pack(path, [("a.mp3", b"1"), ("b.mp3", b"22")])
    os.utime(path, ns=(1, 1))
    assert tars.read(path, "b.mp3") == b"22"
    assert walks == ["a.tar", "a.tar"]


def test_the_indexes_kept_are_bounded(tmp_path, monkeypatch):
    paths = [pack(tmp_path / f"{k}.tar", [(f"{n:05d}.mp3", b"") for n in range(50)]) for k in range(5)]
    monkeypatch.setattr(tars, "_kept", type(tars._kept)())
    monkeypatch.setattr(tars, "KEPT", 3 * tars.index(paths[0]).num_bytes)
    for path in paths:
        tars.index(path)
    assert [name[0] for name in tars._kept] == [str(path) for path in paths[2:]]


def test_a_member_that_is_too_large_to_be_read_at_once_is_refused(tmp_path, monkeypatch):
    path = pack(tmp_path / "a.tar", [("a.json", b"12345"), ("b.json", b"1234")])
    monkeypatch.setattr(tars, "LARGEST_READ", 4)
    assert tars.read(path, "b.json") == b"1234"
    with pytest.raises(ArtefactError, match=r"small member 'a\.json', found one of more than 4 bytes"):
        tars.read(path, "a.json")


def test_names_that_are_no_utf_8_are_found(tmp_path):
    name = b"caf\xe9.mp3".decode("utf-8", "surrogateescape")
    path = pack(tmp_path / "a.tar", [(name, b"1")])
    assert list(tars.index(path)) == [name]
    assert tars.read(path, name) == b"1"


def test_a_member_is_read_without_the_rest_of_its_archive(tmp_path):
    """200 MB of members, of which one small one is read under a limit of 64 MB more than the process has."""
    path = tmp_path / "big.tar"
    with tarfile.open(path, "w") as archive:
        for name, size in (("big.bin", 200 << 20), ("small.txt", 5)):
            info = tarfile.TarInfo(name)
            info.size = size
            archive.fileobj.write(info.tobuf())
            archive.fileobj.seek(-(-size // 512) * 512 - 1, 1)
            archive.fileobj.write(b"\0")
            archive.offset = archive.fileobj.tell()
    code = (
        "import resource, sys\nfrom lpo_tts import tars\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * 4096\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20),) * 2)\n"
        "print(len(tars.read(sys.argv[1], 'small.txt')))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "5\n", done.stderr


def test_a_pipe_is_told_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.tar")
    for path in (tmp_path / "a.tar", tmp_path):
        with pytest.raises(ArtefactError, match="expected a tar, found a folder, a pipe or a device"):
            tars.index(path)
