"""What is kept from one evaluation to the next: judgements by content, and nothing that was made otherwise."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import echo
import pytest
from echo import speak
from program import ASR, TEXTS, assert_one_line, evaluate

from evaluation.evaluate import main
from lpo_tts import rows
from lpo_tts.steps.run import exclusive

ROOT = Path(__file__).parents[2]


def table(world, system="new", judge="wer-exact"):
    return world / "out" / "judgements" / judge / f"{system}.jsonl"


@pytest.mark.slow
def test_what_was_judged_is_not_judged_again(world, caplog):
    caplog.set_level("INFO", logger="echo")
    _, first = evaluate(world)
    assert caplog.text.count("heard") == 1
    caplog.clear()
    _, second = evaluate(world)
    assert "heard" not in caplog.text
    assert first == second
    speak(world / "new" / "u0.wav", "something else")
    speak(world / "new" / "u3.wav", TEXTS["u3"])  # was missing, is there now
    _, third = evaluate(world)
    assert "heard 2" in caplog.text
    assert (third["results"]["new"]["missing"], third["results"]["new"]["unreadable"]) == (0, 1)
    caplog.clear()
    evaluate(world, "--force")
    assert "heard 5" in caplog.text


def test_a_list_that_grows_has_its_new_rows_judged_alone(world, caplog):
    caplog.set_level("INFO", logger="echo")
    whole = (world / "list.jsonl").read_text()
    (world / "list.jsonl").write_text("".join(whole.splitlines(keepends=True)[:4]))
    evaluate(world, systems=("old",))
    caplog.clear()
    (world / "list.jsonl").write_text(whole)
    _, report = evaluate(world, systems=("old",))
    assert "heard 2" in caplog.text
    assert report["num_prompts"] == 6


@pytest.mark.slow
def test_another_text_or_language_is_judged_again(world, caplog):
    caplog.set_level("INFO", logger="echo")
    evaluate(world, systems=("old",))
    text = (world / "list.jsonl").read_text()
    (world / "list.jsonl").write_text(text.replace("gate number one now", "bus number one now"))
    caplog.clear()
    _, report = evaluate(world, systems=("old",))
    assert "heard 1" in caplog.text
    assert report["results"]["old"]["metrics"]["wer-exact"]["errors"] == 1
    caplog.clear()
    evaluate(world, "--language", "de", systems=("old",))
    assert "heard 6" in caplog.text


def test_settings_of_the_report_alone_cost_no_judging(world, caplog):
    evaluate(world, systems=("old", "new"))
    caplog.set_level("INFO", logger="echo")
    code, report = evaluate(world, "--margin", "wer-exact=0.1", "--confidence", "0.9", "--title", "mine", systems=("old", "new"))
    assert (code, report["title"], report["bootstrap"]["confidence"]) == (0, "mine", 0.9)
    assert "heard" not in caplog.text


def test_from_another_working_folder_nothing_is_judged_again(world, caplog, monkeypatch):
    evaluate(world, "--speaker", "echo:EchoSpeaker", systems=("old",))
    caplog.set_level("INFO", logger="echo")
    monkeypatch.chdir(world)
    command = ["--system", "old=old", "--list", "list.jsonl", "--out", "out", "--asr", ASR, "--speaker", "echo:EchoSpeaker"]
    assert main(command) == 0
    assert "heard" not in caplog.text


@pytest.mark.slow
def test_worker_processes_judge_alike(world):
    more = ["--speaker", "echo:EchoSpeaker", "--metric", "echo:Loudness"]
    _, here = evaluate(world, *more, systems=("old", "new"))
    _, there = evaluate(world, *more, "--workers", "2", "--out", world / "other", systems=("old", "new"))
    path = world / "other" / "report" / "report.json"
    assert json.loads(path.read_text()) == here == there


def test_interrupted_and_resumed_equals_uninterrupted(world):
    _, whole = evaluate(world)
    path = table(world)
    data = path.read_text()
    lines = data.splitlines(keepends=True)
    path.with_name(path.name + ".partial").write_text("".join(lines[:2]) + lines[2][:20])
    path.unlink()
    meta = path.with_name(path.name + ".meta.json")
    meta.write_text(meta.read_text().replace('"complete": true', '"complete": false'))
    _, resumed = evaluate(world)
    assert resumed == whole
    assert path.read_text() == data


@pytest.mark.slow
def test_killed_half_way_and_resumed_gives_the_bytes_of_a_whole_run(world):
    texts = {f"k{n:03d}": f"number {n}" for n in range(96)}
    (world / "list.jsonl").write_text("".join(json.dumps({"id": name, "text": text}) + "\n" for name, text in texts.items()))
    for name, text in texts.items():
        speak(world / "many" / f"{name}.wav", text)
    command = [sys.executable, "-m", "evaluation.evaluate", "--system", f"many={world / 'many'}", "--list", world / "list.jsonl"]
    command += ["--num-resamples", "1000", "--metric", "echo:Stopping:at=64", "--asr", ASR]
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "evaluation")])
    env = os.environ | {"PYTHONPATH": path, "STOPPED": str(world / "stopped")}
    found = []
    for out in ("killed", "whole"):
        for _ in range(2):
            done = subprocess.run([*command, "--out", world / out], capture_output=True, text=True, env=env, check=False)
            found.append(done.returncode)
    assert found == [-signal.SIGKILL, 0, 0, 0]
    reports = [(world / out / "report" / "report.json").read_bytes() for out in ("killed", "whole")]
    assert reports[0] == reports[1]
    tables = [(world / out / "judgements" / "Stopping" / "many.jsonl").read_bytes() for out in ("killed", "whole")]
    assert tables[0] == tables[1]


def test_two_at_once_in_one_folder_are_refused(world, capsys):
    with exclusive(world / "out"):
        assert evaluate(world)[0] == 2
    assert_one_line(capsys, "another run, or a shard, works in", "choose another `out`")


def test_other_judges_are_not_mixed_in(world, capsys):
    evaluate(world)
    code, _ = evaluate(world, "--normaliser", "characters")
    assert code == 2
    message = capsys.readouterr().err
    assert "normaliser" in message
    assert "--force" in message
    assert evaluate(world, "--normaliser", "characters", "--force")[0] == 0


@pytest.mark.parametrize(
    ("name", "words"),
    [("recipe.mini.json", "is the run folder of a recipe"), ("prompts.jsonl.meta.json", "was made from a recipe")],
)
def test_the_run_folder_of_a_recipe_is_not_written_over(world, capsys, name, words):
    (world / "out").mkdir()
    (world / "out" / name).write_text("{}")
    (world / "out" / "prompts.jsonl").write_text("precious")
    assert evaluate(world)[0] == 2
    assert_one_line(capsys, words, "choose another --out")
    assert (world / "out" / "prompts.jsonl").read_text() == "precious"


def test_what_was_judged_needs_no_judge_in_memory(world, monkeypatch):
    evaluate(world)
    monkeypatch.setattr(echo.EchoRecogniser, "load", lambda self, device: pytest.fail("loaded again"))
    assert evaluate(world)[0] == 0


def test_a_full_disk_at_the_rows_ends_with_one_line(world, capsys, monkeypatch):
    def full(row):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(rows, "row_line", full)
    assert evaluate(world)[0] == 2
    assert_one_line(capsys, "cannot write", "new.jsonl", "free space")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"[1, 2]", "new.jsonl:1"),
        (b'{"candidate_id": "u0#0"}', "new.jsonl:1"),
        (b'{"candidate_id": "u0#0", "metric": "wer-exact", "value": NaN, "content": "x"}', "expected finite numbers"),
        (b"\xff\xfe", "new.jsonl"),
        (b"{", "not valid JSON"),
    ],
)
def test_damaged_rows_of_an_earlier_run_are_named_or_judged_again(world, capsys, line, words):
    _, whole = evaluate(world)
    capsys.readouterr()
    path = table(world)
    path.write_bytes(line + b"\n" + path.read_bytes())
    code, report = evaluate(world)
    if code == 0:
        assert report == whole
        assert path.with_name(f"{path.name}.changed").exists()
    else:
        assert_one_line(capsys, words)
    assert evaluate(world, "--force")[0] == 0


def test_a_row_torn_within_a_character_is_judged_again(world):
    (world / "list.jsonl").write_text(json.dumps({"id": "u0", "text": "größe"}) + "\n")
    _, whole = evaluate(world)
    path = table(world)
    data = path.read_bytes()
    path.with_name(path.name + ".partial").write_bytes(data[: data.index("ß".encode()) + 1])
    path.unlink()
    _, resumed = evaluate(world)
    assert resumed == whole
    assert path.read_bytes() == data
