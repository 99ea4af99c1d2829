"""The panel: who is asked, what is blamed on the voice, what a metric may not give; and tables that go on where they were."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch

from lpo_tts import artefacts, audio, judging
from lpo_tts.errors import ContractError
from lpo_tts.judging import NO_AUDIO, Clip, Panel, Tables, voice_copy_path
from lpo_tts.metrics.base import Judgement
from lpo_tts.records import Prompt, Score, Utterance

TONE = 0.1 * torch.sin(torch.arange(1600) / 5)


@dataclass(frozen=True)
class Told:
    """A metric that says what it was given: the length of the voice, or what a test wants."""

    gives: str = "voice"
    loads: ClassVar[list] = []
    higher_is_better: ClassVar[bool] = True

    def load(self, device="cpu"):
        self.loads.append(self.gives)
        return self

    def judge(self, speech):
        if self.gives == "voice":
            silent = Judgement(value=None, detail={"reason": "there is no recording of the voice"})
            return [silent if one.voice is None else Judgement(value=one.voice.numel()) for one in speech]
        wrong = {
            "fewer": [],
            "nan": [Judgement(value=float("nan"))] * len(speech),
            "text": [Judgement(value="loud")] * len(speech),
            "tensor": [Judgement(value=torch.tensor(0.5))] * len(speech),
            "numpy": [Judgement(value=np.float32(0.5))] * len(speech),
            "set": [Judgement(value=1.0, detail={"words": {"a"}})] * len(speech),
        }
        return wrong[self.gives]


@dataclass(frozen=True)
class Words(Told):
    """A ratio over the words of the text."""

    aggregate: ClassVar[str] = "ratio"
    missing: ClassVar[float] = 1.0

    def weight(self, text, language="en"):
        return len(text.split())


def clip(name, wave=TONE, voice=None, text="one two"):
    recording = None
    if voice is not None:
        recording = Utterance(id=voice, audio=voice, text="", duration=0.1, speaker="s")
    return Clip(id=name, prompt=Prompt(id=name, text=text, voice=recording), audio=wave, sample_rate=16000)


def test_a_metric_is_loaded_when_it_is_asked_and_once():
    Told.loads.clear()
    panel = Panel({"a": Told(), "b": Told("tensor")})
    assert Told.loads == []
    assert panel.judge([clip("x")], ["b"])["b"][0].value == 0.5
    panel.judge([clip("x")])
    assert Told.loads == ["tensor", "voice"]


def test_what_has_no_audio_has_no_value_and_its_reason_and_its_weight():
    found = Panel({"words": Words("tensor")}).judge([clip("a", None), clip("b", torch.empty(0)), clip("c", text="a b c")])
    assert [one.value for one in found["words"]] == [None, None, 0.5]
    assert [one.weight for one in found["words"]] == [2.0, 2.0, 3.0]
    assert found["words"][0].detail == {"reason": NO_AUDIO}


def test_voices_are_read_below_the_root_and_one_that_cannot_be_read_is_the_reason(tmp_path):
    audio.write(tmp_path / "v.wav", TONE, 16000)
    audio.write(tmp_path / "silent.wav", torch.zeros(1600), 16000)
    clips = [clip("a", voice="v.wav"), clip("b", voice="gone.wav"), clip("c", voice="silent.wav"), clip("d")]
    found = Panel({"told": Told()}, tmp_path).judge(clips)["told"]
    assert [one.value for one in found] == [1600, None, None, None]
    assert found[1].detail["reason"].startswith(f"the voice cannot be read: {tmp_path}/gone.wav")
    assert "expected speech, found" in found[2].detail["reason"]
    assert found[3].detail["reason"] == "there is no recording of the voice"


@dataclass(frozen=True)
class OfCopies(Told):
    """A metric that compares with the voice's copy: it says how long both are."""

    needs_voice_copy: ClassVar[bool] = True

    def judge(self, speech):
        lengths = [[None if wave is None else wave.numel() for wave in (one.voice, one.voice_copy)] for one in speech]
        return [Judgement(value=None, detail={"reason": "told", "lengths": both}) for both in lengths]


