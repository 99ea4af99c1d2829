"""Answers as CSV, and as rows that the pair rule `votes` reads."""

import csv
import io

import pytest

from lpo_tts.errors import ArtefactError, ContractError
from lpo_tts.files import read_rows
from lpo_tts.records import Comparison
from tests.demo.listening.answers import answered

PAIR = {"source": "candidates", "item": "p0", "test": "pairs"}


def rows_of(answers, **more):
    from demo.listening.export import csv_text

    return list(csv.DictReader(io.StringIO(csv_text(answers, **more))))


def test_every_answer_is_a_row_and_every_rating_too():
    rating = answered({"A": 4, "B": 2}, mode="mushra", names=("base", "reference"), reference="reference", item="p1#3")
    catch = answered("B", names=("base", "base"), damages=("", "cut"), catch="worse", item="c")
    first, second, third, *ratings = rows_of([answered("B"), answered(-2, mode="cmos", item="p2"), catch, rating])
    assert (first["answer"], first["chosen"], first["side_a"], first["side_b"]) == ("B", "aligned", "base", "aligned")
    assert (first["seconds"], first["audio_seconds"], first["shown"]) == ("10.0", "4.0", "2023-11-14T22:13:20.000+00:00")
    assert (second["answer"], second["chosen"]) == ("-2", "base")
    assert (third["catch"], third["passed"]) == ("worse", "False")
    assert [(row["label"], row["name"], row["answer"], row["prompt_id"]) for row in ratings] == [
        ("A", "base", "4", "p1"),
        ("B", "reference", "2", "p1"),
    ]


def test_names_are_text_in_a_table_program():
    from demo.listening.checks import check_listeners

    hostile = [answered("A", listener='=HYPERLINK("http://x","y")', item=f"p{k}") for k in range(9)]
    row, *_ = rows_of(hostile, checks={"words": check_listeners(hostile)})
    assert row["listener"] == '\'=HYPERLINK("http://x","y")'
    assert row["flags"] == "always one side"
    assert rows_of([answered("A", listener="a,b\"c'")])[0]["listener"] == "a,b\"c'"


def test_votes_name_the_candidates_whichever_side_they_were_on(tmp_path):
    from demo.listening.export import VOTES, comparisons, write_votes

    answers = [
        answered("A", listener="ann", names=("p0#0", "p0#1"), **PAIR),
        answered("A", listener="ben", names=("p0#1", "p0#0"), **PAIR),
        answered("tie", listener="cem", names=("p0#0", "p0#1"), **PAIR),
        answered(2, listener="dee", names=("p0#1", "p0#0"), mode="cmos", **PAIR),
        answered("B", listener="eve", names=("p0#0", "p0#0"), damages=("", "cut"), catch="worse", **PAIR),
        answered("A", listener="fay"),  # on systems
        answered("A", listener="guy", names=("p0#0", "p0#1"), **PAIR | {"test": "other"}),
        answered("A", listener="hal", names=("p0#0", "p0#1"), **PAIR),
    ]
    rows = comparisons(answers, "pairs", without=["hal"])
    assert [(row.judge, row.first, row.second, row.preferred) for row in rows] == [
        ("ann", "p0#0", "p0#1", "first"),
        ("ben", "p0#0", "p0#1", "second"),
        ("cem", "p0#0", "p0#1", "tie"),
        ("dee", "p0#0", "p0#1", "first"),
    ]
    assert {row.prompt_id for row in rows} == {"p0"}
    assert rows[3].detail == {
        "test": "pairs",
        "question": "words",
        "mode": "cmos",
        "time": "2023-11-14T22:13:30.000+00:00",
        "score": -2,
    }
    (tmp_path / VOTES).touch()
    write_votes(tmp_path / VOTES, rows[:1])
    write_votes(tmp_path / VOTES, rows)
    assert read_rows(tmp_path / VOTES, Comparison) == rows


@pytest.mark.parametrize(
    "there",
    [
        '{"prompt_id": "p0", "seed": 0, "a": "base", "b": "aligned", "choice": "A", "listener": "ann", "time": "2025-01-01"}\n',
        '{"prompt_id": "p0", "first": "p0#0", "second": "p0#1", "preferred": "tie", "judge": "a-judge", "detail": {}}\n',
        "SQLite format 3\0\xff",
    ],
    ids=["votes of an older demo", "opinions of a judge", "answers"],
)
def test_votes_replace_no_file_of_another_kind(tmp_path, there):
    from demo.listening.export import comparisons, write_votes

    path = tmp_path / "votes.jsonl"
    path.write_text(there, encoding="latin-1")
    before = path.read_bytes()
    with pytest.raises(ArtefactError, match=r"votes\.jsonl: expected no file, or votes on candidates to replace"):
        write_votes(path, comparisons([answered("A", names=("p0#0", "p0#1"), **PAIR)], "pairs"))
    assert path.read_bytes() == before


def test_where_there_are_no_votes_on_candidates_it_is_said():
    from demo.listening.export import comparisons

    with pytest.raises(ContractError, match="'words' has no votes on candidates"):
        comparisons([answered("A")], "words")
