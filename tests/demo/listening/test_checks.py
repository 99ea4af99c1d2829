"""Careless listeners are flagged by what gives them away, and careful ones are not."""

import pytest

from tests.demo.listening.answers import answered, votes


def check(answers):
    from demo.listening.checks import check_listeners

    (found,) = check_listeners(answers)
    return found


def catches(passes, kind="worse"):
    """Catch trials, the whole clip as A; `passes`: whether each one is passed."""
    good, bad = ("A", "B") if kind == "worse" else ("tie", "A")
    damages = ("", "cut") if kind == "worse" else ("", "")
    return [
        answered(good if passed else bad, item=f"c{k}", names=("base", "base"), catch=kind, damages=damages)
        for k, passed in enumerate(passes)
    ]


def test_always_one_side():
    found = check([answered("A", item=f"p{k}") for k in range(9)])
    assert found.flags == ("always one side",)
    assert (found.first, found.second) == (9, 0)
    assert found.side_p == pytest.approx(2 / 2**9)
    assert check([answered("A", item=f"p{k}") for k in range(8)]).flags == ()  # 2 / 2^8 = 0.8 %: may happen to anybody
    assert check([answered("tie", item=f"p{k}") for k in range(30)]).flags == ()  # who hears no difference may say so
    scores = check([answered(-2, mode="cmos", item=f"p{k}") for k in range(9)])
    assert (scores.first, scores.second, scores.flags) == (9, 0, ("always one side",))


def test_one_system_on_both_sides_is_no_carelessness():
    names = [("base", "aligned"), ("aligned", "base")]
    answers = [answered("BA"[k % 2], item=f"p{k}", names=names[k % 2]) for k in range(30)]
    assert check(answers).flags == ()


def test_faster_than_the_audio():
    slow = [answered("AB"[k % 2], item=f"p{k}") for k in range(4)]
    assert check(slow).fast == 0
    assert check(slow).median_seconds == 10
    hasty = check([*slow, answered("A", item="p9", took=3.0)])  # two clips of 2 s
    assert (hasty.fast, hasty.flags) == (1, ("faster than the audio",))
    assert check([*slow, answered("A", item="p9", played={"A": 2.0, "B": 0.4})]).fast == 1
    old = check([answered("A", item="p9", took=0.0, seconds=0.0)])  # votes of an older demo have no such times
    assert (old.fast, old.median_seconds, old.flags) == (None, None, ())


@pytest.mark.parametrize(
    ("passes", "flagged"),
    [
        ([True, True], False),
        ([True, False], False),  # anybody slips once
        ([False], False),
        ([False, False], True),
        ([True] * 2 + [False] * 2, True),
        ([True] * 3 + [False] * 2, False),
        ([True] * 2 + [False] * 3, True),
        ([], False),
    ],
)
def test_catch_trials_with_a_spoilt_copy(passes, flagged):
    found = check([answered("A"), *catches(passes)])
    assert (found.failed, found.worse) == (passes.count(False), len(passes))
    assert ("failed catch trials" in found.flags) == flagged
    assert found.answers == 1  # catch trials are none


def test_a_preference_between_equal_clips_is_told_and_flags_nobody():
    found = check([answered("A"), *catches([True, False, False], "same")])
    assert (found.differed, found.same, found.flags) == (2, 3, ())


@pytest.mark.parametrize("trials", range(1, 41))
def test_of_fifty_careful_listeners_one_is_flagged_at_most_and_clicking_at_random_is_found(trials):
    from math import comb

    from demo.listening.checks import FAILED_LEVEL, SLIP, _by_slips

    least = next((k for k in range(1, trials + 1) if _by_slips(k, trials) < FAILED_LEVEL), trials + 1)

    def flagged(chance):
        return sum(comb(trials, k) * chance**k * (1 - chance) ** (trials - k) for k in range(least, trials + 1))

    assert least >= 2
    assert flagged(SLIP) < 0.02
    if trials >= 3:
        assert flagged(2 / 3) > 0.55  # one of three buttons by lot


def test_ratings_without_differences_and_hidden_references():
    same = [answered({"A": 3}, mode="mos", names=("base",), item=f"p{k}") for k in range(8)]
    assert check(same).flags == ("always the same rating",)
    assert check(same[:7]).flags == ()
    spoilt = [answered({"A": 4}, mode="mos", names=("base",), item=f"c{k}", catch="worse", damages=("noise",)) for k in (0, 1)]
    assert check([answered({"A": 5}, mode="mos", names=("base",)), *spoilt]).flags == ("failed catch trials",)
    sides = {"names": ("base", "reference", "reference"), "damages": ("", "", "lowpass-3500"), "mode": "mushra"}
    rated = [answered({"A": 70, "B": 95 if k else 80, "C": 20}, item=f"p{k}", reference="reference", **sides) for k in range(8)]
    assert check(rated[1:]).flags == ()
    assert check(rated).flags == ()  # one of eight is 12.5 %; BS.1534-3 allows 15 %
    assert check(rated[:6]).flags == ("hidden reference below 90",)


def test_careful_listeners_are_hardly_ever_flagged():
    from demo.listening.checks import check_listeners

    found = check_listeners(votes(200, 20, 0.8, seed=4))
    assert len(found) == 200
    assert sum(bool(one.flags) for one in found) <= 4
