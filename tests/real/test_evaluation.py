"""An evaluation of human recordings against degraded copies of them, by Whisper and Resemblyzer, says of each what is right."""

import importlib.util
import json

import pytest
from conftest import SPEECH

from data_prep import librispeech, ljspeech
from evaluation import degrade, evaluate
from evaluation.promises import found_in

NUM_CLIPS = 16
KINDS = ("noise5", "cut", "repeated", "swapped", "missing", "silent", "stereo48k", "fast")


@pytest.fixture(scope="module")
def encoder():
    """The speaker encoder as the command line names it."""
    if importlib.util.find_spec("resemblyzer") is None:
        pytest.skip("the package resemblyzer is not installed: pip install --no-deps resemblyzer")
    return "resemblyzer"


@pytest.fixture(scope="module")
def one_reader(clips, tmp_path_factory):
    """Copies of the first recordings of LJSpeech; half of the files of `missing` are absent."""
    root = tmp_path_factory.mktemp("one-reader")
    assert ljspeech.main([str(SPEECH / "LJSpeech-1.1"), "--out", str(root / "manifest.jsonl")]) == 0
    made = ["--list", str(root / "manifest.jsonl"), "--out", str(root / "copies"), "--limit", str(NUM_CLIPS), "--every", "2"]
    assert degrade.main([*made, "--kinds", *KINDS]) == 0
    return root


@pytest.fixture(scope="module")
def ears(whisper_ct2):
    """Judges of words and endings: Whisper tiny.en by CTranslate2."""
    pytest.importorskip("ctranslate2", reason="the package ctranslate2 is not installed")
    told = f"{{name: faster-whisper, model: {whisper_ct2}, padding: 8}}"
    asr = ["--asr", f"tiny=faster-whisper:model={whisper_ct2},padding=8", "--normaliser", "whisper-en"]
    return [*asr, "--metric", f"ending:recogniser={told}", "--metric", f"repetition:recogniser={told}"]


def report_on(kind, root, judges):
    """A report on one kind of copy; what was judged before is kept."""
    copies = root / "copies"
    arguments = ["--list", str(copies / "list.jsonl"), "--out", str(root / "judged"), "--num-examples", "0", *judges]
    systems = ["--system", f"clean={copies}/clean", "--system", f"{kind}={copies}/{kind}"]
    assert evaluate.main([*arguments, *systems]) == 0
    return json.loads((root / "judged" / "report" / "report.json").read_text(encoding="utf-8"))


def verdicts(kind, root, report):
    promises = json.loads((root / "copies" / "degrade.json").read_text(encoding="utf-8"))["copies"]
    return [row for row in found_in(promises, report, kind) if row.promise is not None]


@pytest.mark.parametrize("kind", KINDS)
def test_each_copy_of_a_reader_gets_the_verdict_that_is_right(kind, one_reader, ears, encoder):
    margins = ["--margin", "wer-tiny=0.01", "--margin", "similarity-resemblyzer=0.02", "--held-out"]
    report = report_on(kind, one_reader, [*ears, "--speaker", encoder, *margins])
    found = verdicts(kind, one_reader, report)
    assert found
    assert [row for row in found if not row.kept] == []


def test_the_judge_s_own_error_on_recordings_is_reported(one_reader, ears):
    report = report_on("cut", one_reader, [*ears, "--out", str(one_reader / "floors")])
    floors = {(row["metric"], row["condition"]): row for row in report["floors"]}
    own = floors["wer-tiny", "recording"]
    assert own["count"] == NUM_CLIPS
    assert own["value"] <= 0.08


def test_swapped_readers_are_heard_as_other_voices(clips, encoder, tmp_path):
    """Four recordings of each of two readers."""
    if not (SPEECH / "LibriSpeech").is_dir():
        pytest.skip(f"no second reader: {SPEECH / 'LibriSpeech'} is not there")
    rows = []
    for program, corpus in ((ljspeech, "LJSpeech-1.1"), (librispeech, "LibriSpeech")):
        table = tmp_path / f"{corpus}.jsonl"
        assert program.main([str(SPEECH / corpus), "--out", str(table), "--absolute", "--min-duration", "1.8"]) == 0
        rows += table.read_text(encoding="utf-8").splitlines()[:4]
    (tmp_path / "manifest.jsonl").write_text("\n".join([*rows, ""]), encoding="utf-8")
    made = ["--list", str(tmp_path / "manifest.jsonl"), "--out", str(tmp_path / "copies"), "--kinds", "swapped"]
    assert degrade.main(made) == 0
    report = report_on("swapped", tmp_path, ["--speaker", encoder, "--held-out"])
    (found,) = verdicts("swapped", tmp_path, report)
    assert (found.promise, found.verdict) == ("worse", "worse")
