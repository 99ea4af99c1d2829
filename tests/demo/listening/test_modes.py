"""What each mode takes as an answer, and who listens."""

import random
from collections import Counter

import pytest

from demo.listening import modes
from demo.listening.modes import Side
from demo.listening.refusals import Refused


def side(label, name="base", damage=""):
    return Side(label=label, name=name, damage=damage)


@pytest.mark.parametrize(
    ("mode", "labels", "answer"),
    [
        ("ab", "AB", "A"),
        ("ab", "AB", "tie"),
        ("abx", "AB", "B"),
        ("mos", "A", {"A": 5}),
        ("cmos", "AB", -3),
        ("cmos", "AB", 0),
        ("mushra", "ABC", {"A": 0, "B": 100, "C": 37}),
    ],
)
def test_an_answer_of_the_mode_is_taken_as_it_is(mode, labels, answer):
    assert modes.check(mode, labels, answer, tie=True) == answer


def test_a_whole_number_may_be_written_as_a_fraction_is():
    found = modes.check("mushra", "AB", {"A": 40.0, "B": 3}, tie=True)
    assert found == {"A": 40, "B": 3}
    assert all(type(one) is int for one in found.values())


@pytest.mark.parametrize(
    ("mode", "labels", "answer", "said"),
    [
        ("ab", "AB", "C", "one of A, B, tie"),
        ("ab", "AB", ["A"], "one of A, B, tie"),
        ("ab", "AB", None, "found None"),
        ("abx", "AB", "tie", "one of A, B as"),
        ("abx", "AB", {"A": "B"}, "one of A, B as"),
        ("mos", "A", {"A": 6}, "from 1 to 5 for clip A, found 6"),
        ("mos", "A", {"A": 0}, "from 1 to 5"),
        ("mos", "A", {"A": 3.5}, "found 3.5"),
        ("mos", "A", {"A": True}, "found True"),
        ("mos", "A", {"B": 3}, "for each of A"),
        ("mos", "A", 3, "for each of A"),
        ("cmos", "AB", 4, "from -3 to 3"),
        ("cmos", "AB", "1", "found '1'"),
        ("cmos", "AB", float("nan"), "found nan"),
        ("mushra", "AB", {"A": 50}, "for each of A, B"),
        ("mushra", "AB", {"A": 50, "B": 50, "C": 1}, "for each of A, B"),
        ("mushra", "AB", {"A": 50, "B": 101}, "from 0 to 100 for clip B"),
        ("mushra", "AB", {"A": 50, "B": float("inf")}, "found inf"),
        ("mushra", "AB", {"A": 50, "B": "x" * 900}, r"\.\.\."),
    ],
)
def test_anything_else_is_refused_with_what_was_expected(mode, labels, answer, said):
    with pytest.raises(Refused, match=said) as refused:
        modes.check(mode, labels, answer, tie=True)
    assert refused.value.reason == "answer"
    assert len(str(refused.value)) < 200


def test_a_test_without_ties_takes_none():
    with pytest.raises(Refused, match="one of A, B as"):
        modes.check("ab", "AB", "tie", tie=False)
    assert [value for value, _ in modes.scale_of("ab", False).options] == ["A", "B"]
    assert [value for value, _ in modes.scale_of("ab", True).options] == ["A", "tie", "B"]


def test_every_mode_asks_every_question_in_words_of_its_own_but_abx_which_has_one():
    for mode in modes.MODES:
        asked = [modes.ASKED[mode][question] for question in modes.QUESTIONS]
        assert len(set(asked)) == (1 if mode == "abx" else 3)
        assert modes.scale_of(mode, True).options


def test_sides_are_drawn_evenly_and_so_is_x():
    source, clips = random.Random(1), [side("", "base"), side("", "aligned")]
    drawn = [modes.draw("abx", clips, source) for _ in range(2000)]
    order, reference = Counter(sides[0].name for sides, _ in drawn), Counter(label for _, label in drawn)
    assert min(order.values()) > 900
    assert min(reference.values()) > 900
    assert all([one.label for one in sides] == ["A", "B"] for sides, _ in drawn)
    assert {one.name for one in modes.draw("ab", clips)[0]} == {"base", "aligned"}


def test_in_abx_x_is_to_be_heard_too():
    assert modes.to_hear("abx", "AB") == ("A", "B", "X")
    assert modes.to_hear("mushra", "ABC") == ("A", "B", "C")


@pytest.mark.parametrize(
    ("mode", "catch", "damaged", "reference", "answer", "passed"),
    [
        ("ab", "worse", "B", "", "A", True),
        ("ab", "worse", "B", "", "B", False),
        ("ab", "worse", "B", "", "tie", False),
        ("ab", "same", "", "", "tie", True),
        ("ab", "same", "", "", "A", False),
        ("ab", "", "", "", "A", None),
        ("abx", "worse", "A", "A", "A", True),
        ("abx", "worse", "A", "A", "B", False),
        ("cmos", "worse", "A", "", 2, True),
        ("cmos", "worse", "B", "", 2, False),
        ("cmos", "worse", "B", "", 0, False),
        ("cmos", "same", "", "", -1, True),
        ("cmos", "same", "", "", -2, False),
    ],
)
def test_a_catch_trial_tells_who_listens(mode, catch, damaged, reference, answer, passed):
    sides = [side(label, damage="cut" if label == damaged else "") for label in "AB"]
    assert modes.passed(mode, catch, sides, reference, answer) is passed


def test_a_spoilt_clip_rated_good_and_a_hidden_reference_rated_low_are_failures():
    spoilt = [side("A", damage="noise")]
    assert modes.passed("mos", "worse", spoilt, "", {"A": 3}) is True
    assert modes.passed("mos", "worse", spoilt, "", {"A": 4}) is False
    assert modes.passed("mos", "", [side("A")], "", {"A": 1}) is None
    sides = [side("A", "reference", "lowpass-3500"), side("B", "reference"), side("C", "aligned")]
    assert modes.passed("mushra", "", sides, "reference", {"A": 95, "B": 90, "C": 1}) is True
    assert modes.passed("mushra", "", sides, "reference", {"A": 95, "B": 89, "C": 1}) is False
