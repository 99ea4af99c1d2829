"""The trials of benchmarks/faults.py: what they call a fault, what they compare, and that the program runs."""

import atexit
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from benchmarks.fault_trials import corpora, inputs, world
from benchmarks.fault_trials.doors import FAULT, REFUSED, TAKEN, Case, judge
from benchmarks.fault_trials.kills import KINDS, Tally, table
from benchmarks.fault_trials.lives import Ended, Life

ROOT = Path(__file__).parents[2]

TRACEBACK = "Traceback (most recent call last):\n  File ...\nValueError: no\n"


def trial(*arguments):
    command = [sys.executable, "-m", "benchmarks.faults", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1200, check=False)


@pytest.mark.parametrize(
    ("code", "err", "verdict", "why"),
    [
        (2, "sample: 3 done\nlpo-tts: x must be 1, found 2\n", REFUSED, "lpo-tts: x must be 1"),
        (2, "lpo-tts: a: missing\nb: missing\n", REFUSED, "a: missing"),
        (2, "usage: lpo-tts ...\nlpo-tts run: error: unknown\n", REFUSED, "error: unknown"),
        (2, "", FAULT, "without a line that says why"),
        (2, "lpo-tts: " + "x\n" * 30, FAULT, "30 lines"),
        (2, "lpo-tts: " + "x" * 2000, FAULT, "2009 characters"),
        (2, TRACEBACK + "lpo-tts: x\n", FAULT, "traceback"),
        (1, TRACEBACK, FAULT, "traceback: ValueError: no"),
        (1, "", FAULT, "exit 1"),
        (-11, "", FAULT, "exit -11"),
        (0, "sample: 3 done\n", FAULT, "accepted in silence"),
    ],
)
def test_a_bad_input_is_refused_in_words_or_it_is_a_fault(code, err, verdict, why):
    kind, reason = judge(Ended(code, "", err, 1.0), Case("run", "bad", lambda place: []), None)
    assert kind == verdict
    assert why in reason


def test_a_command_that_hangs_is_a_fault():
    assert judge(Ended(-9, "", "", None), Case("run", "bad", lambda place: []), None)[0] == FAULT


def test_a_door_that_reports_on_stdout_is_asked_what_it_found():
    case = Case("check", "x", lambda place: [], lambda place, ended: TAKEN, reports=True)
    assert judge(Ended(2, "m.jsonl: line 3: no\n", "", 1.0), case, None)[0] == TAKEN
    assert judge(Ended(2, "", "", 1.0), case, None)[0] == FAULT


@pytest.mark.parametrize("name", corpora.CORPORA)
def test_the_miniature_of_a_corpus_can_be_spoilt_where_it_says(name, tmp_path):
    corpus = corpora.CORPORA[name][1]()
    raw = corpus.lay(tmp_path / "raw")
    if corpus.table:
        text = (raw / corpus.table).read_text(encoding="utf-8")
        assert all(one in text for one in (corpus.name, corpus.text, *corpus.ids))
    assert not corpus.audio or (raw / corpus.audio).is_file()


def test_an_exit_without_complaint_needs_a_witness():
    ended = Ended(0, "", "", 1.0)
    assert judge(ended, Case("run", "x", lambda place: [], lambda place, ended: None), None)[0] == FAULT
    assert judge(ended, Case("run", "x", lambda place: [], lambda place, ended: TAKEN), None)[0] == TAKEN


def test_there_are_bad_inputs_for_every_door():
    cases = inputs.all_cases()
    assert len(cases) > 1100
    assert len({(case.door, case.name) for case in cases}) == len(cases)
    verbs = {
        "import",
        "export",
        "push",
        "run",
        "check",
        "r2",
        "list",
        "prompts",
        "sample",
        "score",
        "pair",
        "reference",
        "train",
        "synthesize",
        "evaluate",
        "compare",
        "leaderboard",
    }
    assert {case.door for case in cases} >= verbs | set(inputs.PROGRAMS) | {"demo"}


