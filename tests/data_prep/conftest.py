"""Corpus programs import each other as they do when run: by plain name from their folder."""

import json
import sys
from pathlib import Path

import pytest
import torch

from lpo_tts import audio

FOLDER = str(Path(__file__).parents[2] / "data_prep")
if FOLDER not in sys.path:
    sys.path.insert(0, FOLDER)


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