def test_a_metric_that_asks_for_it_is_given_the_codec_copy_of_the_voice(tmp_path):
    audio.write(tmp_path / "v.wav", TONE, 16000)
    audio.write(voice_copy_path(tmp_path / "copies", "v.wav"), TONE[:1200], 16000)
    clips = [clip("a", voice="v.wav"), clip("b")]

    def lengths(copies, metrics):
        found = Panel(metrics, tmp_path, copies=copies).judge(clips)["of-copies"]
        return [one.detail["lengths"] for one in found]

    assert lengths(tmp_path / "copies", {"of-copies": OfCopies()}) == [[1600, 1200], [None, None]]
    assert lengths(None, {"of-copies": OfCopies()}) == [[1600, None], [None, None]]
    assert lengths(tmp_path / "nowhere", {"of-copies": OfCopies()}) == [[1600, None], [None, None]]
    # Nobody else pays for it: copies are not read where no metric asks for them.
    assert Panel({"told": Told()}, tmp_path, copies=tmp_path / "copies").copies is None


def test_only_so_much_of_voices_is_kept_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(judging, "MAX_VOICE_SAMPLES", 5 * TONE.numel())
    read, real = [], audio.read_speech
    monkeypatch.setattr(audio, "read_speech", lambda path: read.append(path.name) or real(path))
    for number in range(8):
        audio.write(tmp_path / f"{number}.wav", TONE, 16000)
    panel = Panel({"told": Told()}, tmp_path)
    asked = [0, 1, 2, 3, 4, 0, 5, 0, 1, 6, 7, 0]  # 0 is used again and again, and 1 was forgotten for 5
    found = panel.judge([clip(str(number), voice=f"{number}.wav") for number in asked])["told"]
    assert [one.value for one in found] == [1600] * len(asked)
    assert read == [f"{number}.wav" for number in (0, 1, 2, 3, 4, 5, 1, 6, 7)]
    assert len(panel._voices) == 5
    assert panel._voice_samples == 5 * TONE.numel()
    panel.judge([clip(str(number), voice=f"gone{number}.wav") for number in range(20)])
    assert len(panel._voices) <= 5 * TONE.numel() // judging.LEAST_VOICE


@pytest.mark.parametrize(
    ("gives", "message"),
    [
        ("fewer", "metric 'm': expected one judgement per utterance, 1, found 0"),
        ("nan", "metric 'm' of 'x': expected a finite number or None, found nan"),
        ("text", "expected a finite number or None, found 'loud'"),
        ("set", "expected a detail of plain finite values"),
    ],
)
def test_a_metric_that_gives_what_cannot_be_is_named(gives, message):
    with pytest.raises(ContractError, match=message):
        Panel({"m": Told(gives)}).judge([clip("x")])


@pytest.mark.parametrize("gives", ["tensor", "numpy"])
def test_numbers_of_other_libraries_become_floats(gives):
    value = Panel({"m": Told(gives)}).judge([clip("x")])["m"][0].value
    assert (type(value), value) == (float, 0.5)


def test_tables_go_on_where_they_were(tmp_path):
    def artefact(name):
        made = artefacts.Artefact(tmp_path / f"{name}.jsonl", artefacts.Provenance("score", {}, {}))
        made.state()
        made.begin()
        return made

    first: Tables[str] = Tables()
    first.open("a", artefact("a"))
    first.add("a", "wer", ["x", "y"], [Judgement(value=0.5, weight=2.0), Judgement(value=None)])
    with (tmp_path / "a.jsonl.partial").open("a") as file:
        file.write('{"candidate_id": "z", "met')  # killed here
    second: Tables[str] = Tables()
    second.open("a", artefact("a"))
    assert not second.lacks("a", ["x", "y"])
    assert second.lacks("a", ["y", "z"])
    second.add("a", "wer", ["y", "z"], [Judgement(value=9.0), Judgement(value=1.0)])
    ((key, made, writer),) = second.close()
    made.finish(**writer.finish())
    rows = artefacts.read_rows(tmp_path / "a.jsonl", Score)
    assert (key, [(row.candidate_id, row.value, row.weight) for row in rows]) == (
        "a",
        [("x", 0.5, 2.0), ("y", None, None), ("z", 1.0, None)],
    )
    assert made.meta()["pass"]