def lay_run(folder, seconds, loss=0.5, ids=("a", "b")):
    rows = "".join(json.dumps({"id": name}) + "\n" for name in ids)
    side_car = {"seconds": seconds, "parts": {"t": {"rows": 2, "files": {"t.jsonl": [10, int(seconds * 1e9), "hash"]}}}}
    (folder / "run").mkdir(parents=True)
    (folder / "t.jsonl").write_text(rows)
    (folder / "t.jsonl.meta.json").write_text(json.dumps(side_car))
    (folder / "run" / "metrics.jsonl").write_text(json.dumps({"step": 1, "loss": loss, "tokens_per_second": seconds}) + "\n")
    return folder


def test_a_torn_file_is_compared_by_its_bytes(tmp_path):
    old, new = lay_run(tmp_path / "old", 1.5), lay_run(tmp_path / "new", 1.5)
    (new / "t.jsonl.meta.json").write_text('{"parts": ')
    assert world.compare(old, new)["differ"] == ["t.jsonl.meta.json"]


def test_runs_are_compared_without_their_times(tmp_path):
    old, new = lay_run(tmp_path / "old", 1.5), lay_run(tmp_path / "new", 2.5)
    assert world.compare(old, new) == {"differ": [], "missing": [], "stray": []}
    assert world.rows(old) == world.rows(new)


def test_what_a_kill_could_do_to_a_run_is_seen(tmp_path):
    old, new = lay_run(tmp_path / "old", 1.5), lay_run(tmp_path / "new", 1.5, loss=0.6, ids=("a", "a"))
    (new / "x.partial").write_text("")
    found = world.compare(old, new)
    assert found == {"differ": ["run/metrics.jsonl", "t.jsonl"], "missing": [], "stray": ["x.partial"]}
    assert "0.5" in world.first_difference(old, new, "run/metrics.jsonl")
    assert world.rows(old) - world.rows(new) == {("t.jsonl", "b"): 1}
    assert world.rows(new) - world.rows(old) == {("t.jsonl", "a"): 1}


@pytest.mark.slow
def test_a_life_that_leaves_a_process_behind_is_noticed(tmp_path):
    def work():
        if os.fork() == 0:
            os.execvp("sleep", ["sleep", "60"])
        return 3

    ended = Life(work, tmp_path).end(30, patience=0.5)
    assert ended.code == 3
    assert len(ended.left) == 1


@pytest.mark.slow
def test_a_life_ends_its_own_things_and_leaves_those_of_its_parent(tmp_path):
    mine = TemporaryDirectory(dir=tmp_path)
    told = atexit.register((tmp_path / "parent").touch)
    kept = []

    def work():
        atexit.register((tmp_path / "child").touch)
        kept.append(TemporaryDirectory(dir=tmp_path, prefix="of-the-child"))
        return 0

    try:
        assert Life(work, tmp_path / "output").end(30).code == 0
        assert sorted(one.name for one in tmp_path.iterdir()) == sorted(["child", "output", Path(mine.name).name])
    finally:
        atexit.unregister(told)
        mine.cleanup()


def test_kills_are_counted_by_kind_and_step():
    tally = Tally(campaigns=1, lives=3)
    tally.kills["SIGINT", "train"] += 2
    lines = table(tally)
    assert lines[0] == "1 campaigns, 3 lives, 2 kills, 0 came too late"
    assert [line for line in lines if line.startswith("| SIGINT")] == ["| SIGINT | 0 | 0 | 0 | 0 | 0 | 0 | 2 | 0 | 0 | 2 |"]
    assert all(any(line.startswith(f"| {kind} |") for line in lines) for kind in KINDS)


@pytest.mark.slow
def test_the_program_tries_a_few_inputs_and_says_what_came_of_them(tmp_path):
    done = trial("inputs", "--only", "table: ", "--out", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| door | tried | refused | counted | mended | taken | FAULT |" in done.stdout
    assert "\n0 faults in " in done.stdout
    assert not list(tmp_path.glob("case-*"))


@pytest.mark.slow
def test_a_campaign_of_kills_ends_with_the_bytes_of_a_run_that_was_left_alone(tmp_path):
    done = trial("kills", "--runs", "1", "--out", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "files that differ 0" in done.stdout
