"""A real, small run folder opened for listening, and the handlers of the tabs on it."""

import dataclasses
import json
import re
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from lpo_tts import audio
from lpo_tts.errors import ArtefactError, ConfigError, ContractError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    gradio = pytest.importorskip("gradio")

from demo import pairs_tab, run_folder, try_tab

ROOT = Path(__file__).resolve().parents[2]
# Outside a page Gradio prints its notices as warnings.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:gradio")


@pytest.fixture(scope="module")
def session(tiny_run):
    return run_folder.open_run(tiny_run)


def test_a_run_tells_its_systems_voices_words_and_judges(session):
    assert session.systems == ("base", "aligned")
    assert session.vocabulary == ("blue", "gate", "one", "room", "three", "two")
    assert [voice.label for voice in session.voices()] == ["s0", "s1"] or [voice.label for voice in session.voices()] == [
        "s1",
        "s0",
    ]
    assert all(voice.path.is_file() for voice in session.voices())
    assert all(voice.id.startswith("test-") for voice in session.voices())
    assert {name: judge.label for name, judge in session.judge_settings.items()} == {"heard": "held-out recogniser"}
    assert len(session.examples) == 4


def test_the_same_seed_says_the_same_and_the_systems_differ(session):
    voice = session.voices()[0]
    first, again = (session.synthesise("base", "gate one", voice, 1.0, 5) for _ in range(2))
    assert torch.equal(first.audio, again.audio)
    assert first.sample_rate == 16000
    assert first.duration == pytest.approx(first.audio.numel() / 16000)
    others = [session.synthesise(system, "gate one", voice, 1.0, seed).audio for system, seed in (("base", 6), ("aligned", 5))]
    assert not any(first.audio.shape == other.shape and torch.equal(first.audio, other) for other in others)


def test_judges_listen_to_a_take(session):
    voice = session.voices()[0]
    verdict = session.judge(session.synthesise("base", "gate one", voice, 1.0, 5), "gate one", voice)
    ((name, (scale, judgement)),) = verdict.judged.items()
    assert (name, scale.unit) == ("WER", "%")
    assert judgement.detail["reference"] == "gate one"
    assert judgement.weight == judgement.detail["num_words"] == 2


def test_words_outside_the_vocabulary_and_empty_text_give_the_library_message_on_the_page(session):
    voice = session.voices()[0]
    with pytest.raises(ContractError, match="the word 'hello' is not in the vocabulary"):
        session.synthesise("base", "gate hello", voice, 1.0, 0)
    out = try_tab.speak(session, "gate hello", voice.id, None, 1.0, 0, "aligned")
    assert out[:4] == (None, None, "", "")
    assert "the word &#x27;hello&#x27; is not in the vocabulary" in out[4]
    assert "expected a text to speak, found an empty one" in try_tab.speak(session, "  ", voice.id, None, 1.0, 0, "aligned")[4]


def test_try_gives_two_players_of_16_bits_and_two_verdicts(session):
    out = try_tab.speak(session, "gate one", session.voices()[0].id, None, 1.0, 3, "aligned")
    for rate, samples in out[:2]:
        assert rate == 16000
        assert samples.dtype == np.int16
    assert "of 2 words" in out[2]
    assert "of 2 words" in out[3]
    assert out[4] == ""


def test_an_uploaded_recording_is_a_voice_when_its_length_will_do(session, tmp_path):
    audio.write(tmp_path / "mine.wav", 0.1 * torch.sin(torch.arange(24000) * 0.1), 24000)
    out = try_tab.speak(session, "gate one", None, str(tmp_path / "mine.wav"), 1.0, 3, "aligned")
    assert out[0] is not None
    for seconds, found in ((0.1, "0.1 s"), (31, "31.0 s")):
        audio.write(tmp_path / "other.wav", 0.1 * torch.sin(torch.arange(int(24000 * seconds)) * 0.1), 24000)
        out = try_tab.speak(session, "gate one", None, str(tmp_path / "other.wav"), 1.0, 3, "aligned")
        assert out[:4] == (None, None, "", "")
        assert f"expected 0.8 to 30 s of one voice, found {found}" in out[4]


@pytest.mark.parametrize(("value", "reason"), [(float("nan"), "NaN|finite"), (0.0, "silen")])
def test_a_recording_that_holds_no_voice_is_refused_with_the_reason(session, tmp_path, value, reason):
    import soundfile

    soundfile.write(tmp_path / "bad.wav", np.full(24000, value, np.float32), 24000, subtype="FLOAT")
    out = try_tab.speak(session, "gate one", None, str(tmp_path / "bad.wav"), 1.0, 3, "aligned")
    assert out[:4] == (None, None, "", "")
    assert re.search(f"expected a recording of a voice, found .*({reason})", out[4])


def test_a_text_of_any_length_is_not_accepted_and_neither_is_any_seed(session):
    voice = session.voices()[0]
    with pytest.raises(ContractError, match="expected a text of at most 1000 characters, found 2500; speak it in parts"):
        session.synthesise("base", "gate " * 500, voice, 1.0, 0)
    with pytest.raises(ConfigError, match="seed must be at least 0 and at most 4294967295, found 4294967296"):
        session.synthesise("base", "gate", voice, 1.0, 2**32)


