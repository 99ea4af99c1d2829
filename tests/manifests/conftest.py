"""What the tests of manifests share: recordings to make, and tables to read."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # for `bad_audio` and `tones`


@pytest.fixture
def record():
    """Writes a tone of so many seconds."""
    from tones import tone

    return lambda path, seconds=1.0, rate=8000: tone(path, seconds, rate)


@pytest.fixture
def rows():
    """Reads a JSONL table as plain dictionaries."""
    return lambda path: [json.loads(line) for line in path.read_text("utf-8").splitlines()]
