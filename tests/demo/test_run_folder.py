"""A real, small run folder, or a recipe with its models, opened for listening."""

import dataclasses
import json
import shutil
import sys
import warnings

import pytest
import yaml

from lpo_tts.errors import ArtefactError, ConfigError
from tests.demo.conftest import tree

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("gradio", reason="the demo needs Gradio: pip install lpo-tts[demo]")

from demo import run_folder


@pytest.fixture(scope="module")
def session(tiny_run):
    return run_folder.open_run(tiny_run)


def test_a_run_tells_its_systems_voices_and_words(session):
    assert session.systems == ("base", "aligned")
    assert session.vocabulary == ("blue", "gate", "one", "room", "three", "two")
    assert sorted(voice.label for voice in session.voices()) == ["s0", "s1"]
    assert all(voice.path.is_file() for voice in session.voices())
    assert all(voice.id.startswith("test-") for voice in session.voices())
    assert len(session.examples) == 4
    assert session.takes_voice
    assert not session.takes_voice_text


@pytest.fixture
def recipe(tiny_run, tmp_path):
    """A recipe file whose run has not begun."""
    made = tree(tiny_run.parent)
    made["out"] = str(tmp_path / "new")
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(made))
    return path


def test_a_recipe_and_its_models_are_opened_without_a_run(recipe, tiny_run):
    opened = run_folder.open_recipe(recipe, [f"aligned={tiny_run / 'run' / 'final'}"])
    assert opened.systems == ("base", "aligned")
    assert opened.models == {"base": None, "aligned": str(tiny_run / "run" / "final")}
    assert opened.prompts == {}
    assert {voice.label for voice in opened.voices()} == {"s0", "s1"}  # of the manifest
    assert all(voice.path.is_file() for voice in opened.voices())
    assert opened.examples
    assert run_folder.open_recipe(recipe).systems == ("base",)
    other = run_folder.open_recipe(recipe, [f"base={tiny_run / 'run' / 'final'}", "mine=somebody/model"])
    assert other.models == {"base": str(tiny_run / "run" / "final"), "mine": "somebody/model"}


def test_a_model_that_is_none_is_refused(recipe, tmp_path):
    for model, fault in (
        ("aligned", "expected NAME=CHECKPOINT"),
        ("aligned=", "expected NAME=CHECKPOINT"),
        ("../x=a/b", "expected a name of letters"),
        (f"aligned={tmp_path / 'none'}", "expected the folder of a checkpoint or a hub id"),
        ("aligned=./build", "expected the folder of a checkpoint or a hub id"),
    ):
        with pytest.raises((ConfigError, ArtefactError), match=fault):
            run_folder.open_recipe(recipe, [model])
    with pytest.raises(ConfigError, match="each name once"):
        run_folder.open_recipe(recipe, ["a=b/c", "a=d/e"])


def test_the_prompts_of_a_recipe_whose_run_has_begun_are_used(recipe, tiny_run, tmp_path):
    (tmp_path / "new").mkdir()
    shutil.copy(tiny_run / "prompts.jsonl", tmp_path / "new")
    assert len(run_folder.open_recipe(recipe).prompts) == 8


def test_a_run_without_recordings_has_no_voices(recipe, tmp_path):
    opened = run_folder.open_recipe(recipe)
    gone = dataclasses.replace(opened.recipe, prompts=dataclasses.replace(opened.recipe.prompts, manifest=tmp_path / "none"))
    bare = run_folder.RunSession(gone)
    assert (bare.voices(), bare.examples) == ([], [])


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
