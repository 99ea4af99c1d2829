"""`lpo-tts train` on two processes: the first one alone writes, both train, and the run is that of one process."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lpo_tts import artefacts, cli
from lpo_tts.errors import ConfigError
from lpo_tts.training.settings import TrainSettings

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = ["train.batch_size=4", "train.micro_batch_size=2"]


@pytest.fixture(scope="module")
def referenced(tiny, tmp_path_factory):
    """A run that is done up to the reference: its folder."""
    out = tmp_path_factory.mktemp("launched") / "out"
    assert cli.main(["run", str(tiny / "recipe.yaml"), f"out={out}", *SETTINGS, "--until", "reference", "--quiet"]) == 0
    return out


def launch(tiny, out, verb="train", *more):
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", "-m", "lpo_tts.cli"]
    command += [verb, str(tiny / "recipe.yaml"), f"out={out}", *SETTINGS, *more]
    path = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])  # the recipe names `ears`
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


def rows_of(out):
    rows = [json.loads(line) for line in (out / "run" / "metrics.jsonl").read_text().splitlines()]
    # `epoch` counts the steps of an epoch, of which two processes make another number where the last batch is short.
    return [{key: value for key, value in row.items() if key not in ("tokens_per_second", "epoch")} for row in rows]


@pytest.mark.slow
def test_two_processes_train_what_one_trains(tiny, referenced, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    shutil.copytree(referenced, one)
    shutil.copytree(referenced, two)
    assert cli.main(["train", str(tiny / "recipe.yaml"), f"out={one}", *SETTINGS, "--quiet"]) == 0
    done = launch(tiny, two)
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stderr.count("learnt from") == 1  # the first process speaks for both

    expected, found = rows_of(one), rows_of(two)
    assert len(expected) == len(found) > 4
    steps = {row["step"] for row in expected}
    whole = artefacts.read_json(two / "run.meta.json")["counts"]["train_pairs"] // 4 * 4
    for theirs, own in zip(expected, found, strict=True):
        # two processes fill the last batch of an epoch up, where one leaves it short: compared until then
        if own["step"] <= whole // 4:
            assert own == pytest.approx(theirs, rel=1e-3, abs=1e-4)
    assert {row["step"] for row in found} == steps
    counts = artefacts.read_json(two / "run.meta.json")["counts"]
    assert artefacts.read_json(two / "run.meta.json")["complete"]
    assert counts["steps"] == artefacts.read_json(one / "run.meta.json")["counts"]["steps"]
    assert (two / "run" / "final" / "model.safetensors").exists()
    assert not list((two / "run" / "final").glob("*.bin"))

    again = launch(tiny, two)
    assert again.returncode == 0, again.stderr[-4000:]
    assert again.stderr.count("train: up to date") == 1
    refused = launch(tiny, two, "train", "train.learning_rate=0.5")
    assert refused.returncode != 0
    assert "learning_rate: 0.001 -> 0.5" in refused.stderr
    assert artefacts.read_json(two / "run.meta.json")["complete"]
    # what follows is for one process, which takes up what two have trained
    assert cli.main(["run", str(tiny / "recipe.yaml"), f"out={two}", *SETTINGS, "--until", "train", "--quiet"]) == 0


@pytest.mark.parametrize("verb", ["run", "score", "reference"])
def test_other_steps_are_refused_on_several_processes(verb, tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert cli.main([verb, str(tiny / "recipe.yaml"), f"out={tmp_path / 'out'}"]) == 2
    assert "2 processes were launched, but only training is shared among processes" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_batch_is_that_of_all_processes(tmp_path, monkeypatch):
    settings = TrainSettings(batch_size=12, micro_batch_size=4, precision="fp32")

    def shape():
        args = settings.config(tmp_path, evaluate=False)
        return args.per_device_train_batch_size, args.gradient_accumulation_steps

    assert shape() == (4, 3)
    for processes, expected in ((3, (4, 1)), (6, (2, 1)), (12, (1, 1))):
        monkeypatch.setattr("lpo_tts.training.settings.launched", lambda processes=processes: (0, processes))
        assert shape() == expected
    for processes in (2, 5):
        monkeypatch.setattr("lpo_tts.training.settings.launched", lambda processes=processes: (0, processes))
        message = f"batch_size = 12 cannot be shared among {processes} processes in micro-batches of 4"
        with pytest.raises(ConfigError, match=message):
            shape()
