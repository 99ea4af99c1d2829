"""benchmarks/evaluation.py: both ways judge the same clips alike, and what is told of their times."""

import json

import pytest
import torch

from benchmarks import evaluation
from benchmarks.evaluating import speech
from lpo_tts import audio
from lpo_tts.errors import ArtefactError
from lpo_tts.metrics.base import Judgement


@pytest.fixture
def recordings(tmp_path):
    """Three noises of one speaker in the layout of LJSpeech."""
    folder = tmp_path / "LJSpeech-1.1"
    torch.manual_seed(0)
    for number in range(3):
        audio.write(folder / "wavs" / f"LJ{number}.wav", 0.1 * torch.randn(22050 * (3 + number)), 22050)
    lines = [f"LJ{number}|one two three four|one two three four" for number in range(3)]
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_clips_are_whole_first_and_cut_with_their_texts_later(recordings, tmp_path):
    items = speech.recorded(recordings, tmp_path / "clips", 8)
    lengths = [audio.duration(item.path) for item in items]
    assert lengths[:3] == [3.0, 4.0, 5.0]
    assert all(speech.SHORTEST - 0.01 <= length <= 5.0 for length in lengths)
    assert len({round(length, 2) for length in lengths}) > 5
    assert items[0].prompt.text == "one two three four"
    assert len(items[7].prompt.text.split()) == max(1, round(lengths[7] / lengths[1] * 4))
    assert all(item.prompt.voice.audio.endswith(".wav") for item in items)
    with pytest.raises(ArtefactError, match=r"expected metadata\.csv of LJSpeech"):
        speech.recorded(tmp_path / "clips", tmp_path / "other", 2)


def test_both_ways_give_the_same_values_and_the_report_says_how_long_they_took(recordings, tmp_path, capsys):
    threads = torch.get_num_threads()
    try:
        arguments = ["--clips", str(recordings), "--files", "5", "--rounds", "2", "--threads", "1", "--workers", "1"]
        assert evaluation.main([*arguments, "--metric", "duration", "--json", str(tmp_path / "told.json")]) == 0
    finally:
        torch.set_num_threads(threads)
    told = json.loads((tmp_path / "told.json").read_text())
    assert set(told["ways"]) == {"one, 1 threads", "step"}
    for row in told["ways"].values():
        assert row["files_per_wall_second"] > 0
        assert row["wall_ratio"]["low"] <= row["wall_ratio"]["median"] <= row["wall_ratio"]["high"]
        assert sum(row["stages"].values()) == pytest.approx(1.0)
        assert row["agreement"]["duration"] == {"unequal_gaps": 0.0, "largest_difference": 0.0}
    assert told["ways"]["one, 1 threads"]["wall_ratio"]["median"] == 1.0
    assert told["machine"]["cores"] >= 1
    assert "5 files" in capsys.readouterr().out


def test_ways_that_do_not_agree_are_told_apart():
    def heard(value, hypothesis, weight=2.0):
        return Judgement(value=value, weight=weight, detail={"hypothesis": hypothesis})

    one = {"wer": {"a": heard(0.5, "one"), "b": heard(0.0, "one two")}}
    other = {"wer": {"a": heard(0.0, "one two"), "b": Judgement(value=None, weight=2.0)}}
    found = evaluation.agreement(one, other)["wer"]
    assert found["unequal_gaps"] == 1.0
    assert found["largest_difference"] == 0.5
    assert found["equal_transcripts"] == 0.0
    assert found["wer_one"] == 0.25


def test_the_order_of_the_ways_rotates():
    asked = []

    def way(name):
        return lambda number: (asked.append(name), ({}, {}))[1]

    evaluation.measure({name: way(name) for name in "abc"}, 3, 1)
    assert "".join(asked) == "abcbcacab"
