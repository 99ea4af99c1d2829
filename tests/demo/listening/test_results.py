"""Results of listeners whose minds are known: shares, advice, ABX, ratings, a ranking, flags and sentences."""

import json
from dataclasses import replace

import pytest

from lpo_tts.statistics import sign_test
from tests.demo.listening.answers import answered, votes


def results(answers, due=20, **more):
    from demo.listening.results import results_of

    dues = {}
    for each in answers:
        dues.setdefault(each.test, {})[each.listener] = due
    return results_of(answers, dues if due is not None else None, **more)


def one(answers, **more):
    (found,) = results(answers, **more)
    return found


def test_shares_are_those_of_what_was_made_of_base_whichever_side_it_was_on():
    answers = [
        answered("B"),
        answered("A", item="p1", names=("aligned", "base")),
        answered("tie", item="p2"),
        answered("A", item="p3"),
    ]
    (pair,) = one(answers).everybody.pairs
    assert (pair.a, pair.b, pair.wins, pair.ties, pair.losses, pair.votes) == ("base", "aligned", 2, 1, 1, 4)
    assert pair.share.estimate == 2.5 / 4
    assert (pair.share.low, pair.share.high) == (None, None)  # one listener
    (named,) = one(answers, order=("aligned", "base")).everybody.pairs
    assert (named.b, named.wins) == ("base", 1)


def test_catch_trials_are_no_votes():
    found = one([answered("B"), answered("A", item="c", names=("base", "base"), damages=("", "cut"), catch="worse")])
    assert (found.everybody.answers, found.everybody.pairs[0].votes) == (1, 1)


def test_a_clear_preference_is_decided_and_told():
    from demo.listening.telling import headline, told

    found = one(votes(30, 20, 0.75))
    (pair,) = found.main.pairs
    assert pair.advice.kind == "decided"
    assert pair.advice.num_listeners == 30
    assert 0.6 < pair.share.low < pair.share.estimate < pair.share.high < 0.85
    assert pair.permutation_p < 0.001
    assert pair.listeners_for > 25
    assert pair.listeners_p == sign_test(pair.listeners_for, pair.listeners_against)
    assert pair.votes_worth < 600
    assert (pair.looks[0].listeners, pair.looks[-1].listeners) == (1, 30)
    assert pair.looks[-1].low == pair.advice.low
    line = headline(found)
    assert line.startswith("aligned is preferred to base in 7")
    assert "STOP (decided): aligned is preferred" in line
    assert "(30 listeners, 600 answers)" in line
    assert any("takes every vote as independent" in sentence for sentence in told(pair, found))
    turned = [replace(vote, answer={"A": "B", "B": "A"}.get(vote.answer, vote.answer)) for vote in votes(30, 20, 0.75)]
    assert headline(one(turned)).startswith("base is preferred to aligned in 7")
    assert "STOP (decided): base is preferred" in headline(one(turned))


def test_many_listeners_of_one_mind_on_one_text_speak_for_no_other_text():
    from demo.listening.telling import headline, told

    found = one([answered("B", listener=f"l{k:03d}", at=100.0 * k) for k in range(200)])
    (pair,) = found.everybody.pairs
    assert (pair.share.estimate, pair.share.low, pair.share.high) == (1.0, None, None)
    assert pair.votes_worth == 1
    assert "100 % (no interval) of the votes" in headline(found)
    assert "An interval needs 5 listeners and 5 texts at least." in told(pair, found)


def test_no_preference_goes_on_and_ends_as_equivalent():
    from demo.listening.telling import headline

    few, many = one(votes(10, 20, 0.5, spread=0.02)), one(votes(160, 20, 0.5, spread=0.02))
    assert few.main.pairs[0].advice.kind == "go on"
    assert headline(few).startswith("No preference shown: ")
    assert "GO ON: bounds" in headline(few)
    assert "more listeners like these would" in headline(few)
    assert many.main.pairs[0].advice.kind == "equivalent"
    assert "STOP (equivalent)" in headline(many)


