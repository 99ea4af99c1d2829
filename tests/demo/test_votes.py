"""The blind test: order, sides, votes on the disk, tally."""

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from demo import votes
from demo.votes import Trial, Vote
from lpo_tts.errors import ArtefactError, ContractError


def trial(number, seed=0):
    return Trial(prompt_id=f"p{number}", seed=seed, text="t", wavs={"base": Path("b.wav"), "aligned": Path("a.wav")})


def cast(number, choice, a="base", b="aligned", listener="ann", seed=0):
    return Vote(prompt_id=f"p{number}", seed=seed, a=a, b=b, choice=choice, listener=listener, time="2025-01-01T00:00:00+00:00")


def test_sides_are_drawn_anew_and_evenly():
    source = random.Random(1)
    counts = Counter(votes.draw_sides(trial(0), source) for _ in range(1000))
    assert set(counts) == {("base", "aligned"), ("aligned", "base")}
    assert min(counts.values()) > 430
    assert set(votes.draw_sides(trial(0))) == {"base", "aligned"}


def test_each_listener_has_an_order_of_their_own_and_goes_on_where_they_were():
    trials = [trial(k) for k in range(20)]
    ann = [one.prompt_id for one in votes.order(trials, "ann")]
    assert ann == [one.prompt_id for one in votes.order(reversed(trials), "ann")]
    assert ann != [one.prompt_id for one in votes.order(trials, "bob")]
    done = [cast(name.removeprefix("p"), "A") for name in ann[:7]]
    assert votes.next_trial(trials, done, "ann").prompt_id == ann[7]
    assert votes.next_trial(trials, done, "bob").prompt_id == votes.order(trials, "bob")[0].prompt_id
    assert votes.next_trial(trials, [cast(k, "tie") for k in range(20)], "ann") is None


def test_a_vote_knows_its_winner():
    assert cast(1, "A").winner == "base"
    assert cast(1, "B").winner == "aligned"
    assert cast(1, "B", a="aligned", b="base").winner == "base"
    assert cast(1, "tie").winner is None


def test_votes_are_appended_and_read_back(tmp_path):
    path = tmp_path / "deep" / "votes.jsonl"
    assert votes.read(path) == []
    new = votes.vote(trial(3, seed=2), ("aligned", "base"), "A", "ann")
    votes.append(path, new)
    votes.append(path, cast(4, "tie"))
    assert votes.read(path) == [new, cast(4, "tie")]
    row = json.loads(path.read_text().splitlines()[0])
    assert {key: row[key] for key in ("prompt_id", "seed", "a", "b", "choice", "listener")} == {
        "prompt_id": "p3",
        "seed": 2,
        "a": "aligned",
        "b": "base",
        "choice": "A",
        "listener": "ann",
    }
    assert row["time"].endswith("+00:00")


def test_a_second_vote_on_the_same_trial_is_refused_whichever_way_round_it_was_played(tmp_path):
    path = tmp_path / "votes.jsonl"
    votes.append(path, cast(1, "A"))
    with pytest.raises(ContractError, match=r"'ann' has voted on p1 \(seed 0\) already"):
        votes.append(path, cast(1, "B", a="aligned", b="base"))
    votes.append(path, cast(1, "B", listener="bob"))
    votes.append(path, cast(1, "B", seed=1))
    assert len(votes.read(path)) == 3


def test_a_line_torn_by_a_crash_is_dropped_and_a_spoilt_one_is_named(tmp_path):
    path = tmp_path / "votes.jsonl"
    votes.append(path, cast(1, "A"))
    with path.open("a") as file:
        file.write('{"prompt_id": "p2", "se')
    votes.append(path, cast(3, "B"))
    assert [one.prompt_id for one in votes.read(path)] == ["p1", "p3"]
    with path.open("a") as file:
        file.write(json.dumps({**vars(cast(4, "A")), "choice": "C"}) + "\n")
    with pytest.raises(ArtefactError, match=r"votes\.jsonl:3: .*choice must be A, B or tie, found 'C'"):
        votes.read(path)


def test_an_unwritable_place_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtefactError, match="the vote was not kept, give another --votes"):
        votes.append(tmp_path / "file" / "votes.jsonl", cast(1, "A"))


def test_tally_counts_one_pair_of_systems_and_tests_it_exactly():
    found = [cast(k, "B") for k in range(9)] + [cast(9, "A"), cast(10, "tie"), cast(11, "A", b="other")]
    count = votes.tally(found, "base", "aligned")
    assert (count.wins, count.losses, count.ties) == (9, 1, 1)
    assert count.p_value == pytest.approx(22 / 1024)  # 2 (1 + 10) / 2^10
    assert votes.tally([], "base", "aligned").p_value == 1.0


def test_a_vote_has_a_listener_of_at_most_80_characters_in_one_line():
    assert cast(1, "A", listener="x" * 80).listener == "x" * 80
    for name, reason in (
        ("", "a vote needs the name of its listener"),
        ("  ", "a vote needs the name of its listener"),
        ("x" * 81, "at most 80 characters, found 81"),
        ("a\tb", "one line of plain text"),
    ):
        with pytest.raises(ContractError, match=reason):
            cast(1, "A", listener=name)


def test_a_name_that_is_given_is_unlike_all_that_are_taken(monkeypatch):
    drawn = iter(["aaaaaa", "bbbbbb", "cccccc"])
    monkeypatch.setattr(votes.secrets, "token_hex", lambda size: next(drawn))
    assert votes.new_name({"listener-aaaaaa", "listener-bbbbbb"}) == "listener-cccccc"


def test_the_number_of_a_trial_counts_what_the_listener_has_done_of_these():
    trials = [trial(k) for k in range(4)]
    found = [cast(0, "A"), cast(2, "tie"), cast(9, "A"), cast(1, "A", listener="bob")]
    assert votes.place(trials, found, "ann") == 3
    assert votes.place(trials, found, "bob") == 2
    assert votes.place(trials, found, "eve") == 1
