"""The study of endings: which ones are made of which clip, and where the words of a recording lie."""

import sys
from pathlib import Path

import pytest
import torch

from benchmarks.judging.aligned import aligned_words
from benchmarks.judging.clips import SAMPLE_RATE, Clip
from benchmarks.judging.endings import judge, report
from lpo_tts.metrics.ending import Ending

sys.path.insert(0, str(Path(__file__).parents[2] / "metrics"))

from timed import Told, fade, silence, tone

WORDS = (("gate", 0.0, 0.3), ("blue", 0.4, 0.7), ("four", 0.8, 1.1), ("two", 1.2, 1.5))
PARTS = [part for _ in range(4) for part in (tone(0.3), silence(0.1))]
CLIPS = [Clip(name, "gate blue four two", torch.cat([*PARTS[:-1], fade(0.1), silence(0.3)])) for name in "abcd"]


def test_one_in_two_endings_of_a_clip_and_the_others_of_the_next():
    metric = Ending(Told(WORDS))
    (all_of_a,) = judge(metric, CLIPS[:1], ("tuned",))
    assert len(all_of_a) == 20
    a, c = judge(metric, CLIPS, ("tuned",), every=2)
    assert {row["clip"] for row in a} == {"a"}
    assert {row["clip"] for row in c} == {"c"}
    names = [row["made"] for row in all_of_a]
    assert [row["made"] for row in a] == names[::2]
    assert [row["made"] for row in c] == names[1::2]


def test_clips_without_known_words_are_neither_cut_nor_repeated():
    (rows,) = judge(Ending(Told(WORDS)), CLIPS[:1], ("tuned",), lambda clip: ())
    assert len(rows) == 13
    assert not any("cut" in row["made"] or "last" in row["made"].split("sound")[0] for row in rows if row["kind"] != "good")


def test_the_table_counts_what_was_said():
    rows = [{"clip": "a", "made": "cut", "kind": "cut_off", "found": {"kind": kind}} for kind in ("cut_off", "good", "silent")]
    lines = report(rows, "half")
    assert lines[0] == "**half, 3 endings, 33.3 % right, 66.7 % as good or not good**"
    assert "| cut_off | 1 | 1 | 0 | 0 | 1 | 33.3 % |" in lines
    assert lines[-1] == "| cut | cut_off | 1 | 3 | good 1, silent 1 |"


@pytest.mark.slow
def test_the_words_of_a_known_text_are_aligned_in_order():
    pytest.importorskip("pocketsphinx", reason="the package pocketsphinx is not installed")
    pytest.importorskip("espeakng_loader", reason="the package espeakng-loader is not installed")
    from recipes.mini import corpus

    text = "gate blue seven four two"
    wave = torch.from_numpy(corpus.synthesise(text, corpus.VOICES_SEEN[0])).float()
    words = aligned_words(Clip("x", text, wave))
    assert [word.text for word in words] == text.split()
    ends = [moment for word in words for moment in (word.start, word.end)]
    assert ends == sorted(ends)
    assert wave.numel() / SAMPLE_RATE - 1 < ends[-1] <= wave.numel() / SAMPLE_RATE
    assert aligned_words(Clip("x", "gate blue xyzzyx", wave)) == ()
