"""The judging of an evaluation: order of rows, what is kept by content, workers, kills, and what a worker keeps in memory."""

import itertools
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from lpo_tts import audio
from lpo_tts.artefacts import Artefact, Provenance, content_hash
from lpo_tts.engines.local import Local
from lpo_tts.metrics.base import Judgement
from lpo_tts.records import Prompt, Utterance
from lpo_tts.steps import judged
from lpo_tts.steps.judged import Item, judge_all

RATE = 8000


@dataclass(frozen=True)
class Level:
    """Seconds of the audio, and of its voice; it notes what it was asked in a file, since workers are other processes."""

    notes: str
    higher_is_better: ClassVar[bool] = True

    def load(self, device="cpu"):
        return self

    def judge(self, speech):
        with Path(self.notes).open("a") as file:
            file.write(json.dumps([one.id for one in speech]) + "\n")
        voices = [0.0 if one.voice is None else one.voice.numel() / one.voice_sample_rate for one in speech]
        return [Judgement(value=len(one.audio) / RATE + 10 * voice) for one, voice in zip(speech, voices, strict=True)]


@dataclass(frozen=True)
class Judge:
    metric: Level
    max_candidates: int | None = None


@dataclass(frozen=True)
class Place:
    """As a run: tables are begun, or complete."""

    out: Path
    workers: int = 0
    worker_device: str = "cpu"
    blocks_before_death: int | None = None

    def map(self, make_worker, blocks):
        for number, result in enumerate(Local(self.workers).map(make_worker, blocks)):
            if number == self.blocks_before_death:
                raise KeyboardInterrupt
            yield result

    def prepare(self, plan, inputs, *, tell=True):
        artefact = Artefact(plan.path, Provenance(plan.verb, plan.settings, inputs))
        if artefact.state() == "complete":
            return artefact, True
        artefact.begin()
        return artefact, False

    def identity(self, value, kind=None):
        return type(value).__name__


def say(path, seconds):
    audio.write(path, 0.1 * torch.sin(torch.arange(round(seconds * RATE)) / 5), RATE)


@pytest.fixture
def items(tmp_path):
    """70 items of mixed lengths, more than two blocks; the voice of every second one is voice.wav."""
    say(tmp_path / "voice.wav", 0.5)
    voice = Utterance(id="v", audio="voice.wav", text="", duration=0.5, speaker="s")
    found = []
    for number in range(70):
        path = tmp_path / "wavs" / f"{number}.wav"
        say(path, 0.1 + (number * 37 % 70) / 100)
        found.append(Item(f"i{number}", Prompt(id=f"p{number}", text="one two", voice=voice if number % 2 else None), path))
    return found


def heard(notes):
    """Ids that were judged since the last look."""
    ids = [one for line in notes.read_text().splitlines() for one in json.loads(line)] if notes.exists() else []
    notes.unlink(missing_ok=True)
    return sorted(ids)


def values(scores, key=("level", "a")):
    return {name: row.value for name, row in scores[key].items()}


def test_rows_stand_in_the_order_of_the_list_and_are_kept(tmp_path, items):
    notes = tmp_path / "notes"
    judges = {"level": Judge(Level(str(notes)))}
    told = []
    scores = judge_all(Place(tmp_path), judges, {"a": items}, watch=lambda done, total: told.append((done, total)))
    assert list(scores["level", "a"]) == [item.id for item in items]
    assert values(scores)["i3"] == pytest.approx(0.1 + 41 / 100 + 5.0)
    assert scores["level", "a"]["i3"].duration == pytest.approx(0.51)
    assert told[0][0] == 0
    assert told[-1][0] == pytest.approx(told[-1][1])
    assert told[-1][1] == pytest.approx(sum(audio.duration(item.path) for item in items))
    assert heard(notes) == sorted(item.id for item in items)
    assert judge_all(Place(tmp_path), judges, {"a": items}) == scores
    assert heard(notes) == []


