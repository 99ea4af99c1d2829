"""kill -9 at any moment, then the same command again: the run ends with the same bytes as one that was left alone."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lpo_tts.errors import ArtefactError

sys.path.insert(0, str(Path(__file__).parent))  # for the program that is killed
from killed_run import CASES, make_pairs, run

HERE = Path(__file__).parent

# In the middle of steps, and while a checkpoint is written: each part of one, and the same one twice in a row.
KILLS = {
    "packed and averaged": ["step:2", "saving:state:6", "step:8", "saving:optimizer:9", "saving:model:9"],
    "accumulated": ["saving:model:3", "step:4", "saving:list:6", "step:10"],
    "with a state": ["step:4", "saving:optimizer:6", "step:8"],
    "with an adversary": ["saving:state:3", "step:8"],
}


def rows_of(folder):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "tokens_per_second"} for row in rows]


def live_and_die(folder, case, *kills):
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    command = [sys.executable, str(HERE / "killed_run.py"), str(folder), case, *kills]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    lives = json.loads((folder / "lives.json").read_text())
    ends = [-signal.SIGKILL] * (len(kills) - 1) if kills[-1] == "left" else [*[-signal.SIGKILL] * len(kills), 0]
    assert [life["exit"] for life in lives] == [0, *ends], (lives, done.stderr[-4000:])
    return lives


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_killed_run_ends_as_one_that_was_left_alone(case, tmp_path):
    lives = live_and_die(tmp_path, case, *KILLS[case])
    for life in lives[1:-1]:
        kind, *where = life["kill"].split(":")
        if kind == "step":
            assert int(where[0]) <= life["reached"] < 12  # killed on the way, not at its end
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    assert [row["step"] for row in rows_of(whole)] == [2, 4, 4, 6, 8, 8, 10, 12, 12]
    assert rows_of(torn) == rows_of(whole)  # equal floats, not close ones
    assert json.loads((tmp_path / "torn.json").read_text())["dev"] == json.loads((tmp_path / "whole.json").read_text())["dev"]
    assert json.loads((tmp_path / "torn.json").read_text())["resumed_from"] is not None
    files = sorted(path.relative_to(whole) for path in whole.glob("**/*.safetensors"))
    assert {"final/model.safetensors", "checkpoint-12/model.safetensors", "reference.safetensors"} - set(map(str, files)) <= {
        "reference.safetensors"  # a loss that runs the reference keeps none
    }
    for file in files:
        assert (torn / file).read_bytes() == (whole / file).read_bytes(), file
    state = [json.loads((folder / "checkpoint-12" / "meter.json").read_text())["loss_state"] for folder in (whole, torn)]
    assert state[0] == state[1]
    assert bool(state[0]) == (case == "with a state")


@pytest.mark.slow
def test_a_changed_setting_is_refused_when_a_killed_run_goes_on(tmp_path):
    live_and_die(tmp_path, "packed and averaged", "step:8", "left")
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "torn").iterdir()}
    for changes, named in (
        ({"learning_rate": 0.02}, r"settings.learning_rate: 0.01 -> 0.02"),
        ({"batch_size": 5}, r"settings.batch_size: 4 -> 5"),
        ({"average_from": None}, r"settings.average_from: 0.3 -> None"),
        ({"seed": 1}, r"settings.seed: 0 -> 1"),
        ({"max_grad_norm": 0.5, "epochs": 4}, r"settings.epochs: 3 -> 4; settings.max_grad_norm: 1.0 -> 0.5"),
    ):
        with pytest.raises(ArtefactError, match=rf"holds checkpoints of another run \({named}\); put these back"):
            run("packed and averaged", tmp_path / "torn", **changes)
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "torn").iterdir()} == kept  # nothing was touched


@pytest.mark.slow
def test_other_data_are_refused_when_a_killed_run_goes_on(tmp_path, monkeypatch):
    live_and_die(tmp_path, "accumulated", "step:4", "left")
    monkeypatch.setattr("killed_run.make_pairs", lambda count, prefix, seed: make_pairs(count, prefix, seed + (prefix == "p")))
    with pytest.raises(ArtefactError, match=r"another run \(train_data.contents: '\w+' -> '\w+'\); put these back"):
        run("accumulated", tmp_path / "torn")
    monkeypatch.setattr("killed_run.make_pairs", make_pairs)
    monkeypatch.setitem(CASES, "accumulated", ("dpo", {"beta": 0.2}, CASES["accumulated"][2]))
    with pytest.raises(ArtefactError, match=r"another run \(loss.beta: 0.1 -> 0.2\); put these back"):
        run("accumulated", tmp_path / "torn")
