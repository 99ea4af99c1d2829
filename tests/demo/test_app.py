"""The command line of the demo, and what it serves."""

import dataclasses
import json
import os
import shutil
import socket
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("gradio", reason="the demo needs Gradio: pip install lpo-tts[demo]")
pytest.importorskip("pyloudnorm", reason="loudness needs pyloudnorm: pip install lpo-tts[demo]")

from fastapi.testclient import TestClient

from demo import app, serving
from demo.listening.sittings import Sittings
from demo.listening.sounds import _read
from demo.listening.store import Store
from demo.offers import offered_by_folders, offered_by_run
from demo.run_folder import RunSession, open_run
from lpo_tts import audio
from lpo_tts.errors import ConfigError
from tests.demo.listening.simulated import clips

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def session(tiny_run):
    return open_run(tiny_run)


@pytest.fixture
def served(monkeypatch):
    """What would be served, in place of serving it."""
    found = {}
    monkeypatch.setattr(
        serving, "serve", lambda app, host, port, **options: found.update(app=app, host=host, port=port, **options)
    )
    return found


@pytest.fixture
def run(tiny_run, tmp_path):
    """A copy of the run folder, so that its answers are a test's own."""
    shutil.copytree(tiny_run, tmp_path / "run")
    return tmp_path / "run"


