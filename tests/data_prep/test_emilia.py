"""Emilia: tables beside folders of mp3, and WebDataset tars, which are read in place."""

import io
import json
import os
import tarfile

import numpy as np
import pytest
import soundfile
import torch

from data_prep import emilia
from data_prep.manifest import Dropped
from lpo_tts import audio, tars

RATE = 24000


def mp3(seconds=1.0, hertz=200.0):
    data = io.BytesIO()
    wave = 0.2 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)
    soundfile.write(data, wave, RATE, format="MP3")
    return data.getvalue()


def row(name, **changes):
    """A row of Emilia as it is published."""
    speaker = name.rsplit("_", 1)[0]
    batch = name.split("_S")[0]
    return {
        "id": name,
        "wav": f"{batch}/{speaker}/mp3/{name}.mp3",
        "text": f" Und es gibt auch {name}.",
        "duration": 1.0,
        "speaker": speaker,
        "language": name[:2].lower(),
        "dnsmos": 3.3697,
    } | changes


def yodas(name, **changes):
    """A row of Emilia-YODAS as it is published: another key for the id, no path."""
    return {
        "_id": name,
        "text": "Fine, thanks.",
        "duration": 1.0,
        "speaker": "EN_tcGXd8kka3c_SPEAKER_00",
        "language": "en",
        "dnsmos": 3.1,
        "phone_count": 12,
    } | changes


def pack(path, members):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def pairs(*rows):
    for k, one in enumerate(rows):
        name = one.get("id") or one["_id"]
        yield f"{name}.mp3", mp3(1.0, 200 + 10 * k)
        yield f"{name}.json", json.dumps(one).encode()


@pytest.fixture
def folders(tmp_path):
    """The first release: raw/DE/DE_B00000.jsonl beside raw/DE/DE_B00000/DE_B00000_S00000/mp3/*.mp3."""
    for language in ("DE", "EN"):
        rows = [row(f"{language}_B00000_S0000{k}_W00000{k}") for k in range(3)]
        for one in rows:
            path = tmp_path / "raw" / language / one["wav"]
            path.parent.mkdir(parents=True)
            path.write_bytes(mp3())
        table = tmp_path / "raw" / language / f"{language}_B00000.jsonl"
        table.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in rows))
    return tmp_path / "raw"


@pytest.fixture
def archives(tmp_path):
    """The hub's release: Emilia/EN/EN-B000000.tar and Emilia-YODAS/EN/EN-B000000.tar."""
    raw = tmp_path / "Emilia-Dataset"
    names = [f"EN_B00000_S00010_W00000{k}" for k in range(3)]
    pack(raw / "Emilia" / "EN" / "EN-B000000.tar", pairs(*map(row, names)))
    pack(raw / "Emilia" / "ZH" / "ZH-B000000.tar", pairs(row("ZH_B00000_S00000_W000000", text="你好。")))
    pack(raw / "Emilia-YODAS" / "EN" / "EN-B000000.tar", pairs(yodas("EN_tcGXd8kka3c_W000001"), yodas("EN_tcGXd8kka3c_W000000")))
    return raw


def test_folders(folders, tmp_path, rows):
    out = tmp_path / "manifest.jsonl"
    assert emilia.main([str(folders), "--out", str(out), "--languages", "de"]) == 0
    found = rows(out)
    assert [one["id"] for one in found] == [f"DE_B00000_S0000{k}_W00000{k}" for k in range(3)]
    assert found[0]["audio"] == "raw/DE/DE_B00000/DE_B00000_S00000/mp3/DE_B00000_S00000_W000000.mp3"
    assert found[0]["text"] == "Und es gibt auch DE_B00000_S00000_W000000."
    assert found[0]["speaker"] == "DE_B00000_S00000"
    assert found[0]["language"] == "de"
    assert found[0]["tags"] == {"subset": "Emilia", "dnsmos": "3.3697"}


def test_tars_are_read_in_place(archives, tmp_path, rows):
    before = sorted(path for path in archives.rglob("*"))
    out = tmp_path / "manifest.jsonl"
    assert emilia.main([str(archives), "--out", str(out), "--languages", "en"]) == 0
    found = rows(out)
    assert [(one["id"], one["tags"]["subset"], one["tags"]["dnsmos"]) for one in found] == [
        ("EN_B00000_S00010_W000000", "Emilia", "3.3697"),
        ("EN_B00000_S00010_W000001", "Emilia", "3.3697"),
        ("EN_B00000_S00010_W000002", "Emilia", "3.3697"),
        ("EN_tcGXd8kka3c_W000000", "Emilia-YODAS", "3.1"),
        ("EN_tcGXd8kka3c_W000001", "Emilia-YODAS", "3.1"),
    ]
    assert found[0]["audio"] == "Emilia-Dataset/Emilia/EN/EN-B000000.tar/EN_B00000_S00010_W000000.mp3"
    assert found[4]["speaker"] == "EN_tcGXd8kka3c_SPEAKER_00"
    assert sorted(path for path in archives.rglob("*")) == before
    (tmp_path / "same.mp3").write_bytes(mp3(1.0, 210))
    assert torch.equal(audio.read(tmp_path / found[1]["audio"])[0], audio.read(tmp_path / "same.mp3")[0])


