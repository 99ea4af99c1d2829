"""The command that reads answers without a server: what it prints and writes, and what it refuses."""

import contextlib
import csv
import json
import sqlite3

import pytest

from lpo_tts.files import read_rows
from lpo_tts.records import Comparison
from tests.demo.listening.answers import answered, votes


@pytest.fixture
def answers(tmp_path):
    """A file with answers to a test on systems and to one on candidates, and one careless listener in each."""
    from demo.listening.design import Design
    from demo.listening.store import Store

    candidates = [
        answered("AB"[k % 2], listener=name, names=(f"p{k}#0", f"p{k}#1"), source="candidates", item=f"p{k}", test="pairs")
        for name in ("ann", "ben") for k in range(6)
    ]  # fmt: skip
    candidates += [
        answered("A", listener="cem", names=(f"q{k}#0", f"q{k}#1"), source="candidates", item=f"q{k}", test="pairs")
        for k in range(12)
    ]
    with Store(tmp_path / "listening.sqlite") as store:
        store.note_design(Design("words"), 20)
        store.take_in([*votes(12, 20, 0.85), *candidates])
        for one in {one.listener for one in votes(12, 20, 0.85)}:
            store.seat("words", store.enter(one), 20)
    return tmp_path / "listening.sqlite"


def test_what_listeners_said_is_printed(answers, capsys):
    from demo import results

    assert results.main([str(answers), "--test", "words"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("words (ab, words)\n  aligned is preferred to base in 8")
    assert "STOP (decided): aligned is preferred" in shown
    assert "pairs" not in shown
    assert results.main([str(answers)]) == 0
    assert "flagged: cem: always one side (12 times A, 0 times B)" in capsys.readouterr().out


def test_files_are_written(answers, tmp_path, capsys):
    from demo import results

    names = {kind: tmp_path / f"out.{kind}" for kind in ("csv", "json", "html", "votes")}
    assert results.main([str(answers), *(part for kind, path in names.items() for part in (f"--{kind}", str(path)))]) == 0
    rows = list(csv.DictReader(names["csv"].open(encoding="utf-8", newline="")))
    assert len(rows) == 12 * 20 + 24
    assert {row["flags"] for row in rows if row["listener"] == "cem"} == {"always one side"}
    assert [one["test"] for one in json.loads(names["json"].read_text())["results"]] == ["words", "pairs"]
    assert names["html"].read_text().startswith("<!doctype html>")
    assert {row.judge for row in read_rows(names["votes"], Comparison)} == {"ann", "ben"}
    assert "12 votes written" in capsys.readouterr().err
    assert results.main([str(answers), "--votes", str(names["votes"]), "--keep-flagged"]) == 0
    assert len(read_rows(names["votes"], Comparison)) == 24


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--test", "voice"], "--test: 'voice' has no answers; there are: words, pairs"),
        (["--test", "words", "--votes", "v.jsonl"], "expected one test with votes on candidates, found none"),
        (["--margin", "0.7"], "--margin"),
        (["--confidence", "1"], "--confidence"),
    ],
)
def test_what_cannot_be_is_refused(answers, arguments, message, capsys):
    from demo import results

    assert results.main([str(answers), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_no_file_is_made_where_there_is_none(tmp_path, capsys):
    from demo import results

    assert results.main([str(tmp_path / "none.sqlite")]) == 2
    assert "no such file" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_listener_is_forgotten_by_name(answers, capsys):
    from demo import results

    assert results.main([str(answers), "--forget", "cem"]) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "cem: forgotten, with 12 answers\n")
    assert results.main([str(answers)]) == 0
    assert "cem" not in capsys.readouterr().out
    assert results.main([str(answers), "--forget", "cem"]) == 2
    assert "nobody listens here as 'cem'" in capsys.readouterr().err


@pytest.fixture
def begun(tmp_path):
    """Twelve listeners of one mind, each with four answers of the twenty that are due."""
    from demo.listening.store import Store

    with Store(tmp_path / "listening.sqlite") as store:
        store.take_in(votes(12, 4, 1.0, ties=0))
        for name in sorted({one.listener for one in store.answers()}):
            store.seat("words", store.enter(name), 20)
    return tmp_path / "listening.sqlite"


def test_the_command_and_the_tab_count_the_same_listeners_as_finished(begun, capsys):
    pytest.importorskip("gradio", reason="the page needs Gradio: pip install lpo-tts[demo]")
    from demo import results
    from demo.listening.sittings import Sittings
    from demo.listening.store import Store
    from demo.results_tab import Results

    said = "GO ON: nobody has answered all 20 trials yet."
    assert results.main([str(begun)]) == 0
    assert said in capsys.readouterr().out
    with Store(begun) as store:
        assert said in Results(Sittings([], store)).show(None, False)[2]


def test_an_older_file_that_does_not_know_what_was_due_says_so_and_does_not_stop(begun, capsys):
    from demo import results

    with contextlib.closing(sqlite3.connect(begun)) as connection:
        connection.executescript(
            "ALTER TABLE seats DROP COLUMN due; ALTER TABLE trials DROP COLUMN fetched; PRAGMA user_version = 1"
        )
    assert results.main([str(begun)]) == 0
    said = capsys.readouterr()
    assert "GO ON: nobody has answered all trials yet." in said.out
    assert "words: this file is of an earlier version" in said.err


def test_completion_codes_can_be_looked_up_in_every_table(answers, tmp_path, capsys):
    pytest.importorskip("gradio", reason="the page needs Gradio: pip install lpo-tts[demo]")
    from demo import results
    from demo.listening.sittings import Sittings
    from demo.listening.store import Store
    from demo.results_tab import Results

    with Store(answers) as store:
        store.seat("words", store.enter("only begun"), 20)
        code = store.code("words", "l03")
        page = Results(Sittings([], store)).show("words (ab, words)", False)[2]
    assert code in page
    assert results.main([str(answers), "--codes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "test\tcode\tlistener"
    assert f"words\t{code}\tl03" in lines
    assert len(lines) == 1 + 12
    assert results.main([str(answers), "--codes", "--test", "pairs"]) == 0
    assert capsys.readouterr().out == "test\tcode\tlistener\n"
    assert results.main([str(answers), *(f"--{kind}={tmp_path / kind}" for kind in ("csv", "html", "json"))]) == 0
    rows = list(csv.DictReader((tmp_path / "csv").open(encoding="utf-8", newline="")))
    assert {row["code"] for row in rows if row["listener"] == "l03"} == {code}
    assert {row["code"] for row in rows if row["test"] == "pairs"} == {""}
    for kind in ("html", "json"):  # these are for other people
        assert code not in (tmp_path / kind).read_text()
