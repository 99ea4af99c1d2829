"""`lpo-tts init`: what it writes is a valid recipe with paths of the user's own, from a checkout and from a wheel."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lpo_tts import cli, new_recipe, recipe, starters
from lpo_tts.errors import ArtefactError, ConfigError

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("name", starters.names())
def test_every_recipe_becomes_a_valid_one_of_ones_own(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    lines = new_recipe.write(name, "my voice/")
    assert lines[0] == "wrote my voice/recipe.yaml"
    loaded, original = recipe.load("my voice/recipe.yaml"), recipe.load(starters.find(name))
    assert loaded.name == "my-voice"
    assert loaded.out == Path("my voice/run")
    assert loaded.prompts.manifest == Path("my voice/manifest.jsonl")
    assert (loaded.train, loaded.sample, loaded.about) == (original.train, original.sample, original.about)
    text = Path("my voice/recipe.yaml").read_text()
    programs = {path.name for path in Path("my voice").rglob("*.py")}
    assert not any(f"recipes/codec_servers/{program}" in text for program in programs)
    assert {path.name for path in (ROOT / "recipes" / "codec_servers").glob("*.py") if path.name in text} <= programs
    marked = [line for line in text.splitlines() if " # CHANGE: " in line and not line.startswith("#")]
    assert [re.search(r"(name|out|model|manifest): ", line)[1] for line in marked] == ["name", "out", "model", "manifest"]


def test_the_next_commands_are_said_and_work(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["init", "llasa", "me/"]) == 0, "the beginning of a name will do"
    shown = capsys.readouterr().out
    for command in (
        "python -m data_prep.folder RECORDINGS --out me/manifest.jsonl",
        "lpo-tts check me/recipe.yaml --offline",
        "lpo-tts run me/recipe.yaml",
    ):
        assert command in shown
    assert new_recipe.ROW in shown


def test_the_row_that_is_shown_is_one_of_a_manifest(tmp_path):
    from lpo_tts import artefacts
    from lpo_tts.records import Utterance

    (tmp_path / "manifest.jsonl").write_text(new_recipe.ROW + "\n")
    assert artefacts.read_rows(tmp_path / "manifest.jsonl", Utterance)[0].duration == 3.2


def test_nothing_is_written_over(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("me").mkdir()
    Path("me/recipe.yaml").write_text("mine")
    assert cli.main(["init", "llasa-1b", ""]) == 2
    assert "found an empty name" in capsys.readouterr().err
    assert cli.main(["init", "llasa-1b", "me"]) == 2
    assert "me/recipe.yaml exists already and is left as it is" in capsys.readouterr().err
    assert Path("me/recipe.yaml").read_text() == "mine"
    assert cli.main(["init", "llasa-1b"]) == 2
    assert "expected a folder to write into, as in `lpo-tts init llasa-1b my-voice/`" in capsys.readouterr().err
    Path("file").write_text("")
    with pytest.raises(ArtefactError, match="cannot write the recipe into"):
        new_recipe.write("llasa-1b", "file/inside")


def test_an_unknown_name_lists_those_that_there_are(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["init", "llasa-1c", "me"]) == 2
    message = capsys.readouterr().err
    assert "no recipe named 'llasa-1c'; did you mean llasa-1b? (there are: " in message
    assert ", ".join(starters.names()) in message
    assert not Path("me").exists()
    assert cli.main(["init"]) == 0
    assert "llasa-1b" in capsys.readouterr().out


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A folder of recipes: one that starts a program beside it, one that extends it, two that begin alike."""
    folder = tmp_path / "recipes"
    (folder / "codec_servers").mkdir(parents=True)
    (folder / "codec_servers" / "server.py").write_text("import json\nfrom protocol import speak\n")
    (folder / "codec_servers" / "protocol.py").write_text("def speak(): ...\n")
    (folder / "codec_servers" / "other.py").write_text("")
    text = (ROOT / "recipes" / "encodec-lm.yaml").read_text()
    served = text.replace("codec: {name: encodec", "codec: {name: encodec, model: recipes/codec_servers/server.py").replace(
        ", model: facebook/encodec_24khz", ""
    )
    (folder / "served-3b.yaml").write_text(served)
    (folder / "served-1b.yaml").write_text("# Smaller.\nextends: served-3b.yaml # the same but for its size\nseed: 1\n")
    monkeypatch.setattr(starters, "INSTALLED", folder)
    return folder


def test_programs_that_a_recipe_starts_come_along(shelf, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    new_recipe.write("served-3b", "me")
    assert sorted(path.name for path in Path("me").rglob("*.py")) == ["protocol.py", "server.py"]
    assert recipe.load("me/recipe.yaml").codec.model == "me/codec_servers/server.py"


def test_a_recipe_that_extends_another_one_brings_it_along(shelf, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    new_recipe.write("served-1b", "me")
    loaded = recipe.load("me/recipe.yaml")
    assert (loaded.name, loaded.seed, loaded.out) == ("me", 1, Path("me/run"))
    assert loaded.prompts.manifest == Path("me/manifest.jsonl")
    assert loaded.prompts.train == 2000
    assert loaded.codec.model == "me/codec_servers/server.py"


def test_of_several_that_begin_alike_one_is_to_be_named(shelf):
    with pytest.raises(ConfigError, match="several recipes begin with 'served': served-1b, served-3b; name one of them"):
        starters.find("served")
    (shelf / "served-3b-more.yaml").write_text("name: more\n")
    assert starters.find("served-3").name == "served-3b.yaml", "all others begin with it"


@pytest.mark.slow
def test_a_built_package_holds_the_recipes(tmp_path):
    """As a wheel is built, but without fetching a build environment: setuptools' own step, in a copy of the checkout."""
    pytest.importorskip("setuptools")
    checkout, built = tmp_path / "checkout", tmp_path / "built"
    for name in ("lpo_tts", "recipes"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__", "checkpoints"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout)
    command = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(built)]
    subprocess.run(command, cwd=checkout, check=True, capture_output=True)
    inside = built / "lpo_tts" / "starter_recipes"
    assert sorted(path.stem for path in inside.glob("*.yaml")) == starters.names()
    code = "import sys; from lpo_tts import cli; sys.exit(cli.main(['init', 'llasa', 'x/']))"
    environment = {"PYTHONPATH": str(built), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("wrote x/recipe.yaml")
    assert recipe.load(tmp_path / "x" / "recipe.yaml").name == "x"
