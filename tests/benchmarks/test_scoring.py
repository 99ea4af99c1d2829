"""benchmarks/scoring.py: all ways judge the same candidates alike, and the table holds the ratios to one at a time."""

import sys
from pathlib import Path

import pytest
import torch

from benchmarks import scoring
from benchmarks.scoring import HeardAsRecorded, Setting, compare, read_clips, table
from lpo_tts import artefacts, audio
from lpo_tts.codecs.mini import MiniCodec
from lpo_tts.records import Utterance

CODEC = MiniCodec("recipes/mini/checkpoints/codec")


def write_clips(folder: Path, count: int, speaker: str = "s") -> Path:
    """A manifest of noise at 22.05 kHz, each clip of another length."""
    rows = []
    for number in range(count):
        generator = torch.Generator().manual_seed(number)
        seconds = 0.7 + 0.1 * number
        audio.write(folder / f"{number}.wav", 0.1 * torch.randn(round(22050 * seconds), generator=generator), 22050)
        rows.append(Utterance(id=f"{speaker}{number}", audio=f"{number}.wav", text="one two", duration=seconds, speaker=speaker))
    artefacts.write_rows(folder / "manifest.jsonl", rows)
    return folder / "manifest.jsonl"


def test_the_codec_works_and_the_recordings_are_heard(tmp_path, monkeypatch):
    root, clips = read_clips([write_clips(tmp_path, 3)], None)
    codec = HeardAsRecorded(CODEC, tuple(str(root / clip.audio) for clip in clips)).load()
    decoded = []
    monkeypatch.setattr(type(codec._codec), "decode", lambda self, codes: decoded.extend(codes))
    codes = [codec.codes(number, seed=number) for number in (2, 0)]
    for number, wave, one in zip((2, 0), codec.decode(codes), codes, strict=True):
        recorded = audio.read(root / clips[number].audio, 16000)[0]
        assert torch.equal(wave, recorded)
        assert one.num_frames == -(-recorded.numel() // 320)  # as long as the recording, at 50 frames a second
    assert decoded == codes


def test_clips_of_several_manifests_lie_below_one_root(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_clips(tmp_path / name, 2, name)
    root, clips = read_clips([tmp_path / "a" / "manifest.jsonl", tmp_path / "b" / "manifest.jsonl"], 3)
    assert [clip.audio for clip in clips] == ["a/0.wav", "a/1.wav", "b/0.wav"]
    voices = [prompt.voice for prompt in Setting(clips, root, 1, "", None, "", CODEC).prompts()]
    assert [voice.id for voice in voices if voice] == ["a1", "a0", "b0"]  # the speaker's next clip; a lone one is its own


@pytest.mark.slow  # loads Whisper by transformers, and starts processes
def test_all_ways_judge_the_same_candidates_alike(tmp_path):
    sys.path.insert(0, str(Path(__file__).parents[1] / "asr"))
    from test_whisper import build  # a tiny random checkpoint in the real format

    folder = str(build(tmp_path / "whisper"))
    root, clips = read_clips([write_clips(tmp_path, 2)], None)
    setting = Setting(clips, root, 2, folder, None, "recipes/mini/checkpoints/speaker-judge", CODEC, max_new_tokens=6)
    found = compare(setting, tmp_path / "work", ["one", "whisper"], rounds=1, threads=1, workers=1, part_size=2)
    assert list(found) == ["one", "whisper"]
    # Not equal: one resamples by Fourier transform and hears what a 16-bit wav holds.
    assert found["whisper"]["similarity"] == pytest.approx(found["one"]["similarity"], abs=0.02)
    assert min(one["wer"] for one in found.values()) > 0  # noise, and random weights
    assert all(one["files_per_second"] > 0 and one["files_per_cpu_second"] > 0 for one in found.values())


def test_the_table_holds_the_ratios_to_one_at_a_time():
    figures = {
        name: {"files_per_second": rate, "files_per_cpu_second": rate / 2, "wer": 0.0767, "similarity": 0.8}
        for name, rate in {"one": 0.5, "whisper": 1.6}.items()
    }
    assert table(figures).splitlines()[-1] == "| whisper | 1.60 | 0.80 | 3.20x | 3.20x | 7.67 | 0.8000 |"


def test_the_totals_of_the_score_step_are_corpus_totals(monkeypatch):
    from lpo_tts.records import Judgement

    judged = {
        "wer": [Judgement(value=0.5, weight=4), Judgement(value=0.0, weight=6)],
        "similarity": [Judgement(value=0.9), Judgement(value=None, detail={"reason": "short"})],
    }
    monkeypatch.setattr(scoring.Local, "map", lambda self, worker, parts: iter([(["a", "b"], judged)]))
    setting = Setting((), Path(), 1, "", None, "speaker", CODEC)
    assert scoring.score_step(setting, None, [], 1) == scoring.Totals(files=2, errors=2, words=10, similarity=0.9)
