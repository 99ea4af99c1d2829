"""The programs that train the mini world: one folder for all, nothing done twice, killed and resumed = uninterrupted."""

import importlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

pytest.importorskip("espeakng_loader")
HOME = Path(__file__).parents[2]
needs_speechbrain = pytest.mark.skipif(importlib.util.find_spec("speechbrain") is None, reason="needs speechbrain")
ORDER = ("codec", "recognisers", "speakers", "base", "floors")


@needs_speechbrain
@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize("quick", [(), ("QUICK=1",)])
def test_make_mini_pretrain_gives_every_program_what_it_needs_and_one_folder_to_all(monkeypatch, quick):
    shown = subprocess.run(["make", "-n", "-C", str(HOME), "mini-pretrain", *quick], capture_output=True, text=True, check=True)
    lines = re.findall(r"-m recipes\.mini\.pretrain\.(\w+)(.*)", shown.stdout)
    assert tuple(name for name, _ in lines) == ORDER
    asked = []
    for name, rest in lines:
        module = importlib.import_module(f"recipes.mini.pretrain.{name}")
        monkeypatch.setattr(module, "run", lambda program, out, work: asked.append((program, out)) or 0)
        assert module.main(rest.split()) == 0
        assert module.main(list(rest.split()[2:])) == 0  # without --out: the same folder
    folder = Path("build/mini-pretrain-quick" if quick else "build/mini-pretrain")
    assert asked == [(f"{name}.py", folder) for name in ORDER for _ in range(2)]


def test_a_part_is_finished_while_its_checkpoint_is_as_it_was_written(tmp_path, capsys):
    from recipes.mini.pretrain.progress import Part

    part, settings = Part(tmp_path, "codec"), {"steps": 3, "seed": 1}
    assert not part.finished(settings)
    part.checkpoint.mkdir(parents=True)
    (part.checkpoint / "model.safetensors").write_text("weights")
    assert not part.finished(settings)
    part.finish(loss=0.5)
    assert part.finished(settings)
    assert "codec: " in capsys.readouterr().out
    (part.checkpoint / "model.safetensors").write_text("weight!")
    assert not part.finished(settings)
    (part.checkpoint / "model.safetensors").unlink()
    assert not part.finished(settings)


def test_work_that_was_begun_with_other_settings_is_refused_and_the_settings_are_named(tmp_path):
    from lpo_tts.errors import ConfigError
    from recipes.mini.pretrain.progress import Part

    Part(tmp_path, "base").finished({"steps": 3, "codec": "a"})
    with pytest.raises(ConfigError, match=r"other settings \(steps: 3 -> 4; codec: 'a' -> 'b'\); choose another --out"):
        Part(tmp_path, "base").finished({"steps": 4, "codec": "b"})


def test_a_curve_that_goes_on_drops_what_will_be_done_again_and_a_torn_line(tmp_path):
    from recipes.mini.pretrain.progress import Curve

    path = tmp_path / "curve.jsonl"
    path.write_text('{"event": "start"}\n{"step": 2, "loss": 1}\n{"step": 4, "loss": 2}\n{"step": 6, "lo')
    curve = Curve(path, 2, spent=10.0)
    curve.log(step=3, loss=0.1)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row.get("step") for row in rows] == [None, 2, 3]
    assert rows[-1]["seconds"] >= 10


def test_a_judge_is_not_trained_without_the_codec_it_is_to_hear(tmp_path, capsys):
    from recipes.mini.pretrain import recognisers

    assert recognisers.main(["--quick", "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "expected the mini codec, found none; run python -m recipes.mini.pretrain.codec first" in error
    assert error.count("\n") == 1


def test_the_codecs_quantiser_goes_on_with_the_latents_k_means_will_start_from():
    from recipes.mini.pretrain import codec

    generator = torch.Generator().manual_seed(0)
    first, second = (codec.Quantiser(torch.zeros(4, 2)) for _ in range(2))
    first.recent = [torch.randn(8, 2, generator=generator) for _ in range(3)]
    second.restore(first.state())
    for quantiser in (first, second):
        quantiser.begin(torch.cat(quantiser.recent), torch.Generator().manual_seed(1))
    assert torch.equal(first.codebook, second.codebook)
    assert second.state().keys() == {"counts", "sums", "started"}


def start(name, out, *more):
    command = [sys.executable, "-m", f"recipes.mini.pretrain.{name}", "--quick", "--out", str(out), *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HOME)}
    return subprocess.Popen(
        command, cwd=HOME, env=environment, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(process):
    said, _ = process.communicate(timeout=900)
    assert process.returncode == 0, said
    return said


def kill_when(process, path):
    """SIGKILL to the program and its children as soon as a file is there."""
    while not path.exists():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def losses(out):
    rows = {}
    for path in sorted((out / "work").rglob("*.jsonl")):
        found = [json.loads(line) for line in path.read_text().splitlines()]
        rows[str(path.relative_to(out))] = [(row["step"], row["loss"]) for row in found if "loss" in row]
    return rows


# What each program has written when it is killed: in the middle of a training, between two of them, within a phase.
KILLS = {
    "codec": ["codec/settings.json", "codec/state.safetensors"],
    "recognisers": ["asr-train/clean.safetensors", "asr-train/summary.json", "asr-judge/codec.safetensors"],
    "speakers": ["speaker-train/clean.safetensors", "speaker-judge/clean.safetensors"],
    "base": ["base/train.safetensors", "base/state.safetensors"],
    "floors": ["floors/asr-train.json"],
}


@needs_speechbrain
@pytest.mark.slow
def test_programs_that_are_killed_and_run_again_make_the_same_checkpoints(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for name in ORDER:
        more = ("--no-outside",) if name == "floors" else ()
        uninterrupted = start(name, whole, *more)  # beside the killed one: two cores
        for path in KILLS[name]:
            kill_when(start(name, parts, *more), parts / "work" / path)
        finish(start(name, parts, *more))
        finish(uninterrupted)
        if name == "recognisers":
            said = finish(start(name, parts))
            assert all(f"{judge}: {parts}/checkpoints/{judge} is up to date" in said for judge in ("asr-train", "asr-judge"))
    assert contents(whole / "checkpoints") == contents(parts / "checkpoints")
    assert len(contents(whole / "checkpoints")) >= 16
    assert losses(whole) == losses(parts)
