"""Folders of short clips, tests on them in this process, and the real server in another one."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lpo_tts import audio

ROOT = Path(__file__).parents[3]
RATE = 16000


def speechlike(seconds, seed, level=0.1):
    """Noise in syllables: something whose loudness can be measured."""
    generator = torch.Generator().manual_seed(seed)
    time_axis = torch.arange(round(seconds * RATE)) / RATE
    return level * torch.randn(time_axis.shape, generator=generator) * (0.6 + 0.4 * torch.sin(2 * torch.pi * 4 * time_axis))


def clips(folder, count, seconds, systems=("base", "aligned"), reference=True):
    """A list of texts with a voice and a target each, and one folder of audio for each system; returns the list."""
    for number, name in enumerate((*systems, "voice", "target")):
        for k in range(count):
            audio.write(folder / name / f"p{k}.wav", speechlike(seconds, 100 * number + k), RATE)
    rows = []
    for k in range(count):
        target = {"target": f"target/p{k}.wav"} if reference else {}
        rows.append({"id": f"p{k}", "text": f"text number {k}", "voice": f"voice/p{k}.wav", **target})
    table = folder / "list.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return table


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Eight texts by two systems, a fifth of a second each, so that a test need not listen for long."""
    made = tmp_path_factory.mktemp("clips")
    clips(made, 8, 0.2)
    return made


@pytest.fixture(scope="session")
def items(folder):
    from demo.listening.items import folder_items

    return folder_items(folder / "list.jsonl", {name: folder / name for name in ("base", "aligned")})


class Clock:
    """Unix time that passes when a test says so."""

    now = 1_700_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(tmp_path, clock):
    from demo.listening.store import Store

    with Store(tmp_path / "answers.sqlite", clock) as made:
        yield made


@pytest.fixture
def sittings(items, store):
    """One test of each mode on the eight texts, five trials each."""
    from demo.listening.design import default_designs
    from demo.listening.sittings import Sittings, Test

    designs = [replace(one, trials_per_listener=5, anchors=(3500,)) for one in default_designs() if one.source == "systems"]
    return Sittings([Test(design, items) for design in designs], store)


def answer_to(trial, rng=None):
    """An answer of the form that a trial asks for."""
    labels = [clip["label"] for clip in trial["clips"]]
    if trial["mode"] in ("ab", "abx"):
        return rng.choice("AB") if rng else "A"
    if trial["mode"] == "cmos":
        return rng.randint(-3, 3) if rng else 2
    return {label: (rng.randint(1, 5) if rng else 4) for label in labels}


def heard(trial):
    """What the page reports when everything was played."""
    seconds = {clip["label"]: clip["seconds"] for clip in trial["clips"]} | {"X": trial["reference_seconds"]}
    return {"played": {label: seconds[label] for label in trial["hear"]}, "whole": trial["hear"]}


class Server:
    """`python -m demo.app` in a process of its own, which a test may kill."""

    def __init__(self, folder, answers, *options):
        systems = [part for name in ("base", "aligned") for part in ("--system", f"{name}={folder / name}")]
        command = [sys.executable, "-m", "demo.app", "--list", str(folder / "list.jsonl"), *systems]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [*command, "--answers", str(answers), *options],
            cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.address = ""
        for line in self.process.stdout:
            name, _, address = line.strip().partition(": ")
            if name == "listening test":
                self.address = address
                break
        if not self.address:
            raise RuntimeError(self.process.stderr.read())
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not self._answers():
            time.sleep(0.05)

    def _answers(self):
        import httpx

        try:
            return httpx.get(self.address + "api/tests").status_code == 200
        except httpx.TransportError:
            return False

    def kill(self):
        """As by a power cut: no handler runs."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()


@pytest.fixture
def serve():
    """A function that starts a server; all are killed at the end."""
    started = []

    def start(folder, answers, *options):
        started.append(Server(folder, answers, *options))
        return started[-1]

    yield start
    for one in started:
        one.kill()
