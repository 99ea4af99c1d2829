"""Votes of an older demo."""

import json

import pytest

from demo.listening.intake import TEST, take_in
from lpo_tts.errors import ArtefactError


def line(number, choice="A", listener="ann", **changes):
    row = {"prompt_id": f"p{number}", "seed": 1, "a": "base", "b": "aligned", "choice": choice, "listener": listener}
    return json.dumps({**row, "time": "2025-01-01T00:00:00+00:00", **changes}) + "\n"


def test_old_votes_are_taken_in_once_and_later_ones_after_them(tmp_path, store):
    path = tmp_path / "votes.jsonl"
    assert take_in(path, store) == 0
    path.write_text(line(1) + line(2, "tie") + line(1, "B", "bob"))
    assert take_in(path, store) == 3
    assert take_in(path, store) == 0
    with path.open("a") as file:
        file.write(line(3, "B"))
    assert take_in(path, store) == 1
    found = store.answers(TEST)
    assert [(one.listener, one.content.item, one.answer) for one in found] == [
        ("ann", "p1#1", "A"),
        ("ann", "p2#1", "tie"),
        ("bob", "p1#1", "B"),
        ("ann", "p3#1", "B"),
    ]
    assert [(side.label, side.name, side.candidate_id) for side in found[0].content.sides] == [
        ("A", "base", "p1#1"),
        ("B", "aligned", "p1#1"),
    ]
    assert found[0].time == found[0].shown == 1735689600
    assert (found[0].content.mode, found[0].content.question, found[0].content.catch) == ("ab", "overall", "")


def test_a_second_vote_on_the_same_trial_does_not_count_whichever_way_round(tmp_path, store):
    path = tmp_path / "votes.jsonl"
    path.write_text(line(1) + line(1, "A", a="aligned", b="base"))
    assert take_in(path, store) == 1


def test_who_voted_before_comes_back_by_name_once(tmp_path, store):
    path = tmp_path / "votes.jsonl"
    path.write_text(line(1))
    take_in(path, store)
    ann = store.enter("ann")
    assert ann.token
    assert store.done(TEST, ann) == {"p1#1|aligned|base": ""}
    with pytest.raises(Exception, match="somebody listens as 'ann' already"):
        store.enter("ann")


def test_a_torn_last_line_is_left_out_and_a_spoilt_one_is_named(tmp_path, store):
    path = tmp_path / "votes.jsonl"
    path.write_text(line(1) + '{"prompt_id": "p2", "se')
    before = path.read_bytes()
    assert take_in(path, store) == 1
    assert path.read_bytes() == before
    for spoilt, said in (
        (line(2, "C"), "choice"),
        (line(2, listener="a\tb"), "one line of plain text"),
        (line(2, time="yesterday"), "yesterday"),
        (line(2, b="base"), "'base' twice"),
        ('{"prompt_id": "p2"}\n', "seed"),
        ('{"prompt_id": "p2", "first": "a", "second": "b", "preferred": "tie", "judge": "ann"}\n', "found votes on candidates"),
        ("[]\n", "not a vote"),
        ("no json\n", "not valid JSON"),
    ):
        path.write_text(line(5) + spoilt)
        with pytest.raises(ArtefactError, match=rf"votes\.jsonl:2: .*{said}"):
            take_in(path, store)
    assert len(store.answers()) == 1  # all of a table or nothing of it
