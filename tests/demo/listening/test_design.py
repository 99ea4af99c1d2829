"""Which trials each listener is given."""

from collections import Counter
from dataclasses import dataclass, replace

import pytest

from demo.listening.design import Design, Plan, default_designs, read_designs, trial_key
from lpo_tts.errors import ConfigError


@dataclass
class Listed:
    """An item with what a design asks of it."""

    id: str
    names: tuple = ("base", "aligned")
    has_reference: bool = True
    twins: bool = False

    def alike(self, one, other):
        return self.twins


def listed(count, **changes):
    return [Listed(f"p{k}", **changes) for k in range(count)]


def keys(trials, catches=False):
    return [one.key for one in trials if catches or not one.catch]


def test_each_listener_has_an_order_of_their_own_the_same_each_time():
    plan = Plan(Design("words", trials_per_listener=None), listed(20))
    ann = plan.trials_for("ann", 0)
    assert ann == Plan(Design("words", trials_per_listener=None), listed(20)).trials_for("ann", 0)
    assert keys(ann) != keys(plan.trials_for("bob", 0))
    assert sorted(keys(ann)) == sorted(keys(plan.trials_for("bob", 0))) == sorted(f"p{k}|aligned|base" for k in range(20))


def test_subsets_of_listeners_hear_every_trial_equally_often():
    plan = Plan(Design("words", trials_per_listener=6, catch_share=0), listed(15))
    counts = Counter(key for seat in range(5) for key in keys(plan.trials_for(f"l{seat}", seat)))
    assert set(counts.values()) == {2}  # 5 listeners of 6 trials on 15 items
    assert len(counts) == 15
    for seats in range(1, 8):
        counts = Counter(key for seat in range(seats) for key in keys(plan.trials_for(f"l{seat}", seat)))
        heard = [counts[f"p{k}|aligned|base"] for k in range(15)]
        assert max(heard) - min(heard) <= 1


def test_with_three_systems_every_comparison_is_balanced_and_a_subset_is_of_different_items():
    plan = Plan(Design("words", trials_per_listener=10, catch_share=0), listed(10, names=("base", "dpo", "lpo")))
    assert len(plan.trials) == 30
    own = plan.trials_for("ann", 0)
    assert len({one.item for one in own}) == 10
    counts = Counter(key for seat in range(3) for key in keys(plan.trials_for(f"l{seat}", seat)))
    assert set(counts.values()) == {1}
    assert Counter(one.names for one in plan.trials) == dict.fromkeys((("base", "dpo"), ("base", "lpo"), ("dpo", "lpo")), 10)


@pytest.mark.parametrize(("mode", "names"), [("mos", ("base", "aligned")), ("mos", ("a", "b", "c")), ("ab", ("a", "b", "c"))])
def test_every_listener_hears_every_system_and_comparison_equally_often(mode, names):
    plan = Plan(Design("t", mode, "overall", trials_per_listener=12, catch_share=0), listed(40, names=names))
    for seat in range(10):
        own = plan.trials_for(f"l{seat}", seat)
        counts = Counter(one.names for one in own)
        assert len(counts) == len(names)
        assert max(counts.values()) - min(counts.values()) <= 2  # a window that runs over the end of a round may be one off twice


def test_systems_can_be_chosen():
    plan = Plan(Design("words", systems=("dpo", "lpo")), listed(10, names=("base", "dpo", "lpo")))
    assert {one.names for one in plan.trials} == {("dpo", "lpo")}


def test_clips_that_are_the_same_are_no_trial_and_neither_is_a_clip_alone():
    items = [*listed(3), Listed("twins", twins=True), Listed("alone", names=("base",))]
    assert {one.item for one in Plan(Design("words"), items).trials} == {"p0", "p1", "p2"}
    assert len(Plan(Design("mos", "mos"), items).trials) == 9


def test_mushra_takes_all_systems_at_once_where_there_is_a_reference():
    items = [*listed(3, names=("base", "dpo", "lpo")), Listed("bare", has_reference=False)]
    trials = Plan(Design("mushra", "mushra"), items).trials
    assert {(one.item, one.names) for one in trials} == {(f"p{k}", ("base", "dpo", "lpo")) for k in range(3)}