def test_pairs_are_listed_widest_first_and_filtered_by_margin(session):
    pairs = session.pairs("aligned")
    assert len(pairs) >= 2
    assert pairs_tab.metrics_of(pairs) == ["length"]
    rows, count = pairs_tab.table(session, "aligned", "length", 0.0, "all")
    margins = [float(row[3]) for row in rows]
    assert margins == sorted(margins, reverse=True)
    assert f"{len(pairs)} of {len(pairs)} pairs" in count
    least = (margins[0] + margins[-1]) / 2
    rows, _ = pairs_tab.table(session, "aligned", "length", least, "train")
    assert 0 < len(rows) < len(pairs)
    assert pairs_tab.table(session, "aligned", "length", 0.0, "dev")[0] == []


def test_a_pair_is_heard_from_its_tokens_with_its_scores(session):
    pair = session.pairs("aligned")[0]
    chosen, rejected = session.sides(pair)
    assert rejected.candidate.duration - chosen.candidate.duration == pytest.approx(pair.margins["length"], abs=1e-6)
    assert set(chosen.verdict.judged) == {"WER", "length"}
    text, voice, *players, chosen_html, _ = pairs_tab.listen(session, "aligned", pair.id)
    assert pair.text in text
    assert voice[0] == 16000
    assert [len(player[1]) for player in players] == [side.candidate.audio.numel() for side in (chosen, rejected)]
    assert f"length {chosen.candidate.duration:.3f}" in chosen_html


def test_a_folder_without_a_run_or_with_several_says_what_to_do(tiny_run, tmp_path):
    with pytest.raises(ArtefactError, match=r"expected a run folder with recipe\.<name>\.json, found none"):
        run_folder.open_run(tmp_path)
    resolved = json.loads((tiny_run / "recipe.tiny.json").read_text())
    folder = tmp_path / "two"
    folder.mkdir()
    for name in ("one", "three"):
        (folder / f"recipe.{name}.json").write_text(json.dumps({**resolved, "name": name}))
    with pytest.raises(ArtefactError, match=r"one of its recipes \(one, three\), found 'two'; give --recipe"):
        run_folder.open_run(folder)
    assert run_folder.open_run(folder, "three").recipe.name == "three"
    assert run_folder.open_run(folder, "one").systems == ("base",)  # no aligned model there
    (folder / "recipe.two.json").write_text(json.dumps({**resolved, "name": "two"}))
    assert run_folder.open_run(folder).recipe.name == "two"  # the one named like the folder


def test_a_run_folder_that_names_code_of_its_own_is_opened_when_it_is_trusted_only(tiny_run, tmp_path, monkeypatch, capsys):
    from demo import app

    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "brought.py").write_text(
        "from dataclasses import dataclass\n"
        "from lpo_tts.metrics.duration import Duration\n"
        "open(__file__ + '.ran', 'w').close()\n"
        "@dataclass(frozen=True)\nclass Mine(Duration):\n    pass\n"
    )
    tree = json.loads((tiny_run / "recipe.tiny.json").read_text())
    tree["score"]["metrics"]["length"] = {"name": "brought:Mine"}
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "recipe.tiny.json").write_text(json.dumps(tree))
    with pytest.raises(ConfigError, match="brought:Mine"):
        run_folder.open_run(folder)
    assert app.main(["--run", str(folder)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("demo/app.py: ")
    assert "brought:Mine" in error
    assert "Traceback" not in error
    assert not (tmp_path / "brought.py.ran").exists()
    assert "brought" not in sys.modules
    opened = run_folder.open_run(folder, trust=True)
    assert type(opened.recipe.score.metrics["length"]).__name__ == "Mine"
    assert (tmp_path / "brought.py.ran").exists()
    sys.modules.pop("brought")


def test_a_run_folder_whose_codec_is_a_program_is_opened_when_it_is_trusted_only(tiny_run, tmp_path, capsys):
    from demo import app

    tree = json.loads((tiny_run / "recipe.tiny.json").read_text())
    tree["codec"] = {"name": "process", "command": ["sh", "-c", f"touch {tmp_path / 'started'}"]}
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "recipe.tiny.json").write_text(json.dumps(tree))
    assert app.main(["--run", str(folder)]) == 2
    error = capsys.readouterr().err
    assert "codec: " in error
    assert "'process' would start a program (command)" in error
    assert "Traceback" not in error
    assert not (tmp_path / "started").exists()
    assert run_folder.open_run(folder, trust=True).recipe.codec.command[0] == "sh"


def test_a_recipe_without_a_held_out_judge_says_so(session):
    bare = run_folder.RunSession(
        dataclasses.replace(session.recipe, evaluate=dataclasses.replace(session.recipe.evaluate, judges={}))
    )
    candidate = session.synthesise("base", "gate one", session.voices()[0], 1.0, 5)
    assert "no judge that took no part in the training" in bare.judge(candidate, "gate one", None).notes[0]
