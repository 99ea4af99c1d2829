"""What the tests of corpus programs share: recordings to make, tables to read, folders that cannot be read."""

import json
import os
import sys
from pathlib import Path

import pytest
import torch

from lpo_tts import audio

sys.path.insert(0, str(Path(__file__).parents[1]))  # for `bad_audio`


@pytest.fixture
def record():
    """Writes a tone of so many seconds."""

    def write(path, seconds=1.0, rate=8000):
        path.parent.mkdir(parents=True, exist_ok=True)
        audio.write(path, 0.1 * torch.sin(torch.arange(int(seconds * rate)) / 5), rate)
        return path

    return write


@pytest.fixture
def rows():
    """Reads a JSONL table as plain dictionaries."""
    return lambda path: [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture
def one_line(capfd):
    """What a refusal says on stderr: a single line, no traceback."""

    def said():
        text = capfd.readouterr().err
        assert text.count("\n") == 1, text
        return text

    return said


@pytest.fixture
def forbid(monkeypatch):
    """Makes a folder unreadable, for root too."""
    scandir = os.scandir
    closed = set()

    def look(path="."):
        if os.fspath(path) in closed:
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", look)
    return lambda path: closed.add(os.fspath(path))