@pytest.mark.parametrize(
    ("mode", "tie", "catches"),
    [
        ("ab", True, ["same", "worse", "worse"]),
        ("ab", False, ["worse", "worse", "worse"]),
        ("cmos", True, ["same", "worse", "worse"]),
        ("abx", True, ["worse", "worse", "worse"]),
        ("mos", True, ["worse", "worse", "worse"]),
        ("mushra", True, []),
    ],
)
def test_catch_trials_come_between_the_others_never_first(mode, tie, catches):
    plan = Plan(Design("t", mode, tie=tie, trials_per_listener=12, catch_share=0.25), listed(40))
    for listener in ("ann", "bob", "eve"):
        own = plan.trials_for(listener, 0)
        assert sorted(one.catch for one in own if one.catch) == catches
        assert not own[0].catch
        assert len(own) == len({one.key for one in own}) == 12 + len(catches)
        asked = {one.item for one in own if not one.catch}
        assert all(one.item not in asked and len(one.names) == 1 for one in own if one.catch)


def test_by_default_one_slip_in_a_catch_trial_is_one_of_several():
    plan = Plan(Design("words"), listed(40))
    for seat in range(20):
        catches = Counter(one.catch for one in plan.trials_for(f"l{seat}", seat))
        assert catches == {"": 20, "worse": 3, "same": 1}


def test_other_trials_stand_in_for_those_of_a_listener():
    plan = Plan(Design("words", trials_per_listener=6, catch_share=0), listed(15))
    for seat in range(5):
        own, spares = keys(plan.trials_for("ann", seat)), keys(plan.spares_for(seat))
        assert sorted(own + spares) == sorted(one.key for one in plan.trials)


def test_a_changed_run_never_moves_an_answer_to_another_item():
    before, after = (Plan(Design("words"), items) for items in (listed(5), list(reversed(listed(9)))))
    assert set(keys(before.trials_for("ann", 0))) <= set(keys(after.trials_for("ann", 0)))
    assert trial_key("p1", ("b", "a")) == trial_key("p1", ("a", "b")) != trial_key("p1", ("a", "b"), "worse")


def test_no_items_is_no_trials():
    plan = Plan(Design("words"), [])
    assert plan.trials == plan.trials_for("ann", 3) == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"name": "../x"}, "letters, digits"),
        ({"mode": "mos7"}, "mode = 'mos7' is none of ab, abx"),
        ({"question": "taste"}, "question = 'taste' is none of words, voice, overall"),
        ({"trials_per_listener": 0}, "trials_per_listener must be at least 1"),
        ({"catch_share": 0.9}, "catch_share must be at least 0 and at most 0.5"),
        ({"systems": ("base",)}, "two different systems, found base"),
        ({"systems": ("base", "base")}, "two different systems"),
        ({"systems": ("base", "reference")}, "'reference' is the recording"),
        ({"systems": ("base", "lowpass-7000")}, "'lowpass-7000' is an anchor"),
        ({"anchors": (3500, 3500)}, "anchors"),
        ({"anchors": (10,)}, "anchors"),
        ({"mode": "mushra", "source": "candidates"}, "take ab or cmos"),
        ({"systems": ("base", "aligned"), "source": "candidates"}, "leave systems out"),
    ],
)
def test_a_design_that_cannot_be_is_refused(settings, said):
    with pytest.raises(ConfigError, match=said):
        Design(**{"name": "t", **settings})


def test_designs_are_read_from_yaml_by_name(tmp_path):
    path = tmp_path / "tests.yaml"
    path.write_text("words: {mode: ab, trials_per_listener: 30}\nrate:\n  mode: mushra\n  anchors: [3500]\n  catch_share: 0\n")
    assert read_designs(path) == [
        Design("words", "ab", trials_per_listener=30),
        Design("rate", "mushra", anchors=(3500,), catch_share=0),
    ]
    for text, said in (
        ("words: {mode: abc}", "mode"),
        ("words: {modes: ab}", "modes"),
        ("words: 3", "expected settings under the test's name 'words'"),
        ("words: {name: x}", "no key `name`"),
        ("{}", "at least one test"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=said):
            read_designs(path)
    with pytest.raises(ConfigError, match=r"cannot read the file of listening tests .*nowhere\.yaml"):
        read_designs(tmp_path / "nowhere.yaml")


def test_by_default_words_and_voice_are_two_passes_and_every_mode_is_there():
    designs = default_designs()
    assert [one.question for one in designs[:2]] == ["words", "voice"]
    assert {one.mode for one in designs} == {"ab", "abx", "mos", "cmos", "mushra"}
    assert [one.name for one in designs if one.source == "candidates"] == ["pairs"]
    assert len({one.name for one in designs}) == len(designs)
    assert replace(designs[0], seed=3) != designs[0]
