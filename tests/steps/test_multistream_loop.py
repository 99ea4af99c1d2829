"""The whole loop with models that write several codebooks at once: it runs, goes on after a kill, and ends the same."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from lpo_tts import artefacts, cli
from lpo_tts.records import Candidate, PreferencePair

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))
import multistream as ms
from spoken import check_spoken_alike

pytestmark = pytest.mark.slow  # the whole loop, for two models

ROOT = Path(__file__).resolve().parents[2]
STABLE = (
    *("candidates", "scores-wer.jsonl", "scores-similarity.jsonl", "pairs.jsonl", "reference.safetensors"),
    *("run/final", "synthesized/base/wavs", "synthesized/aligned/wavs"),
)


@pytest.fixture(scope="module")
def recipes(tiny, tmp_path_factory):
    """The tiny recipe with each of the two models in its place."""
    folder = tmp_path_factory.mktemp("multistream")
    codec = ms.codec(folder / "codec")
    found = {}
    for name in ("delay", "depth"):
        settings = {"model": str(folder / name), "template": ms.TEMPLATE, "voice_frames": 8}
        backbone = ms.backbone(name, folder / name, **settings)
        lm = backbone.load()
        ms.teach_to_end(lm, backbone.token_map())
        ms.write(lm.module, folder / name)
        recipe = yaml.safe_load((tiny / "recipe.yaml").read_text())
        recipe |= {"name": name, "backbone": {"name": name, **settings}, "codec": codec}
        recipe["train"].pop("attention")
        recipe["sample"]["sampling"] = {**recipe["sample"]["sampling"], "max_tokens": 14}
        found[name] = folder / f"{name}.yaml"
        found[name].write_text(yaml.safe_dump(recipe, sort_keys=False))
    return found


@pytest.fixture(scope="module", params=["delay", "depth"])
def done(request, recipes, tmp_path_factory):
    """A finished run: (recipe file, folder)."""
    out = tmp_path_factory.mktemp(request.param) / "out"
    assert cli.main(["run", str(recipes[request.param]), f"out={out}", "--quiet"]) == 0
    return recipes[request.param], out


def hashes(out):
    return {name: artefacts.content_hash(out / name) for name in STABLE}


def test_the_loop_runs_to_its_report(done):
    _, out = done
    rows = [row for part in sorted((out / "candidates").glob("*.jsonl")) for row in artefacts.read_rows(part, Candidate)]
    assert {row.finished for row in rows} == {True, False}
    assert all(row.status in ("ok", "empty") for row in rows)
    pairs = artefacts.read_rows(out / "pairs.jsonl", PreferencePair)
    assert {pair.split for pair in pairs} == {"train", "dev"}
    report = json.loads((out / "report" / "report.json").read_text())
    assert report["results"]["aligned"]["asked"] == 12
    steps = [json.loads(line) for line in (out / "run" / "metrics.jsonl").read_text().splitlines()]
    assert any("eval_loss" in step or "loss" in step for step in steps)


def test_a_finished_loop_is_not_run_again(done):
    path, out = done
    before = hashes(out)
    assert cli.main(["run", str(path), f"out={out}", "--quiet"]) == 0
    assert hashes(out) == before


@pytest.mark.parametrize("name", ["delay", "depth"])
def test_recordings_become_answers_too(recipes, tmp_path, name):
    out = tmp_path / "out"
    rules = "pair.rules=[{rule: ground_truth, min_gap: 0.1, pairs_per_prompt: 2}]"
    assert cli.main(["run", str(recipes[name]), f"out={out}", rules, "--until", "reference", "--quiet"]) == 0
    pairs = artefacts.read_rows(out / "pairs.jsonl", PreferencePair)
    assert pairs
    assert all(pair.chosen == f"{pair.prompt_id}#target" for pair in pairs)


def test_a_codec_with_other_codebooks_is_refused(recipes, tiny, tmp_path, capsys):
    codec = yaml.safe_dump(yaml.safe_load((tiny / "recipe.yaml").read_text())["codec"], default_flow_style=True).strip()
    assert cli.main(["check", str(recipes["delay"]), f"out={tmp_path}", f"codec={codec}"]) == 2
    message = capsys.readouterr().err
    assert "(16, 16, 16)" in message
    assert "1024" in message


@pytest.mark.slow
def test_killed_again_and_again_it_ends_as_if_never_killed(done, tmp_path):
    path, out = done
    again = tmp_path / "killed"
    command = [sys.executable, "-m", "lpo_tts.cli", "run", str(path), f"out={again}"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{Path(__file__).parent}", "OMP_NUM_THREADS": "1"}
    for mark in ("candidates/part-00002.jsonl", "run/checkpoint-2", "synthesized/base/part-00000.jsonl"):
        process = subprocess.Popen(
            command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        deadline = time.monotonic() + 300
        while not (again / mark).exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert (again / mark).exists()
    last = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert last.returncode == 0, last.stderr
    assert hashes(again) == hashes(out)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["delay", "depth"])
def test_adapters_and_r2(recipes, tmp_path, name):
    out = tmp_path / "out"
    arguments = [str(recipes[name]), f"out={out}", "train.lora={rank: 2}"]
    assert cli.main(["run", *arguments, "--until", "train", "--quiet"]) == 0
    assert (out / "run" / "final" / "model.safetensors").exists()
    assert cli.main(["r2", *arguments]) == 0


def test_the_synthesizer_says_what_synthesize_wrote(done):
    path, out = done
    check_spoken_alike(path, [f"out={out}"], "aligned")
