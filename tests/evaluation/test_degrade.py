"""The program that makes degraded copies, and its look at a report's verdicts."""

import json
import math
import os
from pathlib import Path

import pytest
import torch

from evaluation.copies import CLEAN, COPIES, generator
from evaluation.degrade import main
from evaluation.real_speech import Source, partners, read_sources
from lpo_tts import audio
from lpo_tts.errors import ArtefactError
from lpo_tts.prompting.lists import load_list

RATE = 8000


def record(path, hertz):
    """A second of a tone whose loudness swings as words do."""
    time = torch.arange(RATE) / RATE
    audio.write(path, 0.3 * torch.sin(2 * math.pi * hertz * time) * torch.sin(8 * math.pi * time).abs(), RATE)


@pytest.fixture
def corpus(tmp_path):
    """A manifest of eight recordings of two speakers."""
    rows = []
    for number in range(8):
        record(tmp_path / "wavs" / f"u{number}.wav", 200 + 20 * number)
        speaker = "ann" if number < 4 else "bob"
        row = {"id": f"u{number}", "audio": f"wavs/u{number}.wav", "text": f"gate {number}", "duration": 1.0, "speaker": speaker}
        rows.append({**row, "split": "test" if number % 2 else "train"})
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def degrade(corpus, *more, listed="manifest.jsonl"):
    return main([str(one) for one in ("--list", corpus / listed, "--out", corpus / "copies", *more)])


def samples(path):
    return audio.read(path)[0]


def test_every_kind_has_a_folder_of_the_same_ids(corpus, capsys):
    assert degrade(corpus) == 0
    copies = corpus / "copies"
    ids = {f"u{number}" for number in range(8)}
    for kind in COPIES:
        found = {path.stem for path in (copies / kind).glob("*.wav")}
        assert found == (ids - {"u3", "u7"} if kind == "missing" else ids), kind
    assert torch.equal(samples(copies / "clean" / "u0.wav"), samples(corpus / "wavs" / "u0.wav"))
    with pytest.raises(ArtefactError):
        samples(copies / "torn" / "u3.wav")
    assert torch.equal(samples(copies / "torn" / "u2.wav"), samples(corpus / "wavs" / "u2.wav"))
    assert not samples(copies / "silent" / "u0.wav").any()
    stereo, rate = audio.read(copies / "stereo48k" / "u0.wav")
    assert rate == 48000
    assert stereo.numel() == pytest.approx(6 * RATE, abs=6)
    assert "17 folders of 8 recordings" in capsys.readouterr().out


def test_the_list_beside_them_is_a_test_list_with_voices_of_the_same_speaker(corpus):
    degrade(corpus, "--kinds", "cut")
    items = load_list(corpus / "copies" / "list.jsonl")
    assert [item.text for item in items] == [f"gate {number}" for number in range(8)]
    assert [os.path.basename(item.voice.audio) for item in items[:4]] == ["u1.wav", "u2.wav", "u3.wav", "u0.wav"]
    assert all(os.path.samefile(item.target.audio, corpus / "wavs" / f"{item.id}.wav") for item in items)
    assert {path.name for path in (corpus / "copies").iterdir() if path.is_dir()} == {CLEAN, "cut"}


def test_a_test_list_with_targets_does_as_well(corpus):
    (corpus / "meta.lst").write_text("a|voice|wavs/u1.wav|gate 0|wavs/u0.wav\nb|voice|wavs/u5.wav|gate 4|wavs/u4.wav\n")
    assert degrade(corpus, "--kinds", "swapped", listed="meta.lst") == 0
    assert torch.equal(samples(corpus / "copies" / "swapped" / "a.wav"), samples(corpus / "wavs" / "u4.wav"))
    expected = json.loads((corpus / "copies" / "degrade.json").read_text())["copies"]["swapped"]["expected"]
    assert expected == {"words": "worse"}  # nobody has said who speaks


def test_what_is_drawn_depends_on_seed_kind_and_id_alone():
    first, again, *others = (
        torch.randn(4, generator=generator(*of))
        for of in ((0, "noise5", "a"), (0, "noise5", "a"), (1, "noise5", "a"), (0, "noise10", "a"), (0, "noise5", "b"))
    )
    assert torch.equal(first, again)
    assert not any(torch.equal(first, other) for other in others)


def test_swapped_recordings_are_of_another_speaker_and_text():
    def source(number, speaker, text="", voice=None):
        said = text or f"text {number}"
        return Source(id=f"u{number}", text=said, language="en", audio=Path(f"{number}"), speaker=speaker, voice=voice)

    two = [source(number, "ann" if number < 3 else "bob") for number in range(6)]
    found = partners(two)
    assert len({one.id for one in found.values()}) == 6
    assert all(found[one.id].speaker != one.speaker for one in two)
    mostly = [source(number, "ann" if number else "bob") for number in range(5)]
    found = partners(mostly)
    assert all(found[one.id].id != one.id for one in mostly)
    same = [source(number, "ann", text="one text") for number in range(3)]
    assert partners(same) == {}
    alone = [source(number, "ann", voice=Path(f"{(number + 1) % 4}")) for number in range(4)]
    assert all(found.audio != one.voice for one in alone for found in [partners(alone)[one.id]])


