"""A whole run on Ray: byte-equal to one process, whoever is killed on the way."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lpo_tts import artefacts, cli

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow
MADE = ("candidates", "scores-wer.jsonl", "scores-similarity.jsonl", "comparisons-judge.jsonl", "pairs.jsonl")
WAVS = ("synthesized/base/wavs", "synthesized/aligned/wavs")
COMPARED = "score.comparisons.judge={comparer: {name: metric, metric: {name: duration}}}"
SMALL = ("sample.part_size=4", COMPARED, "reference.batch_size=4")
RAY = "engine={name: ray, workers: 2}"

SLOW_EARS = """
import os, time
from dataclasses import dataclass
from pathlib import Path
from ears import HashRecogniser

@dataclass(frozen=True)
class SlowRecogniser(HashRecogniser):
    '''Says which process hears, and takes its time.'''

    def transcribe(self, audio, language="en"):
        with open("heard", "a") as file:
            file.write(f"{os.getpid()}\\n")
        time.sleep(0.3)
        return super().transcribe(audio, language)
"""


def hashes(out, names=(*MADE, "reference.safetensors")):
    return {name: artefacts.content_hash(out / name) for name in names}


@pytest.fixture(scope="module")
def one_process(tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("one") / "out"
    assert cli.main(["run", str(tiny / "recipe.yaml"), f"out={out}", *SMALL, "--quiet"]) == 0
    return out


def test_a_run_on_ray_makes_what_one_process_makes(local_ray, tiny, tmp_path, one_process):
    out = tmp_path / "ray"
    assert cli.main(["run", str(tiny / "recipe.yaml"), f"out={out}", *SMALL, RAY, "--quiet"]) == 0
    assert hashes(out) == hashes(one_process)
    assert hashes(out, WAVS) == hashes(one_process, WAVS)
    rows = {name: [path.read_bytes() for path in sorted((one / "judgements").rglob("*.jsonl"))] for name, one in
            (("ray", out), ("one", one_process))}  # fmt: skip
    assert rows["ray"] == rows["one"]


@pytest.fixture
def slow(tiny, tmp_path):
    """A run up to its candidates, whose score step is slow: (command, folder, environment)."""
    (tmp_path / "slow_ears.py").write_text(SLOW_EARS)
    out = tmp_path / "out"
    own = "score.metrics.wer={name: wer, recogniser: {name: 'slow_ears:SlowRecogniser'}}"
    arguments = [str(tiny / "recipe.yaml"), f"out={out}", *SMALL, own]
    path = f"{ROOT}:{Path(__file__).parent}:{tmp_path}"
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "lpo_tts.cli"]
    subprocess.run([*command, "run", *arguments, "--until", "sample", "--quiet"], env=environment, check=True, cwd=tmp_path)
    return [*command, "score", *arguments, RAY], out, environment


def heard(folder, count):
    """Processes that have heard something, once there are so many lines."""
    end = time.monotonic() + 100
    file = folder / "heard"
    while time.monotonic() < end:
        lines = file.read_text().split() if file.exists() else []
        if len(lines) >= count:
            return [int(line) for line in lines]
        time.sleep(0.01)
    raise AssertionError("nobody hears")


def test_a_killed_actor_changes_nothing_in_the_tables(local_ray, slow, tmp_path, one_process):
    command, out, environment = slow
    process = subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    os.kill(heard(tmp_path, 2)[-1], signal.SIGKILL)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    assert "another one takes its place" in errors
    names = MADE[:-1]
    assert hashes(out, names) == hashes(one_process, names)


def test_a_killed_driver_goes_on_where_it_was(local_ray, slow, tmp_path, one_process):
    command, out, environment = slow
    process = subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.PIPE)
    heard(tmp_path, 5)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    partial = out / "scores-wer.jsonl.partial"
    assert partial.stat().st_size
    before = len((tmp_path / "heard").read_text().split())
    ended = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert ended.returncode == 0, ended.stderr
    names = MADE[:-1]
    assert hashes(out, names) == hashes(one_process, names)
    parts = len(list((out / "candidates").glob("*.jsonl")))
    assert before < len((tmp_path / "heard").read_text().split()) < before + parts  # not all were heard again