def test_advice_rests_on_listeners_who_have_done_their_trials_and_on_no_more_of_them():
    answers = votes(6, 20, 0.9)
    first = one(answers).main.pairs[0].advice
    assert (first.num_listeners, one(answers).finished, one(answers).trials) == (6, 6, 20)
    busy = [*answers, *votes(1, 12, 0.1, seed=9)[:12]]  # l00 goes on, and does not count twice
    assert one(busy).main.pairs[0].advice.num_listeners == 6
    begun = [*answers, *(replace(vote, listener="late", trial=f"late {vote.trial}") for vote in votes(1, 19, 0.1, seed=9))]
    assert (one(begun).main.pairs[0].advice, one(begun).finished) == (first, 6)
    assert len(one(begun).main.pairs[0].listeners) == 7
    short = one(votes(6, 8, 0.9), due=8)
    assert (short.trials, short.finished) == (8, 6)
    assert one(votes(6, 8, 0.9)).finished == 0  # however alike they are: nobody knows of the others by their answers
    old = one(votes(6, 8, 0.9), due=None)  # of old votes no number was fixed
    assert (old.trials, old.main.pairs[0].advice.num_listeners) == (None, 6)


def test_nobody_has_finished_yet():
    from demo.listening.telling import headline

    found = one(votes(3, 4, 0.9))
    assert found.main.pairs[0].advice.num_listeners == 0
    assert "GO ON: nobody has answered all 20 trials yet." in headline(found)


def test_flagged_listeners_are_left_out_and_shown():
    from demo.listening.telling import headline
    from demo.results_view import result_html

    careless = [answered("A", listener="<b>left</b>", item=f"p{k}", names=("base", "aligned")) for k in range(20)]
    found = one([*votes(8, 20, 0.8), *careless])
    assert found.flagged == ["<b>left</b>"]
    assert (found.everybody.listeners, found.attentive.listeners) == (9, 8)
    assert found.everybody.pairs[0].losses >= 20 + found.attentive.pairs[0].losses
    assert "1 flagged and left out" in headline(found)
    page = result_html(found)
    assert "<b>left" not in page
    assert "With and without flagged listeners" in page
    assert "always one side (20 times A, 0 times B)" in page
    everyone = one(careless)
    assert everyone.attentive is None
    assert everyone.main is everyone.everybody


def test_abx_is_tested_exactly_listener_by_listener_and_together():
    from demo.listening.telling import headline, told

    answers = [
        answered(
            "AB"[(k + (number == 0 and k < 9)) % 2], mode="abx", reference="AB"[(k + 1) % 2], listener=f"l{number}", item=f"p{k}"
        )
        for number in range(2)
        for k in range(10)
    ]  # l0 is right nine times of ten, l1 never
    found = one(answers)
    (pair,) = found.main.pairs
    assert (pair.wins, pair.losses, pair.ties) == (9, 11, 0)
    assert pair.sign_p == pytest.approx(sum(_choose(20, k) for k in range(9, 21)) / 2**20)
    assert [(row.wins, row.losses) for row in pair.listeners] == [(9, 1), (0, 10)]
    assert pair.listeners[0].p == pytest.approx(2 * 11 / 2**10)  # Holm: the smaller one times two
    assert pair.listeners[1].p == 1
    assert "told apart in 45 %" in headline(found)
    assert any("drawn by lot" in sentence for sentence in told(pair, found))


def _choose(n, k):
    import math

    return math.comb(n, k)


def test_comparative_scores_are_for_the_later_system():
    answers = [
        answered(score if side else -score, mode="cmos", listener=f"l{number}", item=f"p{k}",
                 names=("base", "aligned") if side else ("aligned", "base"))
        for number in range(6) for k, (score, side) in enumerate([(2, 1), (1, 0), (0, 1), (3, 1), (-1, 0), (1, 1)])
    ]  # fmt: skip
    (pair,) = one(answers).main.pairs
    assert pair.score.estimate == 1.0
    assert (pair.wins, pair.ties, pair.losses) == (24, 6, 6)
    assert pair.share.estimate == 27 / 36


