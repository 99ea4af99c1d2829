"""A corpus program that is killed goes on where it was; the result is that of one that was never interrupted."""

import json
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from data_prep import folder
from tests.manifests.made import contents

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_killed_by_the_system_and_resumed(tmp_path, record):
    raw = tmp_path / "raw"
    for k in range(48):
        record(raw / f"s{k % 3}" / f"{k:02d}.wav", 0.5 + k / 100)
        (raw / f"s{k % 3}" / f"{k:02d}.txt").write_text(f"sentence {k}")
    out = tmp_path / "cut" / "manifest.jsonl"
    slow = f"""
        import sys, time
        sys.path.insert(0, {str(ROOT)!r})
        from data_prep import folder
        from lpo_tts import audio
        from lpo_tts.manifests import resuming
        resuming.NOTE_EVERY = 0.0
        measure = audio.measure
        audio.measure = lambda path, each=None: time.sleep(0.02) or measure(path, each)
        sys.exit(folder.main(sys.argv[1:]))
    """
    command = [sys.executable, "-c", textwrap.dedent(slow), str(raw), "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    progress = out.with_name("manifest.jsonl.progress.json")
    while not progress.exists() and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert 0 < json.loads(progress.read_text())["done"] < 48
    assert not out.exists()
    assert folder.main([str(raw), "--out", str(out)]) == 0
    assert folder.main([str(raw), "--out", str(tmp_path / "whole" / "manifest.jsonl"), "--workers", "2"]) == 0
    assert contents(out.parent) == contents(tmp_path / "whole")
