"""What tests of the listening test listen with: short clips, the real server in another process, and listeners over HTTP."""

import json
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import torch

from lpo_tts import audio

ROOT = Path(__file__).parents[3]
RATE = 16000
PAUSE = 0.25  # seconds: a little more than the clips of a trial last


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


class Clock:
    """Unix time that passes when a test says so."""

    now = 1_700_000_000.0

    def __call__(self):
        return self.now


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
    """`python -m demo.app` in a process of its own, which a test may kill; `answers` is the path of its store."""

    def __init__(self, folder, answers, *options):
        self.answers = answers
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


class Simulated(threading.Thread):
    """A listener over HTTP, who now and then sends an answer twice, changes it, jumps ahead, or reloads.

    Attributes:
        told: trial -> the answer that the server said is stored.
        wrong: what the server did that it should not.
        cut_off: the server was gone in the middle.
    """

    def __init__(self, name, addresses, test="words", until=None):
        super().__init__(daemon=True)
        self.listener, self.addresses, self.test, self.until = name, addresses, test, until
        self.random, self.told, self.wrong, self.code, self.token = random.Random(name), {}, [], None, None
        self.turn, self.cut_off = 0, False

    def run(self):
        with httpx.Client(timeout=60) as self.client:
            try:
                while self.code is None and (self.until is None or time.monotonic() < self.until):
                    self.step()
            except httpx.TransportError:
                self.cut_off = True  # the server was killed: what it has told is what counts

    def step(self):
        if self.token is None:
            self.token = self.post("enter", name=self.listener, test=self.test).json()["token"]
        shown = self.get("api/trial", token=self.token, test=self.test).json()
        if "trial" not in shown:
            self.code = shown["code"]
            return
        for url in (*(clip["url"] for clip in shown["clips"]), *filter(None, [shown["reference"]])):
            if self.get(url).content[:4] != b"RIFF":
                self.wrong.append(f"no sound at {url}")
        answer = answer_to(shown, self.random)
        if self.random.random() < 0.2 and self.send(shown, answer, whole=[]).status_code != 409:
            self.wrong.append(f"an unheard answer was taken: {shown}")
        if self.random.random() < 0.2 and self.get("api/trial", token=self.token, test=self.test).json() != shown:
            self.wrong.append(f"a reload shows another trial than {shown}")
        time.sleep(PAUSE * len(shown["hear"]))
        for _ in range(1 + (self.random.random() < 0.3)):
            self.check(self.send(shown, answer), shown, answer)
        if self.random.random() < 0.3 and shown["mode"] == "ab":
            other = {"A": "B", "B": "A"}[answer]
            if self.send(shown, other).status_code != 409:
                self.wrong.append(f"a changed answer was taken: {shown}")

    def check(self, response, shown, answer):
        if response.status_code == 200:
            self.told[shown["trial"]] = answer
        else:
            self.wrong.append(response.text)

    def send(self, shown, answer, **changes):
        return self.post("answer", token=self.token, trial=shown["trial"], answer=answer, **heard(shown) | changes)

    def post(self, name, /, **body):
        return self.client.post(f"{self.address()}api/{name}", json=body)

    def get(self, path, /, **query):
        return self.client.get(self.address() + path, params=query)

    def address(self):
        self.turn += 1
        return self.addresses[self.turn % len(self.addresses)]
