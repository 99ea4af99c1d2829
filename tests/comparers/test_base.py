"""Asking both ways round, on hand-made answers; the contract over every comparer, and what breaks it."""

from dataclasses import dataclass

import pytest
import torch

from lpo_tts.comparers import REGISTRY
from lpo_tts.comparers.base import Opinion, Speech, both_ways
from lpo_tts.comparers.http import HttpComparer
from lpo_tts.comparers.metric import MetricComparer
from lpo_tts.errors import ContractError
from lpo_tts.metrics.duration import Duration
from lpo_tts.testing import check_comparer
from tests.judge_server import Reply, serving, sound


def speech(name, samples=8000):
    return Speech(id=name, audio=0.1 * torch.sin(torch.arange(samples) / 5), sample_rate=16000, text="a")


@dataclass
class Scripted:
    """Says what stands in a table."""

    answers: dict

    def compare(self, pairs):
        found = [self.answers[first.id, second.id] for first, second in pairs]
        return [one if isinstance(one, Opinion) else Opinion(preferred=one) for one in found]


@pytest.mark.parametrize(
    ("forth", "back", "preferred", "contradiction"),
    [
        ("first", "second", "first", False),
        ("second", "first", "second", False),
        ("tie", "tie", "tie", False),
        ("first", "first", "tie", True),  # whichever it hears first
        ("second", "second", "tie", True),
        ("first", "tie", "tie", False),
        ("tie", "first", "tie", False),
    ],
)
def test_a_preference_counts_where_both_ways_name_the_same_one(forth, back, preferred, contradiction):
    a, b = speech("a"), speech("b")
    (found,) = both_ways(Scripted({("a", "b"): forth, ("b", "a"): back}), [(a, b)])
    assert found.preferred == preferred
    assert found.detail["contradiction"] is contradiction
    assert found.detail["answers"] == [forth, {"first": "second", "second": "first", "tie": "tie"}[back]]


def test_one_missing_answer_leaves_no_opinion_and_its_reason():
    a, b = speech("a"), speech("b")
    lost = Opinion(preferred=None, detail={"reason": "the line was cut"})
    for answers in ({("a", "b"): "first", ("b", "a"): lost}, {("a", "b"): lost, ("b", "a"): "first"}):
        (found,) = both_ways(Scripted(answers), [(a, b)])
        assert found.preferred is None
        assert found.detail["reason"] == "the line was cut"
        assert "contradiction" not in found.detail


def test_all_pairs_are_asked_in_one_call_and_answered_in_order():
    asked = []

    class Longer:
        def compare(self, pairs):
            asked.append([(first.id, second.id) for first, second in pairs])
            return [
                Opinion(preferred="first" if one.audio.numel() > two.audio.numel() else "second", detail={"n": n})
                for n, (one, two) in enumerate(pairs)
            ]

    a, b, c = speech("a", 1000), speech("b", 2000), speech("c", 3000)
    found = both_ways(Longer(), [(a, b), (c, a)])
    assert asked == [[("a", "b"), ("b", "a"), ("c", "a"), ("a", "c")]]
    assert [one.preferred for one in found] == ["second", "first"]
    assert found[1].detail["details"] == [{"n": 2}, {"n": 3}]
    assert both_ways(Longer(), []) == []


def test_a_comparer_that_answers_otherwise_is_refused():
    class Short:
        def compare(self, pairs):
            return [Opinion(preferred="first")]

    with pytest.raises(ContractError, match="expected one opinion per pair, 2, found 1"):
        both_ways(Short(), [(speech("a"), speech("b"))])
    with pytest.raises(ContractError, match="expected first, second, tie or None, found 'both'"):
        both_ways(Scripted({("a", "b"): "both", ("b", "a"): "tie"}), [(speech("a"), speech("b"))])


def longer(question):
    sizes = [len(sound(question[side])[0]) for side in ("first", "second")]
    return Reply({"preferred": "tie" if sizes[0] == sizes[1] else "first" if sizes[0] > sizes[1] else "second"})


@pytest.fixture
def comparers():
    with serving(longer) as server:
        yield {"http": HttpComparer(url=server.url), "metric": MetricComparer(metric=Duration())}


def test_every_comparer_keeps_the_contract(comparers):
    assert set(comparers) == set(REGISTRY)
    check_comparer(comparers["http"])


@dataclass(frozen=True)
class Careless:
    """A comparer, right or wrong as a test wants it."""

    fault: str = ""

    def load(self, device="cpu"):
        return self

    def compare(self, pairs):
        found = [self._one(*pair) for pair in pairs]
        return found[1:] if self.fault == "drops" else found

    def _one(self, first, second):
        if self.fault == "writes":
            first.audio.mul_(2)
        if self.fault == "odd":
            return Opinion(preferred="left")
        if not (first.audio.numel() > 1 and second.audio.numel() > 1):
            return Opinion(preferred=None, detail={} if self.fault == "silent" else {"reason": "too short"})
        return Opinion(preferred=None if self.fault == "shy" else "first", detail={"reason": "shy"})


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("drops", "Careless: expected 15 opinions, found 14"),
        ("silent", "'empty' and 'low' have no preference; expected a detail"),
        ("writes", "expected to leave the audio as it was"),
        ("odd", "expected first, second, tie or None, found 'left'"),
        ("shy", "expected an opinion of good speech"),
    ],
)
def test_a_comparer_that_breaks_the_contract_is_named(fault, message):
    check_comparer(Careless())
    with pytest.raises(AssertionError, match=message):
        check_comparer(Careless(fault))