def faults(arguments, capsys):
    assert app.main([str(one) for one in arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("demo/app.py: ")
    assert error.count("\n") == 1
    assert "Traceback" not in error
    return error


def test_a_run_is_served_with_its_page_and_its_listening_tests(run, served):
    vote = {"prompt_id": "test-0", "seed": 0, "a": "base", "b": "aligned", "choice": "A", "listener": "ann", "time": "2025-01-01"}
    (run / "votes.jsonl").write_text(json.dumps(vote) + "\n")
    assert app.main(["--run", str(run)]) == 0
    assert (served["host"], served["port"], served["share"]) == ("127.0.0.1", None, False)
    with TestClient(served["app"]) as client:
        page = client.get("/")
        assert page.status_code == 200
        assert "gradio" in page.text
        offered = [one["test"] for one in client.get("/listen/api/tests").json()["tests"]]
        assert offered == ["words", "voice", "abx", "mos", "cmos", "mushra", "pairs"]
    with Store(run / app.ANSWERS) as store:
        assert [(one.listener, one.answer) for one in store.answers("blind")] == [("ann", "A")]


def test_a_run_that_has_only_begun_is_served_too(session, tmp_path):
    begun = RunSession(dataclasses.replace(session.recipe, out=tmp_path / "begun"))
    (tmp_path / "begun").mkdir()
    shutil.copy(session.run.prompts_path, tmp_path / "begun" / "prompts.jsonl")
    with Store(tmp_path / "answers.sqlite") as store:
        made = serving.application(Sittings(offered_by_run(begun), store), begun)
        with TestClient(made) as client:
            assert client.get("/").status_code == 200
            said = client.post("/listen/api/enter", json={}).json()
            assert "there is nothing to listen to yet; `lpo-tts run RECIPE --until synthesize` makes it" in said["error"]


def test_uploads_are_limited(run, served):
    app.main(["--run", str(run)])
    (mounted,) = [route.app for route in served["app"].routes if getattr(route, "path", None) == "" and hasattr(route, "app")]
    assert mounted.get_blocks().max_file_size == 20 * 2**20
    assert mounted.get_blocks().delete_cache == (600, 3600)


def test_a_recipe_and_its_models_are_served_without_a_run(tiny_run, tmp_path, served):
    tree = json.loads((tiny_run / "recipe.tiny.json").read_text())
    tree["out"] = str(tmp_path / "out")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps(tree))  # which is YAML
    base = tree["backbone"]["model"]
    assert app.main(["--recipe", str(recipe), "--model", f"base={base}", "--model", f"mine={tiny_run / 'run' / 'final'}"]) == 0
    with TestClient(served["app"]) as client:
        assert client.get("/").status_code == 200
        assert client.get("/listen/api/tests").json() == {"tests": []}
    assert (tmp_path / "out" / app.ANSWERS).exists()


def test_folders_of_audio_are_served_without_a_run(tmp_path, served):
    table = clips(tmp_path, 4, 0.2)
    systems = [part for name in ("base", "aligned") for part in ("--system", f"{name}={tmp_path / name}")]
    assert app.main(["--list", str(table), *systems]) == 0
    with TestClient(served["app"]) as client:
        home = client.get("/", follow_redirects=False)
        assert (home.status_code, home.headers["location"]) == (307, "listen/")
        assert [one["test"] for one in client.get("/listen/api/tests").json()["tests"]][-1] == "mushra"
    assert (tmp_path / app.ANSWERS).exists()


def test_tests_can_be_chosen(tmp_path, served):
    table = clips(tmp_path, 4, 0.2)
    (tmp_path / "tests.yaml").write_text("taste: {mode: cmos, question: overall}\n")
    systems = [part for name in ("base", "aligned") for part in ("--system", f"{name}={tmp_path / name}")]
    assert app.main(["--list", str(table), *systems, "--tests", str(tmp_path / "tests.yaml")]) == 0
    with TestClient(served["app"]) as client:
        assert [one["test"] for one in client.get("/listen/api/tests").json()["tests"]] == ["taste"]


def test_a_mode_that_nothing_serves_is_left_out_and_told(tmp_path, served, capsys):
    table = clips(tmp_path, 4, 0.2, reference=False)
    systems = [part for name in ("base", "aligned") for part in ("--system", f"{name}={tmp_path / name}")]
    assert app.main(["--list", str(table), *systems]) == 0
    assert capsys.readouterr().err == "left out, as there is nothing to play in them yet: mushra\n"


def test_no_system_of_a_run_or_a_folder_takes_a_name_of_the_tests_own(tmp_path, tiny_run):
    """MUSHRA would rate two sources under one name, and a comparison would be taken for a catch trial."""
    table = clips(tmp_path, 1, 0.2)
    base = f"base={tmp_path / 'base'}"
    for name, said in (
        ("reference", "is the recording"),
        ("hidden reference", "is the recording"),
        ("lowpass-3500", "is an anchor"),
        ("anchor 3500 Hz", "is an anchor"),
        ("worse", "is a catch trial"),
        ("same", "is a catch trial"),
        ("a|b", r"without \|"),
    ):
        with pytest.raises(ConfigError, match=f"the test words: .*{said}.*; give the system another name"):
            offered_by_folders(table, [base, f"{name}={tmp_path / 'aligned'}"])
    other = tmp_path / "tests.yaml"
    other.write_text("rate: {mode: mushra, systems: [base]}\n")  # what no test plays may have any name
    (test,) = offered_by_folders(table, [base, f"reference={tmp_path / 'aligned'}"], other)
    assert [trial.names for trial in test.plan.trials] == [("base",)]
    heard = _read(test.items[0], "reference")[0]
    assert torch.equal(heard, audio.read(tmp_path / "target" / "p0.wav")[0]), "the recording, and not the system of its name"
    run = open_run(tiny_run)
    shutil.copytree(tiny_run, tmp_path / "run")
    shutil.copytree(run.run.synthesized_path("aligned"), tmp_path / "run" / "synthesized" / "reference")
    named = dataclasses.replace(run.recipe, out=tmp_path / "run")
    with pytest.raises(ConfigError, match="the test words: 'reference' is the recording"):
        offered_by_run(RunSession(named, {"reference": str(tiny_run / "run" / "final")}))


def test_what_cannot_be_opened_is_one_line(tmp_path, capsys, run):
    table = clips(tmp_path, 1, 0.2)
    (tmp_path / "tests.yaml").write_text("pairs: {source: candidates}\n")
    (tmp_path / "other.yaml").write_text("words: {systems: [base, dpo]}\n")
    (tmp_path / "text").write_text("this is no database, and long enough to be told from one\n" * 20)
    folder = f"base={tmp_path / 'base'}"
    for arguments, said in (
        ([], "or --list LIST with --system NAME=FOLDER; found none of them"),
        (["--run", tmp_path, "--list", table], "found --run and --list"),
        (["--recipe", tmp_path / "none.yaml", "--list", table], "found --recipe and --list"),
        (["--run", run, "--model", "base=x"], "--model: expected a recipe file beside it (--recipe), found --run"),
        (["--run", run, "--system", "base=x"], "--system: expected a list of texts beside it (--list), found --run"),
        (["--recipe", tmp_path / "none.yaml"], "cannot read the recipe"),
        (["--run", tmp_path], "expected a run folder with recipe.<name>.json, found none"),
        (["--list", table], "give --system NAME=FOLDER"),
        (["--list", table, "--system", "base"], "expected NAME=FOLDER, and each name once, found 'base'"),
        (["--list", table, "--system", folder, "--system", folder], "each name once"),
        (["--list", table, "--system", folder, "--system", f"reference={tmp_path / 'target'}"], "'reference' is the recording"),
        (["--list", tmp_path / "none", "--system", folder], "none"),
        (["--list", table, "--system", folder, "--tests", tmp_path / "tests.yaml"], "candidates are in run folders alone"),
        (["--run", run, "--tests", tmp_path / "other.yaml"], "words.systems: expected some of base, aligned, found dpo"),
        (["--run", run, "--answers", tmp_path / "text"], "not a database"),
        (["--run", run, "--votes", tmp_path / "text"], "text:1: not valid JSON"),
        (["--run", run, "--port", "99999"], "--port must be at least 1 and at most 65535, found 99999"),
        (["--run", run, "--host", "203.0.113.7"], "cannot serve on 203.0.113.7"),
        (["--run", run, "--address", "listen.example.org"], "expected an address such as https://listen.example.org"),
        (["--run", run, "--address", "http://a", "--address", "https://["], "found 'https://['"),
    ):
        assert said in faults(arguments, capsys)


def test_a_port_that_is_taken_is_one_line_and_the_next_free_one_is_found(run, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"cannot serve on 127.0.0.1:{port}: " in faults(["--run", run, "--port", port], capsys)
    with serving.bound("127.0.0.1", None) as first, serving.bound("127.0.0.1", None) as second:
        ports = [one.getsockname()[1] for one in (first, second)]
        assert serving.FIRST_PORT <= ports[0] < ports[1] < serving.FIRST_PORT + serving.PORTS


@pytest.mark.slow
@pytest.mark.parametrize("start", [["demo/app.py"], ["-m", "demo.app"]])
def test_the_app_starts_as_a_file_and_as_a_module(tmp_path, start):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    command = [sys.executable, *start, "--run", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"demo/app.py: {tmp_path}: expected a run folder with recipe.<name>.json, found none")
