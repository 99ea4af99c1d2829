"""The study of degraded clips: clips that are chosen, the table it prints, equal error rates of hand-made cosines."""

import json
import math
from dataclasses import dataclass

import pytest
import torch

from benchmarks import judges
from benchmarks.judging import quality
from benchmarks.judging.degraded import DEGRADATIONS
from lpo_tts import audio
from lpo_tts.errors import ArtefactError
from lpo_tts.metrics.similarity import SpeakerSimilarity
from lpo_tts.steps.judges import JudgeSettings


@pytest.mark.parametrize(
    ("same", "other", "expected"),
    [
        ([0.9, 0.8], [0.1, 0.2], 0.0),
        ([0.9, 0.8, 0.7, 0.3], [0.1, 0.2, 0.25, 0.5], 0.25),  # at any threshold from 0.3 to 0.5 one of four is wrong
        ([0.1, 0.2], [0.8, 0.9], 1.0),
        ([0.5], [0.5], 0.5),
    ],
)
def test_equal_error_rate_of_hand_made_cosines(same, other, expected):
    assert quality.equal_error_rate(same, other) == pytest.approx(expected)


@pytest.fixture
def corpus(tmp_path):
    """Three clips of one speaker in the layout of LJSpeech, one too short, and a lonely one in that of LibriSpeech."""
    lj, libri = tmp_path / "LJSpeech-1.1", tmp_path / "LibriSpeech" / "test-clean" / "7" / "1"
    for name, seconds in (("LJ001-0001", 1.0), ("LJ001-0002", 0.9), ("LJ001-0003", 1.1), ("LJ001-0004", 0.1)):
        audio.write(lj / "wavs" / f"{name}.wav", tone(seconds), 16000)
    rows = [f"LJ001-000{number}|One two.|One two." for number in range(1, 5)]
    (lj / "metadata.csv").write_text("\n".join(rows) + "\n")
    audio.write(libri / "7-1-0000.flac", tone(1.0), 16000)
    (libri / "7-1.trans.txt").write_text("7-1-0000 ONE TWO\n")
    return tmp_path


def tone(seconds):
    time = torch.arange(int(seconds * 16000)) / 16000
    return 0.3 * torch.sin(2 * torch.pi * 200 * time) * torch.sin(2 * torch.pi * 3 * time)


def test_clips_of_speakers_with_two_of_them_and_another_clip_as_voice(corpus, monkeypatch):
    monkeypatch.setattr(quality, "DEGRADATIONS", {"second half cut off": DEGRADATIONS["second half cut off"]})
    clips = quality.recordings(corpus, 0.5, 2.0, 10)
    assert [clip.id for clip, _ in clips] == ["LJ001-0001", "LJ001-0002", "LJ001-0003"]
    copies = quality.make_copies(clips)
    assert [copy.id for copy in copies[:3]] == ["LJ001-0001/as it is", "LJ001-0001/second half cut off", "LJ001-0002/as it is"]
    assert [copy.voice_id for copy in copies[::2]] == ["LJ001-0002", "LJ001-0003", "LJ001-0001"]
    assert len(copies[1].audio) == len(copies[0].audio) // 2
    with pytest.raises(ArtefactError, match="expected two recordings of a speaker"):
        quality.recordings(corpus, 5.0, 6.0, 10)


def test_the_table_counts_clips_whose_copy_is_ranked_below(corpus, monkeypatch, capsys, tmp_path):
    chosen = {name: DEGRADATIONS[name] for name in ("second half cut off", "mu-law, 8 bits")}
    monkeypatch.setattr(quality, "DEGRADATIONS", chosen)
    told = ["--clips", str(corpus), "--shortest", "0.5", "--metric", "duration", "--json", str(tmp_path / "found.json")]
    assert judges.main(["quality", *told]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:5] == [
        "| copy | duration |",
        "|---|---:|",
        "| as it is | 1.00 s |",
        "| second half cut off | 0.50 s (0/3) |",  # of durations the lower one counts as better
        "| mu-law, 8 bits | 1.00 s (0/3) |",
    ]
    rows = json.loads((tmp_path / "found.json").read_text())["rows"]
    assert len(rows) == 9
    told = {"judge": "duration", "clip": "LJ001-0001", "copy": "second half cut off", "value": 0.5}
    assert rows[1] == told | {"num_words": 2, "words_per_second": 4.0}


@dataclass(frozen=True)
class Pitch:
    """The strongest frequency, as a direction: an encoder whose cosines can be told beforehand."""

    sample_rate = 16000
    min_duration = 0.5

    def load(self, device="cpu"):
        return self

    def embed(self, waves):
        angles = torch.tensor([float(torch.fft.rfft(wave).abs().argmax()) / len(wave) * 40 for wave in waves])
        return torch.stack([angles.cos(), angles.sin()], 1)


def test_pairs_of_voices_are_parted_by_their_folders(tmp_path):
    for speaker, name, hertz, seconds in (("a", "1", 150, 1), ("a", "2", 150, 1), ("b", "1", 400, 1), ("b", "scrap", 400, 0.2)):
        time = torch.arange(int(seconds * 16000)) / 16000
        audio.write(tmp_path / speaker / f"{name}.wav", 0.3 * torch.sin(2 * torch.pi * hertz * time), 16000)
    files = quality.voices(tmp_path)
    assert [speaker for speaker, _ in files] == ["a", "a", "b", "b"]
    metric = SpeakerSimilarity(Pitch())
    judge = JudgeSettings(metric, "judge", "pitch")
    found = quality.pairs(judge, files, "cpu")
    assert [row["same"] for row in found] == [True, False, False], "the scrap is too short"
    assert [row["cosine"] for row in found] == pytest.approx([1.0] + [math.cos(40 * 250 / 16000)] * 2, abs=1e-3)
    assert quality.error_table({"pitch": found}, files)[-1] == "| pitch | 1 | 1.000 | 2 | 0.811 | 0.0 % |"
    with pytest.raises(ArtefactError, match="expected a folder of recordings for each of several speakers"):
        quality.voices(tmp_path / "a")
