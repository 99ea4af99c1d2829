"""What changes a result is in the fingerprint; what a run says of itself is what was done."""

import json
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
import torch

from lpo_tts import artefacts, cli, pipeline, recipe
from lpo_tts.comparison.results import SCHEMA
from lpo_tts.records import file_name

ROOT = Path(__file__).resolve().parents[2]
CODEC = ROOT / "recipes" / "mini" / "checkpoints" / "codec"


@pytest.fixture(scope="module")
def done(tiny, tmp_path_factory):
    """A finished run whose codec lies in a folder of its own: (arguments, folder, codec)."""
    folder = tmp_path_factory.mktemp("identity")
    shutil.copytree(CODEC, folder / "codec")
    arguments = [str(tiny / "recipe.yaml"), f"out={folder / 'out'}", f"codec.model={folder / 'codec'}"]
    assert cli.main(["run", *arguments, "--quiet"]) == 0
    return arguments, folder / "out", folder / "codec"


def perturb(path: Path) -> bytes:
    """Flips one bit in place; returns what was there."""
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    return data


@pytest.mark.parametrize("verb", ["sample", "score", "synthesize"])
@pytest.mark.slow
def test_weights_changed_in_place_are_noticed(done, capsys, verb):
    arguments, _, codec = done
    kept = perturb(codec / "model.safetensors")
    try:
        assert cli.main([verb, *arguments]) == 2
        assert "settings.codec.model: 'sha256:" in capsys.readouterr().err
    finally:
        (codec / "model.safetensors").write_bytes(kept)
    assert cli.main([verb, *arguments, "--quiet"]) == 0, "the same contents are the same codec"


def test_a_codec_that_was_moved_is_the_same_one(done, tmp_path):
    arguments, _, codec = done
    shutil.copytree(codec, tmp_path / "elsewhere")
    assert cli.main(["run", *arguments[:2], f"codec.model={tmp_path / 'elsewhere'}", "--quiet"]) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("backbone.voice_frames=4", "settings.backbone.voice_frames: 8 -> 4"),
        ("synthesize.num_seeds=1", "settings.num_seeds: 2 -> 1"),
        ("evaluate.judges.judge.metric.recogniser.salt=x", "settings.metric.recogniser.salt: 'other' -> 'x'"),
        ("train.head=full", "settings.head: 'fused' -> 'full'"),
    ],
)
def test_a_changed_setting_of_any_step_is_refused_before_the_first_one_works(done, capsys, caplog, change, message):
    arguments, out, _ = done
    note = (out / "recipe.tiny.json").read_bytes()
    assert cli.main(["run", *arguments, change]) == 2
    assert message in capsys.readouterr().err
    assert "up to date" not in caplog.text, "no step was begun"
    assert (out / "recipe.tiny.json").read_bytes() == note, "a refused run changes no record"


def test_a_report_with_another_setting_is_made_again_from_the_same_judgements(done, tmp_path, caplog):
    arguments, out, _ = done
    again = tmp_path / "out"
    shutil.copytree(out, again)
    judged = {path: path.stat().st_mtime_ns for path in (again / "judgements").glob("*/*.jsonl")}
    assert cli.main(["evaluate", arguments[0], f"out={again}", arguments[2], "evaluate.num_resamples=1099"]) == 0
    assert "the report is made again (settings.num_resamples: 1000 -> 1099)" in caplog.text
    report = json.loads((again / "report" / "report.json").read_text())
    assert report["bootstrap"]["num_resamples"] == 1099
    assert {path: path.stat().st_mtime_ns for path in judged} == judged


def test_a_report_of_another_version_is_made_again(done, tmp_path, caplog, monkeypatch):
    arguments, out, _ = done
    again = tmp_path / "out"
    shutil.copytree(out, again)
    monkeypatch.setattr("lpo_tts.steps.reporting.SCHEMA", SCHEMA + 1)
    assert cli.main(["evaluate", arguments[0], f"out={again}", arguments[2]]) == 0
    assert f"the report is made again (settings.report_schema: {SCHEMA} -> {SCHEMA + 1})" in caplog.text


@pytest.mark.parametrize("change", ["sample.max_failed=0.5", "score.max_unscorable=0.5", "synthesize.max_failed=0.2"])
def test_a_limit_is_not_part_of_what_is_made(done, change):
    arguments, *_ = done
    assert cli.main(["run", *arguments, change, "--quiet"]) == 0


def test_synthesize_alone_heeds_the_layout_of_the_model(done, capsys):
    arguments, *_ = done
    assert cli.main(["synthesize", *arguments, "backbone.voice_frames=4"]) == 2
    assert "settings.backbone.voice_frames: 8 -> 4" in capsys.readouterr().err


def test_every_answer_has_a_wav_of_its_own(done):
    _, out, _ = done
    rows = [json.loads(line) for part in (out / "synthesized" / "base").glob("part-*.jsonl") for line in part.open()]
    spoken = [row["id"] for row in rows if row["num_frames"]]
    wavs = {path.name for path in (out / "synthesized" / "base" / "wavs").iterdir()}
    assert wavs == {f"{file_name(one)}.wav" for one in spoken}
    assert len(wavs) == len(spoken)