def test_the_cache_of_the_hub_is_read_as_it_lies(archives, tmp_path, rows):
    """There a tar is a link to a file without a suffix."""
    snapshot = tmp_path / "hub" / "snapshots" / "0f0f" / "Emilia" / "ZH"
    blobs = tmp_path / "hub" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    os.replace(archives / "Emilia" / "ZH" / "ZH-B000000.tar", blobs / "77aa")
    (snapshot / "ZH-B000000.tar").symlink_to("../../../../blobs/77aa")
    out = tmp_path / "manifest.jsonl"
    assert emilia.main([str(tmp_path / "hub" / "snapshots" / "0f0f"), "--out", str(out)]) == 0
    assert [one["text"] for one in rows(out)] == ["你好。"]
    assert audio.duration(tmp_path / rows(out)[0]["audio"]) == pytest.approx(1.0, abs=0.1)


def test_rows_that_cannot_be_used_are_counted_with_their_reason(archives, tmp_path):
    path = archives / "Emilia" / "EN" / "EN-B000001.tar"
    members = [
        *pairs(row("EN_B00000_S00001_W000000")),
        ("no-sound.json", json.dumps(row("x")).encode()),
        ("no-text.mp3", mp3()),
        ("torn.json", b'{"id": "torn"'),
        ("torn.mp3", mp3()),
        ("list.json", b"[1]"),
        ("list.mp3", mp3()),
        ("silent.json", json.dumps(row("silent", text="", speaker=None)).encode()),
        ("silent.mp3", mp3()),
        ("../evil.mp3", b"x"),
    ]
    pack(path, members)
    found = [one for one in emilia.find(archives, ["en"]) if isinstance(one, Dropped)]
    reasons = {one.id: one.reason for one in found}
    assert "no recording beside it (no-sound.mp3)" in reasons["EN-B000001.tar/no-sound.json"]
    assert "no text beside it (no-text.json)" in reasons["EN-B000001.tar/no-text.mp3"]
    assert "not valid JSON" in reasons["EN-B000001.tar/torn.json"]
    assert "expected an object with the fields of a row, found list" in reasons["EN-B000001.tar/list.json"]
    assert "expected text in text, speaker" in reasons["EN-B000001.tar/silent.json"]
    assert "leads out of the archive" in reasons["EN-B000001.tar/../evil.mp3"]
    assert len(found) == 6


def test_a_tar_that_is_cut_gives_its_whole_rows_and_one_fault(archives, tmp_path, rows, capsys):
    path = archives / "Emilia" / "EN" / "EN-B000000.tar"
    start, size = tars.index(path).find("EN_B00000_S00010_W000002.mp3")
    path.write_bytes(path.read_bytes()[: start + size // 2])
    out = tmp_path / "manifest.jsonl"
    assert emilia.main([str(archives), "--out", str(out), "--languages", "en", "--max-failed", "0.5"]) == 0
    assert [one["id"] for one in rows(out)][:2] == ["EN_B00000_S00010_W000000", "EN_B00000_S00010_W000001"]
    (failed,) = rows(tmp_path / "manifest.failed.jsonl")
    assert failed["id"] == "EN-B000000.tar"
    assert f"cut at byte {start + size // 2}, in the data of 'EN_B00000_S00010_W000002.mp3'" in failed["reason"]


def test_archives_that_cannot_be_read_in_place_are_one_fault_each(archives):
    with tarfile.open(archives / "Emilia" / "EN" / "EN-B000002.tar.gz", "w:gz"):
        pass
    (archives / "Emilia" / "EN" / "EN-B000003.tar").write_text("no tar" * 200)
    found = {one.id: one.reason for one in emilia.find(archives) if isinstance(one, Dropped)}
    assert "found a compressed one" in found["EN-B000002.tar.gz"]
    assert "expected a tar, found another format" in found["EN-B000003.tar"]
    assert len(found) == 2


def test_a_path_that_leads_out_of_the_folder_is_refused(folders):
    table = folders / "EN" / "EN_B00000.jsonl"
    table.write_text("".join(json.dumps(row("EN_a", wav=name)) + "\n" for name in ("../secret.mp3", "/etc/passwd", None)))
    found = list(emilia.find(folders, ["en"]))
    assert [type(one) for one in found] == [Dropped] * 3
    assert "expected a path below" in found[0].reason


def test_a_wrong_folder_and_an_absent_language_are_told_in_one_line(folders, tmp_path, one_line):
    out = str(tmp_path / "manifest.jsonl")
    assert emilia.main([str(folders), "--out", out, "--languages", "ko"]) == 2
    assert "no file of language ko; there are: de, en" in one_line()
    (tmp_path / "empty").mkdir()
    assert emilia.main([str(tmp_path / "empty"), "--out", out]) == 2
    assert "expected EN_B*.jsonl or EN-B*.tar" in one_line()


def test_names_of_one_archive_are_held_at_a_time(archives, monkeypatch):
    opened = []
    monkeypatch.setattr(emilia.tars, "index", lambda path, real=tars.index: opened.append(path.name) or real(path))
    stream = emilia.find(archives)
    next(stream)
    assert len(opened) == 1


def test_links_in_a_circle_are_passed_over_and_a_pipe_is_not_waited_for(folders, tmp_path, one_line):
    before = emilia.sources(folders)
    (before[0].parent / "circle").symlink_to(folders, target_is_directory=True)
    (before[0].parent / "itself").symlink_to("itself")
    assert emilia.sources(folders) == before
    os.mkfifo(before[0].parent / "EN_B00077.jsonl")
    assert emilia.main([str(folders), "--out", str(tmp_path / "m.jsonl")]) == 2
    assert "EN_B00077.jsonl: expected a table of Emilia, found a named pipe" in one_line()
