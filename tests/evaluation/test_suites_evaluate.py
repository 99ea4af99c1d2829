"""From a list to a report: a suite is converted, systems are judged by it, and its protocol decides the figures."""

import json
from pathlib import Path

import pytest
import yaml
from echo import speak
from test_suites_parity import published_wer

from evaluation import evaluate, suites
from evaluation.extent import Extent, departures
from lpo_tts.records import Prompt
from lpo_tts.steps.sources import Piece

TEXTS = {
    "a": ("A well-known fact.", "A well known fact"),
    "b": ("Isn't it?", "Isn't it"),
    "c": ("Two words", "not these two words"),
    "d": ("Nobody said this.", None),
}


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A suite of one's own with the counting of seed-tts-eval, its list, and a folder of speech with one file missing."""
    monkeypatch.chdir(tmp_path)
    speak(tmp_path / "voice.wav", "I am the voice", voice=0.5)
    rows = [f"{name}|I am the voice|voice.wav|{text}" for name, (text, _) in TEXTS.items()]
    (tmp_path / "meta.lst").write_text("\n".join(rows) + "\n")
    for name, (_, said) in TEXTS.items():
        if said is not None:
            speak(tmp_path / "speech" / f"{name}.wav", said, voice=0.5)
    tree = yaml.safe_load((suites.FOLDER / "own.yaml").read_text(encoding="utf-8"))
    tree["prompts"] = str(tmp_path / "made" / "prompts.jsonl")
    judges = {
        "judge-wer": {"label": "WER", "role": "judge", "margin": 0.005},
        "judge-similarity": {"label": "SIM-o", "role": "judge", "margin": 0.01},
    }
    judges["judge-wer"]["metric"] = {"name": "wer", "normaliser": "seed-tts", "recogniser": {"name": "echo:EchoRecogniser"}}
    judges["judge-similarity"]["metric"] = {"name": "similarity", "encoder": {"name": "echo:EchoSpeaker"}}
    tree["modes"]["parity"] = {
        "note": "Parity mode of the test.",
        "evaluate": {"average": "utterance_evaluated", "num_resamples": 1000, "judges": judges},
    }
    tree["modes"]["strict"]["evaluate"]["judges"] = judges
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    return tmp_path


@pytest.mark.slow
def test_a_suite_is_judged_by_its_protocol(world, capsys):
    command = ["--system", f"one={world / 'speech'}", "--out", str(world / "out"), "--suite", "mine.yaml"]
    assert evaluate.main(command) == 2
    assert "make them: python -m evaluation.suites mine --from LOCAL_COPY" in capsys.readouterr().err
    assert suites.main(["mine.yaml", "--from", "meta.lst", "--out", "made"]) == 0
    capsys.readouterr()
    own = {"parity": "one", "strict": "two"}
    shown = {}
    for mode, out in own.items():
        command = ["--system", f"one={world / 'speech'}", "--out", str(world / out), "--suite", f"mine.yaml/{mode}"]
        assert evaluate.main(command) == 0
        shown[mode] = capsys.readouterr().out
    values = [published_wer("en", text, said) for text, said in TEXTS.values() if said is not None]
    report = json.loads((world / "one" / "report" / "report.json").read_text())
    figures = report["results"]["one"]["figures"]["judge-wer"]
    assert figures["utterance_evaluated"]["estimate"] == pytest.approx(sum(values) / 3)
    assert figures["utterance"]["estimate"] == pytest.approx((sum(values) + 1) / 4)
    assert report["average"] == "utterance_evaluated"
    assert "1 of 4 candidates of one is missing and left out." in report["headline"][0]
    assert "Parity mode of the test." in report["note"]
    assert f"{100 * sum(values) / 3:.2f} %" in next(line for line in shown["parity"].splitlines() if "missing left out" in line)
    assert report["provenance"]["protocol"]["name"] == "mine/parity"
    assert "departures" not in report["provenance"]["protocol"]
    assert (report["title"], report["note"].startswith("Parity mode")) == ("one on mine.yaml/parity", True)
    strict = json.loads((world / "two" / "report" / "report.json").read_text())
    assert strict["average"] == "corpus"
    assert strict["results"]["one"]["metrics"]["judge-wer"]["missing"] == 1
    assert strict["results"]["one"]["metrics"]["judge-similarity"]["mean"]["estimate"] == pytest.approx(1.0)


def test_a_voice_of_a_suite_that_has_gone_is_refused_with_its_line(world, capsys):
    assert suites.main(["mine.yaml", "--from", "meta.lst", "--out", "made"]) == 0
    (world / "voice.wav").unlink()
    command = ["--system", f"one={world / 'speech'}", "--out", str(world / "out"), "--suite", "mine.yaml"]
    assert evaluate.main(command) == 2
    assert "prompts.jsonl:1: the voice of 'a': expected a recording" in capsys.readouterr().err
    assert not (world / "out").exists()


@pytest.mark.slow
def test_a_part_of_a_protocol_is_named_as_one(world, capsys):
    assert suites.main(["mine.yaml", "--from", "meta.lst", "--out", "made"]) == 0
    tree = yaml.safe_load((world / "mine.yaml").read_text(encoding="utf-8"))
    tree["modes"]["parity"]["num_seeds"], tree["modes"]["strict"]["num_seeds"] = 3, 1
    (world / "mine.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")

    def judged(*more, mode="parity"):
        command = ["--system", f"one={world / 'speech'}", "--out", str(world / "out"), "--suite", f"mine.yaml/{mode}", *more]
        assert evaluate.main(command) == 0
        return json.loads((world / "out" / "report" / "report.json").read_text())

    report = judged("--num-prompts", "2")
    told = "2 of 4 prompts, 1 of 3 seeds"
    assert f"not the whole protocol of mine.yaml/parity: {told}" in capsys.readouterr().err
    assert report["title"] == f"one on mine.yaml/parity ({told})"
    assert report["note"].startswith(
        f"Not the whole protocol of mine/parity: {told}. So these are no figures of that suite. Parity"
    )
    assert report["provenance"]["protocol"]["departures"] == told.split(", ")
    for name in ("report.html", "report.md"):
        text = (world / "out" / "report" / name).read_text()
        assert text.count(told) > 1, name
    mine = judged("--title", "Mine", "--margin", "judge-wer=0.1", "evaluate.average=utterance", mode="strict")
    assert mine["title"] == "Mine"
    assert mine["provenance"]["protocol"]["departures"] == ["other settings of judge-wer", "average utterance"]
    assert judged("evaluate.num_resamples=2000", mode="strict")["title"] == "one on mine.yaml/strict"


def test_seeds_are_told_by_system_where_they_differ():
    extent = Extent(name="mine/strict", num_prompts=1, num_seeds=2)

    def spoken(*seeds):
        prompt = Prompt(id="a", text="a", language="en", split="test")
        return [Piece(id=f"a#{seed}", prompt=prompt, path=Path("a.wav"), seed=seed) for seed in seeds]

    assert list(departures(extent, {"x": spoken(0, 1), "y": spoken(0, 1)})) == []
    assert list(departures(extent, {"x": spoken(0), "y": spoken(0)})) == ["1 of 2 seeds"]
    told = ["1 of 2 seeds of x", "3 seeds in place of 2 of z"]
    assert list(departures(extent, {"x": spoken(0), "y": spoken(0, 1), "z": spoken(0, 1, 2)})) == told