@pytest.mark.slow
def test_ids_that_look_alike_as_file_names_keep_their_own_sound(tiny, tmp_path):
    shutil.copytree(tiny / "corpus", tmp_path / "corpus")
    manifest = tmp_path / "corpus" / "manifest.jsonl"
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    test = [row for row in rows if row["split"] == "test"]
    for row, name in zip(test, ("a/b", "a_b", "a-b", "..", "x" * 250, "a#0"), strict=True):
        row["id"] = name
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "out"
    arguments = [str(tiny / "recipe.yaml"), f"out={out}", f"prompts.manifest={manifest}"]
    assert cli.main(["run", *arguments, "--quiet"]) == 0
    meta = artefacts.read_json(out / "synthesized" / "base.meta.json")
    spoken = meta["counts"]["rows"] - meta["counts"]["undecodable"]
    assert len(list((out / "synthesized" / "base" / "wavs").iterdir())) == spoken
    report = json.loads((out / "report" / "report.json").read_text())
    assert report["results"]["base"]["asked"] == 12


@pytest.mark.parametrize("lost", ["a wav", "a part", "final weights", "the page", "a copy", "judgements"])
def test_what_is_lost_of_a_finished_run_is_made_again_the_same(done, tmp_path, lost, caplog):
    arguments, out, _ = done
    again = tmp_path / "out"
    shutil.copytree(out, again)
    path = {
        "a wav": next((again / "synthesized" / "aligned" / "wavs").iterdir()),
        "a part": again / "synthesized" / "base" / "part-00000.safetensors",
        "final weights": again / "run" / "final" / "model.safetensors",
        "the page": again / "report" / "report.html",
        "a copy": next((again / "synthesized" / "codec-copy" / "wavs").iterdir()),
        "judgements": again / "judgements" / "judge" / "aligned.jsonl",
    }[lost]
    path.unlink()
    assert cli.main(["run", arguments[0], f"out={again}", arguments[2]]) == 0
    assert "are not as they were written" in caplog.text
    assert path.exists()
    for name in ("candidates", "run/final", "synthesized/base", "synthesized/aligned", "synthesized/codec-copy", "judgements"):
        assert artefacts.content_hash(again / name) == artefacts.content_hash(out / name), name


def test_every_file_of_a_run_can_be_read_by_those_who_can_read_the_others(done):
    _, out, _ = done
    modes = {stat.S_IMODE(path.stat().st_mode) for path in out.rglob("*.safetensors")}
    assert modes == {stat.S_IMODE((out / "prompts.jsonl").stat().st_mode)}


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_finished_run_can_be_looked_at_where_nothing_can_be_written(done, tmp_path, capsys):
    arguments, out, _ = done
    copy = tmp_path / "out"
    shutil.copytree(out, copy)
    mount = [["mount", "--bind", copy, copy], ["mount", "-o", "remount,ro,bind", copy]]
    if any(subprocess.run(command, capture_output=True, check=False).returncode for command in mount):
        pytest.skip("this system lets nobody mount")
    try:
        assert cli.main(["run", arguments[0], f"out={copy}", arguments[2]]) == 0
        assert str(copy / "report" / "report.html") in capsys.readouterr().out
        assert cli.main(["sample", arguments[0], f"out={copy}", arguments[2], "--redo", "sample"]) == 2
        message = capsys.readouterr().err
        assert "Read-only file system; choose another place" in message
        assert message.count("\n") == 1
    finally:
        subprocess.run(["umount", copy], check=True)


@pytest.mark.slow
def test_relative_checkpoints_of_another_working_folder_are_named(done, tmp_path, monkeypatch, capsys):
    arguments, *_ = done
    monkeypatch.chdir(tmp_path)
    assert cli.main(["check", *arguments, "backbone.model=recipes/mini/checkpoints/base", "--offline"]) == 2
    assert "recipes/mini/checkpoints/base" in capsys.readouterr().err


@pytest.mark.slow
def test_side_cars_name_the_round_they_belong_to(tiny, tmp_path):
    """Rounds: every one has a folder of its own, and a changed setting is found in all of them before any works."""
    out = tmp_path / "out"
    arguments = [str(tiny / "recipe.yaml"), f"out={out}", "rounds=2"]
    assert cli.main(["run", *arguments, "--quiet"]) == 0
    assert (out / "rounds" / "1" / "run" / "final").is_dir()
    loaded = recipe.load(arguments[0], [*arguments[1:], "train.head=full"])
    with pytest.raises(Exception, match=r"settings.head: 'fused' -> 'full'") as error:
        pipeline.run(loaded)
    assert str(out / "rounds" / "1" / "run") in str(error.value)
    assert cli.main(["run", *arguments, "--quiet"]) == 0


def test_codec_copies_do_not_depend_on_the_number_of_threads(done, tmp_path):
    arguments, out, _ = done
    threads, copies = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            shutil.copytree(out, tmp_path / str(count))
            artefacts.remove(tmp_path / str(count) / "synthesized" / "codec-copy")
            again = [arguments[0], f"out={tmp_path / str(count)}", arguments[2], "engine.workers=1"]
            assert cli.main(["synthesize", *again, "--quiet"]) == 0
            copies.append(artefacts.content_hash(tmp_path / str(count) / "synthesized" / "codec-copy"))
    finally:
        torch.set_num_threads(threads)
    assert copies[0] == copies[1]


def test_a_torn_note_of_the_recipe_is_written_again(done, tmp_path):
    arguments, out, _ = done
    shutil.copytree(out, tmp_path / "out")
    note = tmp_path / "out" / "recipe.tiny.json"
    note.write_text(note.read_text()[:50])
    assert cli.main(["run", arguments[0], f"out={tmp_path / 'out'}", arguments[2], "--quiet"]) == 0
    assert json.loads(note.read_text())["name"] == "tiny"
