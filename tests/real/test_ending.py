"""Endings made of recordings of LJSpeech, told apart by the words and times of PocketSphinx."""

import pytest

from benchmarks.judging.clips import Clip
from benchmarks.judging.endings import judge
from lpo_tts.asr.pocketsphinx import PocketsphinxRecogniser
from lpo_tts.metrics.ending import Ending

SHORTEST = 2  # clips; each makes twenty endings


def test_endings_of_recordings_are_told_apart(clips):
    pytest.importorskip("pocketsphinx", reason="the package pocketsphinx is not installed")
    chosen = sorted(clips, key=lambda clip: clip[2].numel())[:SHORTEST]
    made = [Clip(name, text, wave) for name, text, wave in chosen]
    rows = [row for more in judge(Ending(PocketsphinxRecogniser()), made, ("tuned", "counted")) for row in more]
    right = sum(row["kind"] == row["found"]["kind"] for row in rows)
    assert len(rows) >= 12 * SHORTEST
    assert right / len(rows) >= 0.8
