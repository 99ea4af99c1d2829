"""What of a run folder can be fetched: its pages, shut in, and recordings; nothing else."""

import pytest

pytest.importorskip("gradio", reason="the demo needs Gradio: pip install lpo-tts[demo]")

from fastapi import FastAPI
from fastapi.testclient import TestClient

from demo.run_files import Pages, router
from demo.run_folder import open_run


@pytest.fixture
def run(tiny_run, tmp_path):
    import shutil

    shutil.copytree(tiny_run, tmp_path / "run")
    (tmp_path / "run" / "report").mkdir()
    (tmp_path / "run" / "report" / "report.html").write_text("<title>report</title>")
    return tmp_path / "run"


@pytest.fixture
def client(run):
    app = FastAPI()
    app.include_router(router(Pages(open_run(run))))
    with TestClient(app) as made:
        yield made


def test_the_pages_of_a_run_are_found_and_served_in_a_sandbox(run, client):
    pages = Pages(open_run(run)).found()
    assert pages == {"Report": "run-files/report/report.html", "Pairs of aligned": "run-files/pairs.html"}
    for address in pages.values():
        got = client.get(address)
        assert got.status_code == 200
        assert got.headers["content-type"] == "text/html; charset=utf-8"
        policy = got.headers["content-security-policy"]
        assert policy.startswith("sandbox ")
        assert "allow-same-origin" not in policy


def test_recordings_that_pages_link_are_served(run, client):
    wav = next((run / "synthesized" / "base").glob("**/*.wav")).relative_to(run).as_posix()
    from urllib.parse import quote

    got = client.get(f"run-files/{quote(wav)}", headers={"range": "bytes=0-9"})
    assert (got.status_code, got.headers["content-type"], len(got.content)) == (206, "audio/wav", 10)


def test_nothing_else_is_served(run, client):
    (run / "synthesized" / "leak.wav").symlink_to("/etc/hostname")
    (run / "synthesized" / "page.html").write_text("<script>1</script>")
    (run / "other.wav").write_bytes(b"RIFF")
    for path in (
        "recipe.tiny.json",
        "prompts.jsonl",
        "votes.jsonl",
        "listening.sqlite",
        "run/final/model.safetensors",
        "synthesized/page.html",
        "synthesized/leak.wav",
        "other.wav",
        "report/../recipe.tiny.json",
        "synthesized/../other.wav",
        "synthesized/%2e%2e/other.wav",
        "synthesized/..%2fother.wav",
        "/etc/hostname",
        "%2fetc%2fhostname",
        "synthesized/" + "x" * 5000 + ".wav",
        "synthesized/%00.wav",
        "",
    ):
        assert client.get(f"run-files/{path}").status_code == 404, path


def test_a_run_without_pages_has_none(tiny_run, tmp_path):
    import dataclasses

    from demo.run_folder import RunSession

    begun = RunSession(dataclasses.replace(open_run(tiny_run).recipe, out=tmp_path))
    assert Pages(begun).found() == {}