def test_ratings_have_means_over_all_and_a_difference():
    from demo.listening.telling import headline

    def rating(name, number, k):
        better = 1 + (number == k) - (number + k == 5)  # of aligned against base: 0 to 2, on average 1
        return 2 + (name == "aligned") * better + number % 2 + (k == 0)

    answers = [
        answered({"A": rating(name, number, k)}, mode="mos", test="scores", names=(name,),
                 listener=f"l{number}", item=f"p{k}")
        for number in range(6) for k in range(6) for name in ("base", "aligned")
    ]  # fmt: skip
    found = one(answers)
    assert [row.system for row in found.main.ratings] == ["base", "aligned"]
    (row,) = found.main.differences
    assert (row.a, row.b) == ("base", "aligned")
    assert row.difference.estimate == pytest.approx(1)
    assert row.difference.excludes_zero
    assert found.main.ratings[0].mean.estimate == pytest.approx(2 + 0.5 + 1 / 6)
    assert "aligned against base: +1.00" in headline(found)


def test_mushra_names_reference_and_anchors():
    sides = {"names": ("aligned", "reference", "reference", "base"), "damages": ("", "", "lowpass-3500", ""), "mode": "mushra"}
    answers = [
        answered({"A": 70 + number, "B": 100, "C": 20, "D": 60 - k}, reference="reference", listener=f"l{number}",
                 item=f"p{k}", **sides)
        for number in range(5) for k in range(5)
    ]  # fmt: skip
    found = one(answers).main
    assert [row.system for row in found.ratings] == ["base", "aligned", "hidden reference", "anchor 3500 Hz"]
    assert [row.mean.estimate for row in found.ratings] == [58, 72, 100, 20]
    assert [(row.a, row.b) for row in found.differences] == [("base", "aligned")]
    (hidden,) = (row for row in found.ratings if row.system == "hidden reference")
    assert hidden.mean.low == pytest.approx(100 * 0.025 ** (1 / 5))  # all say 100


def test_three_systems_are_ranked():
    from demo.listening.telling import headline

    found = one(votes(24, 20, 0.75, systems=("base", "middle", "top"))).main
    assert found.ranks[-1].system == "base"
    assert sum(row.strength.estimate for row in found.ranks) == pytest.approx(0, abs=1e-9)
    assert sum(row.best for row in found.ranks) == pytest.approx(1)
    assert found.ranks[-1].preferred.high < 0.5
    assert len(found.pairs) == 3
    assert [pair.advice.alpha for pair in found.pairs] == pytest.approx([0.05 / 3] * 3)  # three questions, one risk
    assert headline(one(votes(24, 20, 0.75, systems=("base", "middle", "top")))).startswith("By Bradley-Terry")
    assert one(votes(6, 20, 0.75)).main.ranks == []


def test_two_modes_of_one_name_are_two_results():
    assert [(row.test, row.mode) for row in results([answered("A"), answered(2, mode="cmos", item="p1")])] == [
        ("words", "ab"),
        ("words", "cmos"),
    ]
    assert results([]) == []


def test_votes_on_candidates_are_counted_by_agreement():
    from demo.listening.telling import headline

    names = ("p0#0", "p0#1")
    answers = [
        answered(answer, listener=listener, names=names if turned else names[::-1], source="candidates", item="p0")
        for listener, answer, turned in (("ann", "A", True), ("ben", "B", False), ("cem", "B", True), ("dee", "tie", True))
    ]  # two for #0, one for #1, one tie
    found = one(answers).main
    assert (found.candidates.votes, found.candidates.ties, found.candidates.compared, found.candidates.repeated) == (4, 1, 1, 1)
    assert found.candidates.agreement == pytest.approx(1 / 6)
    assert found.pairs == []
    assert headline(one(answers)).startswith("4 votes on 1 pair of candidates (4 listeners)")


def test_results_are_plain_json():
    from demo.listening.export import json_text

    found = json.loads(json_text(results([*votes(6, 20, 0.7), answered({"A": 3}, mode="mos", test="scores", names=("base",))])))
    assert found["version"] == 1
    assert [row["test"] for row in found["results"]] == ["words", "scores"]
    assert found["results"][0]["headline"].startswith("aligned is preferred to base")
    assert found["results"][0]["everybody"]["pairs"][0]["advice"]["kind"] in ("decided", "equivalent", "go on")
