"""The whole loop over a corpus in place: members of a tar and stretches of one long file give what files give."""

import dataclasses
import tarfile

import pytest
import torch

from lpo_tts import artefacts, audio, cli, recipe
from lpo_tts.records import Prompt, Utterance
from lpo_tts.steps.contents import digest_of
from lpo_tts.steps.prompts import relocate

TABLES = ("candidates", "scores-wer.jsonl", "scores-similarity.jsonl", "pairs.jsonl", "run/final", "synthesized/aligned/wavs")


@pytest.fixture(scope="module")
def in_place(tiny, tmp_path_factory):
    """The corpus of `tiny` anew: even rows in corpus.tar, odd ones as stretches of long.wav. Returns the manifest."""
    folder = tmp_path_factory.mktemp("in-place")
    rows, waves, at = [], [], 0
    with tarfile.open(folder / "corpus.tar", "w") as archive:
        for number, row in enumerate(artefacts.read_rows(tiny / "corpus" / "manifest.jsonl", Utterance)):
            path = tiny / "corpus" / row.audio
            if number % 2 == 0:
                archive.add(path, f"wavs/{row.audio}")
                place = f"corpus.tar/wavs/{row.audio}"
            else:
                wave, rate = audio.read(path)
                place = f"long.wav#t={at / rate:.6f},{(at + len(wave)) / rate:.6f}"
                waves.append(wave)
                at += len(wave)
            rows.append(dataclasses.replace(row, audio=place))
    audio.write(folder / "long.wav", torch.cat(waves), 16000)
    artefacts.write_rows(folder / "manifest.jsonl", rows)
    return folder / "manifest.jsonl"


@pytest.mark.slow
def test_a_run_on_places_equals_a_run_on_files(tiny, in_place, tmp_path):
    for name, manifest in (("files", tiny / "corpus" / "manifest.jsonl"), ("places", in_place)):
        arguments = [str(tiny / "recipe.yaml"), f"prompts.manifest={manifest}", f"out={tmp_path / name}"]
        assert cli.main(["run", *arguments, "--quiet"]) == 0
    for name in TABLES:
        assert artefacts.content_hash(tmp_path / "places" / name) == artefacts.content_hash(tmp_path / "files" / name), name
    reports = [artefacts.read_json(tmp_path / name / "report" / "report.json") for name in ("files", "places")]
    timed = [factor for report in reports for factor in report["real_time_factors"].values()]
    assert len(timed) == 4
    assert all(factor > 0 for factor in timed)
    assert reports[0]["results"] == reports[1]["results"]
    assert reports[0]["floors"] == reports[1]["floors"]
    voices = {one.voice.audio for one in artefacts.read_rows(tmp_path / "places" / "prompts.jsonl", Prompt)}
    assert any("corpus.tar/wavs/" in name for name in voices)
    assert any("long.wav#t=" in name for name in voices)


@pytest.mark.slow
def test_check_misses_an_archive_and_not_its_members(tiny, in_place, tmp_path, capsys):
    arguments = [str(tiny / "recipe.yaml"), f"out={tmp_path / 'out'}", f"prompts.manifest={tmp_path / 'manifest.jsonl'}"]
    (tmp_path / "manifest.jsonl").write_bytes(in_place.read_bytes())
    assert cli.main(["check", *arguments]) == 2
    assert "18 of 18 recordings are not there" in capsys.readouterr().err
    for name in ("corpus.tar", "long.wav"):
        (tmp_path / name).symlink_to(in_place.parent / name)
    assert recipe.load(tiny / "recipe.yaml", arguments[1:])
    cli.main(["check", *arguments])
    assert "recordings are not there" not in "".join(capsys.readouterr())


def test_places_are_relocated_like_files(in_place, tmp_path):
    for row in artefacts.read_rows(in_place, Utterance)[:2]:
        (tmp_path / "run").mkdir(exist_ok=True)
        moved = relocate(row, in_place.parent, tmp_path / "run")
        assert audio.measure(tmp_path / "run" / moved.audio)[0] == pytest.approx(row.duration, abs=1e-3)


def test_hashes_tell_recordings_apart_and_not_where_they_lie(tiny, in_place, tmp_path):
    member = in_place.parent / "corpus.tar" / "wavs" / "0.wav"
    assert digest_of(member) == digest_of(tiny / "corpus" / "0.wav") == artefacts.file_hash(tiny / "corpus" / "0.wav")
    stretches = {digest_of(in_place.parent / f"long.wav#t={times}") for times in ("0,0.4", "0,0.5")}
    assert len(stretches) == 2
    assert digest_of(tmp_path / "none.wav") == "missing"
