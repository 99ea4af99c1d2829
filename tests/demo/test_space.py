"""The folder of a Space: its head, its Dockerfile, what is in it, and that the demo runs from it alone."""

import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
import torch
import yaml

from demo import space
from demo.run_folder import open_run
from lpo_tts import audio
from lpo_tts.errors import ArtefactError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def run(tiny_run, tmp_path_factory):
    """The run beside its corpus, with models that a Space could reach, and with what must not go there."""
    whole = tmp_path_factory.mktemp("whole") / "whole"
    shutil.copytree(tiny_run.parent, whole)
    folder = whole / tiny_run.name
    for name in ("listening.sqlite", "listening.sqlite-wal", "votes.jsonl", "candidate-votes.jsonl"):
        (folder / name).write_text("ann")
    (folder / "run" / "checkpoint-6").mkdir(parents=True)
    (folder / "run" / "checkpoint-6" / "optimizer.pt").write_text("state")
    return folder


@pytest.fixture(scope="module")
def made(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "space"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(space, "_check_models", lambda recipe: None)  # those of the tiny run lie in a temporary folder
        space.assemble(folder, open_run(run))
    return folder


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def dockerfile(folder=ROOT / "demo"):
    """Instructions, lines that go on joined."""
    text = (folder / "Dockerfile").read_text().replace("\\\n", " ")
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def test_the_head_is_that_of_a_space():
    text = (ROOT / "demo" / "README.md").read_text(encoding="utf-8")
    head = yaml.safe_load(re.fullmatch(r"---\n(.*?)\n---\n.*", text, re.DOTALL)[1])
    assert head["sdk"] == "docker"
    assert head["app_port"] == 7860
    assert head["license"] == "apache-2.0"
    colours = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
    assert {head["colorFrom"], head["colorTo"]} <= colours
    assert len(head["short_description"]) <= 60
    assert head["title"]


def test_everything_that_the_dockerfile_copies_is_there(made):
    copied = [one for line in dockerfile(made) if line.startswith("COPY") for one in shlex.split(line)[1:-1] if one[:2] != "--"]
    assert {"lpo_tts", "demo", "evaluation", "recipes", "run", "constraints.txt"} <= set(copied)
    assert [one for one in copied if not (made / one).exists()] == []


def test_the_container_is_of_no_root_and_of_tested_versions():
    lines = dockerfile()
    users = [line.split()[1] for line in lines if line.startswith("USER")]
    assert users == ["user"]
    before = lines[: lines.index("USER user")]
    assert any("useradd" in line and "--uid 1000" in line for line in before)
    assert not any(line.startswith(("COPY", "ADD")) for line in before)
    (install,) = [line for line in lines if "pip install" in line]
    assert "-c constraints.txt" in install
    assert not re.search(r"(PASSWORD|TOKEN|SECRET)\s*=", "\n".join(lines))


@pytest.mark.parametrize(
    ("peer", "forwarded", "taken"),
    [
        ("10.16.3.4", "198.51.100.7", "198.51.100.7"),
        ("10.16.3.4", "203.0.113.1, 198.51.100.7", "198.51.100.7"),  # the first one was written by whoever asks
        ("10.16.3.4", "10.0.0.1, 198.51.100.7, 192.168.1.1", "198.51.100.7"),
        ("fd00::1", "203.0.113.1, 2001:db8::7", "2001:db8::7"),
        ("198.51.100.7", "203.0.113.1", "198.51.100.7"),  # no proxy of ours
    ],
)
def test_the_container_takes_no_address_that_a_client_writes_itself(peer, forwarded, taken):
    pytest.importorskip("gradio", reason="the demo needs Gradio: pip install lpo-tts[demo]")
    from starlette.responses import JSONResponse
    from starlette.testclient import TestClient
    from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

    (trusted,) = re.findall(r"FORWARDED_ALLOW_IPS=(\S+)", "\n".join(dockerfile()))

    async def app(scope, receive, send):
        await JSONResponse([scope["client"][0], scope["scheme"]])(scope, receive, send)

    headers = {"x-forwarded-for": forwarded, "x-forwarded-proto": "https"}
    seen = TestClient(ProxyHeadersMiddleware(app, trusted), client=(peer, 1)).get("/", headers=headers).json()
    assert seen == [taken, "http" if peer == taken else "https"]


@pytest.mark.slow
def test_the_container_starts_the_demo_with_options_that_there_are():
    (command,) = [line.removeprefix("CMD exec ") for line in dockerfile() if line.startswith("CMD")]
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "demo.app"]
    assert words[words.index("--port") + 1] == "7860"
    said = subprocess.run(
        [sys.executable, "-m", "demo.app", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert [one for one in words if one.startswith("--") and f" {one} " not in said] == []


@pytest.mark.parametrize(
    ("environment", "addresses"),
    [
        ({}, []),
        ({"SPACE_HOST": "ann-listening.hf.space"}, ["https://ann-listening.hf.space"]),
        (
            {"ADDRESS": "https://listen.example.org", "SPACE_HOST": "ann-listening.hf.space"},
            ["https://listen.example.org", "https://ann-listening.hf.space"],
        ),
    ],
)
def test_the_container_goes_by_the_name_that_it_is_told(environment, addresses):
    (command,) = [line.removeprefix("CMD exec ") for line in dockerfile() if line.startswith("CMD")]
    command = command.replace("python -m demo.app", "printf '%s\\n'")
    said = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True, check=True).stdout.split("\n")
    assert [after for one, after in itertools.pairwise(said) if one == "--address"] == addresses


def test_nobodys_answers_and_no_states_of_the_training_go_along(made):
    names = {path.name for path in (made / "run").rglob("*")}
    assert not [name for name in names if name.startswith(("listening.sqlite", "checkpoint-")) or "votes.jsonl" in name]
    assert not list(made.rglob("__pycache__"))
    assert not list(made.rglob(".git"))


def test_recordings_from_elsewhere_come_along(run, made):
    before, after = (rows(folder / "prompts.jsonl") for folder in (run, made / "run"))
    assert [row["id"] for row in after] == [row["id"] for row in before]
    for old, new in zip(before, after, strict=True):
        assert new["voice"]["audio"].startswith("recordings/")
        sound, rate = audio.read(made / "run" / new["voice"]["audio"])
        original, own = audio.read(run / old["voice"]["audio"])
        assert rate == own
        torch.testing.assert_close(sound, original, atol=1e-4, rtol=0)


def test_of_too_many_recordings_those_of_training_prompts_stay_behind(run, tmp_path, monkeypatch):
    monkeypatch.setattr(space, "MOST", 0)
    monkeypatch.setattr(space, "_check_models", lambda recipe: None)
    assert "left behind" in space.assemble(tmp_path / "space", open_run(run))
    for row in rows(tmp_path / "space" / "run" / "prompts.jsonl"):
        own = row["voice"] is not None and row["voice"]["audio"].startswith("recordings/")
        assert own or row["split"] == "train"


def test_a_model_that_a_space_cannot_reach_is_named(run, tmp_path):
    with pytest.raises(ArtefactError, match="which a Space cannot reach"):
        space.assemble(tmp_path / "space", open_run(run))
    assert not (tmp_path / "space").exists()


def test_a_folder_that_is_there_stays_as_it_is(run, tmp_path, capsys):
    (tmp_path / "there").mkdir()
    assert space.main([str(tmp_path / "there"), "--run", str(run)]) == 2
    assert "expected no folder of this name" in capsys.readouterr().err
    assert space.main([str(run / "space"), "--run", str(run)]) == 2
    assert "outside the run" in capsys.readouterr().err


@pytest.mark.slow
def test_the_demo_runs_from_the_folder_alone(made, tmp_path):
    pytest.importorskip("gradio", reason="the demo needs Gradio: pip install lpo-tts[demo]")
    pytest.importorskip("pyloudnorm", reason="loudness needs pyloudnorm: pip install lpo-tts[demo]")
    paths = [path for path in sys.path if path and Path(path).resolve() != ROOT]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    command = [
        sys.executable,
        "-m",
        "demo.app",
        "--run",
        "run",
        "--answers",
        str(tmp_path / "a.sqlite"),
        "--frame",
        "https://huggingface.co",
    ]
    process = subprocess.Popen(command, cwd=made, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        lines = [process.stdout.readline() for _ in range(2)]
        address = lines[1].removeprefix("listening test: ").strip()
        assert address.endswith("/listen/"), process.stderr.read()
        for _ in range(100):
            try:
                offered = httpx.get(f"{address}api/tests").json()["tests"]
                break
            except httpx.TransportError:
                time.sleep(0.1)
        assert offered[0]["test"] == "words"
        token = httpx.post(f"{address}api/enter", json={}).json()["token"]
        shown = httpx.get(f"{address}api/trial", params={"token": token}, timeout=60).json()
        assert httpx.get(address + shown["clips"][0]["url"]).content[:4] == b"RIFF"
        page = httpx.get(address.removesuffix("listen/"))
        assert page.status_code == 200
        assert "frame-ancestors 'self' https://huggingface.co" in page.headers["content-security-policy"]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