def test_only_what_is_another_content_is_judged_again(tmp_path, items):
    notes = tmp_path / "notes"
    judges = {"level": Judge(Level(str(notes)))}
    items[5].path.rename(tmp_path / "kept.wav")
    before = judge_all(Place(tmp_path), judges, {"a": items})["level", "a"]
    assert before["i5"].value is None
    assert before["i5"].fault is None
    heard(notes)
    (tmp_path / "kept.wav").rename(items[5].path)  # missing, and there now
    say(items[8].path, 2.0)  # replaced
    items[9].path.write_bytes(items[9].path.read_bytes())  # written again, the same
    items[11] = items[11]._replace(prompt=replace(items[11].prompt, text="another text"))
    after = judge_all(Place(tmp_path), judges, {"a": items})["level", "a"]
    assert heard(notes) == ["i11", "i5", "i8"]
    assert after["i8"].value == pytest.approx(2.0)
    assert list(after) == [item.id for item in items]
    assert {name: row for name, row in after.items() if name not in ("i5", "i8", "i11")} == {
        name: row for name, row in before.items() if name not in ("i5", "i8", "i11")
    }
    say(tmp_path / "voice.wav", 0.75)  # a voice is of many
    judge_all(Place(tmp_path), judges, {"a": items})
    assert heard(notes) == sorted(f"i{number}" for number in range(1, 70, 2))


def test_a_file_that_cannot_be_read_is_told_and_stops_nobody(tmp_path, items):
    items[2].path.write_bytes(b"no audio")
    rows = judge_all(Place(tmp_path), {"level": Judge(Level(str(tmp_path / "notes")))}, {"a": items})["level", "a"]
    assert rows["i2"].value is None
    assert "expected audio libsndfile can read" in (rows["i2"].fault or "")
    assert rows["i2"].detail["reason"] == rows["i2"].fault
    assert sum(row.value is not None for row in rows.values()) == 69


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_tables_do_not_depend_on_workers_nor_on_a_kill(tmp_path, items, workers):
    judges = {"level": Judge(Level(str(tmp_path / "notes"))), "first": Judge(Level(str(tmp_path / "other")), max_candidates=40)}
    wavs = {"a": items, "b": items[:10]}
    whole = Place(_beside(tmp_path, "whole"))
    judge_all(whole, judges, wavs)
    killed = Place(_beside(tmp_path, "killed"), workers, blocks_before_death=2)
    with pytest.raises(KeyboardInterrupt):
        judge_all(killed, judges, wavs)
    assert not (killed.out / "judgements" / "level" / "a.jsonl").exists()
    scores = judge_all(replace(killed, blocks_before_death=None), judges, wavs)
    assert content_hash(killed.out / "judgements") == content_hash(whole.out / "judgements")
    assert (len(scores["first", "a"]), len(scores["first", "b"])) == (40, 10)


def test_a_kill_within_a_second_judging_keeps_the_first(tmp_path, items, monkeypatch):
    monkeypatch.setattr(judged, "BLOCK", 8)
    notes = tmp_path / "notes"
    judges = {"level": Judge(Level(str(notes)))}
    before = judge_all(Place(tmp_path), judges, {"a": items})["level", "a"]
    for item in items[:20]:
        say(item.path, 1.5)
    with pytest.raises(KeyboardInterrupt):
        judge_all(Place(tmp_path, blocks_before_death=1), judges, {"a": items})
    heard(notes)
    after = judge_all(Place(tmp_path), judges, {"a": items})["level", "a"]
    assert len(heard(notes)) == 12  # 8 of 20 were on the disk
    assert {name: row.value for name, row in after.items() if int(name[1:]) >= 20} == {
        name: row.value for name, row in before.items() if int(name[1:]) >= 20
    }


def test_blocks_hold_items_of_like_length_and_do_not_depend_on_what_is_done(tmp_path, items):
    notes = tmp_path / "notes"
    judges = {"level": Judge(Level(str(notes)))}
    judge_all(Place(tmp_path), judges, {"a": items})
    seconds = {item.id: audio.duration(item.path) for item in items}
    batches = [[seconds[one] for one in json.loads(line)] for line in notes.read_text().splitlines()]
    assert sorted(map(len, batches)) == [6, 32, 32]
    spans = sorted((min(batch), max(batch)) for batch in batches)
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(spans))


def test_audio_is_resampled_once_for_all_judges_and_forgotten(monkeypatch):
    wave, calls = torch.randn(800), []
    real = audio._resample
    monkeypatch.setattr(audio, "_resample", lambda *given: calls.append(given[1:3]) or real(*given))
    with audio.resampled_once():
        first = audio.resample(wave, 8000, 16000)
        assert audio.resample(wave, 8000, 16000) is first
        audio.resample(wave.clone(), 8000, 16000)
        audio.resample(wave, 8000, 24000)
    assert calls == [(8000, 16000), (8000, 16000), (8000, 24000)]
    assert torch.equal(audio.resample(wave, 8000, 16000), first)
    assert len(calls) == 4


def _beside(tmp_path, name):
    """A folder of results in which the voice's path is found."""
    out = tmp_path / name
    out.mkdir()
    (out / "voice.wav").symlink_to(tmp_path / "voice.wav")
    return out