def test_it_goes_on_where_it_was_with_the_same_bytes(corpus):
    degrade(corpus)
    copies = corpus / "copies"
    before = {path: path.read_bytes() for path in copies.rglob("*") if path.is_file()}
    for kind in ("noise5", "loop", "stereo48k", "torn"):
        (copies / kind / "u3.wav").unlink()
    (copies / "list.jsonl").unlink()
    changed = (copies / "cut" / "u0.wav").stat().st_mtime_ns
    assert degrade(corpus) == 0
    assert {path: path.read_bytes() for path in copies.rglob("*") if path.is_file()} == before
    assert (copies / "cut" / "u0.wav").stat().st_mtime_ns == changed


def test_other_settings_are_refused_by_name(corpus, capsys):
    degrade(corpus, "--kinds", "noise5")
    assert degrade(corpus, "--kinds", "noise5", "--seed", "1", "--every", "3") == 2
    assert "made with other settings: seed, every; choose another --out" in capsys.readouterr().err
    assert degrade(corpus, "--kinds", "cut") == 0  # another kind beside it
    assert set(json.loads((corpus / "copies" / "degrade.json").read_text())["copies"]) == {"clean", "noise5", "cut"}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--every", "1"], "--every"),
        (["--seed", "-1"], "--seed"),
        (["--limit", "0"], "--limit"),
        (["--language", " "], "--language"),
        (["--split", "dev"], "a row of split dev"),
        (["--max-failed", "2"], "--max-failed"),
    ],
)
def test_what_cannot_be_is_refused(corpus, more, message, capsys):
    assert degrade(corpus, *more) == 2
    assert message in capsys.readouterr().err
    assert not (corpus / "copies" / "list.jsonl").exists()


def test_a_list_without_recordings_is_refused(corpus, capsys):
    (corpus / "list.jsonl").write_text('{"id": "a", "text": "gate one"}\n')
    assert degrade(corpus, listed="list.jsonl") == 2
    assert "a row with a target" in capsys.readouterr().err
    assert main(["--out", str(corpus / "copies")]) == 2
    assert "--list" in capsys.readouterr().err


def test_unreadable_recordings_are_left_out_by_name_or_stop_it(corpus, capsys, caplog):
    (corpus / "wavs" / "u2.wav").write_bytes(b"RIFF")
    assert degrade(corpus) == 2
    assert "u2" in capsys.readouterr().err
    assert degrade(corpus, "--max-failed", "0.2") == 0
    assert "left out: u2" in caplog.text
    assert [item.id for item in load_list(corpus / "copies" / "list.jsonl")] == ["u0", "u1", "u3", "u4", "u5", "u6", "u7"]
    assert json.loads((corpus / "copies" / "degrade.json").read_text())["counts"] == {"recordings": 7, "failed": 1}


def test_the_split_of_a_manifest_can_be_chosen(corpus):
    assert [source.id for source in read_sources(corpus / "manifest.jsonl", split="test")] == ["u1", "u3", "u5", "u7"]


def report_of(corpus, verdicts, baseline=CLEAN, **test):
    """A report whose differences have these verdicts by copy."""
    role = {"name": "wer", "label": "WER, x", "title": "word error rate", "unit": "%", "graded": True, "higher_is_better": False}
    interval = {"estimate": 0.2, "low": 0.1, "high": 0.3}
    rows = [
        {"system": kind, "metric": "wer", "difference": interval, "test": {"verdict": verdict, "holm_p": 0.01}}
        for kind, verdict in verdicts.items()
    ]
    tree = {"baseline": baseline, "average": "corpus", "metrics": [role], "differences": rows}
    path = corpus / "report.json"
    path.write_text(json.dumps(tree))
    return path


def check(corpus, report):
    return main(["--out", str(corpus / "copies"), "--check", str(report)])


def test_verdicts_of_a_report_are_compared_with_the_right_ones(corpus, capsys):
    degrade(corpus, "--kinds", "cut", "stereo48k", "noise20")
    capsys.readouterr()
    right = {"cut": "worse", "stereo48k": "equivalent", "noise20": "worse"}
    assert check(corpus, report_of(corpus, right)) == 0
    shown = capsys.readouterr()
    assert "2 of 2 promised verdicts are right" in shown.err
    assert "| cut | WER, x | +20.00 % [+10.00, +30.00] | 0.0100 | – | worse | worse | kept |" in shown.out
    assert check(corpus, report_of(corpus, right | {"cut": "no difference shown"})) == 1
    assert "**broken**" in capsys.readouterr().out
    assert check(corpus, report_of(corpus, right | {"stereo48k": "worse"})) == 1


def test_a_report_without_tests_is_judged_by_its_intervals(corpus, capsys):
    degrade(corpus, "--kinds", "cut", "stereo48k")
    path = report_of(corpus, {"cut": "", "stereo48k": ""})
    tree = json.loads(path.read_text())
    for row in tree["differences"]:
        del row["test"]
    path.write_text(json.dumps(tree))
    assert check(corpus, path) == 1
    assert "1 of 2 promised verdicts are right" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"baseline": "old"}', "expected a comparison with clean"),
        ('{"baseline": "clean"}', "expected a report.json of this project"),
        ('{"baseline": "clean", "metrics": [], "differences": []}', "expected differences of"),
        ("[]", "expected a JSON object"),
        ("{", "not valid JSON"),
    ],
)
def test_what_is_no_report_of_the_copies_is_refused(corpus, text, message, capsys):
    degrade(corpus, "--kinds", "cut")
    (corpus / "other.json").write_text(text)
    assert check(corpus, corpus / "other.json") == 2
    assert message in capsys.readouterr().err
