"""Rules that read comparisons, on hand-made tables: who is chosen, who is dropped and why."""

from pathlib import Path

import pytest

from lpo_tts.errors import ConfigError
from lpo_tts.records import Candidate, Comparison, PreferencePair
from lpo_tts.rules.best_worst import BestWorst
from lpo_tts.rules.compared import ComparisonRule, informed, sources_of
from lpo_tts.rules.preferred import Preferred
from lpo_tts.rules.selection import Limits, select
from lpo_tts.rules.votes import Votes
from lpo_tts.testing import check_rule


def candidate(index, *, finished=True):
    return Candidate(
        id=f"p#{index}", prompt_id="p", index=index, seed=index, temperature=1.0, top_p=1.0, top_k=0,
        num_tokens=10, num_frames=10, finished=finished,
    )  # fmt: skip


def row(text, judge="judge", **detail):
    """`0>1`, `0<1`, `0=1` (a tie), `0?1` (no opinion)."""
    sign = next(one for one in "><=?" if one in text)
    first, second = text.split(sign)
    preferred = {">": "first", "<": "second", "=": "tie", "?": None}[sign]
    return Comparison(prompt_id="p", first=f"p#{first}", second=f"p#{second}", preferred=preferred, judge=judge, detail=detail)


def build(rule, rows, count=4, unfinished=(), **limits):
    """Pairs as `0>1`, the drops, and the rows."""
    source = rule.sources[0]
    group = [candidate(index, finished=index not in unfinished) for index in range(count)]
    found, dropped = select(informed(rule, {source: rows, "other": [row("0>1")]}), Limits(**limits), group, {}, {})
    pairs = [one for one in found if isinstance(one, PreferencePair)]
    assert len(pairs) == len(found)
    return [f"{one.chosen[2:]}>{one.rejected[2:]}" for one in pairs], dropped, pairs


JUDGE = Preferred(comparison="judge")


def test_the_preferred_one_is_chosen_whichever_way_round_the_row_has_it():
    found, dropped, pairs = build(JUDGE, [row("0<1"), row("2>3")], pairs_per_prompt=2, min_gap=5.0)
    assert found == ["1>0", "2>3"]
    assert not dropped
    assert [one.margins for one in pairs] == [{}, {}], "no metric, no margin"
    assert pairs[0].id == "p#1>p#0"


def test_ties_contradictions_and_missing_opinions_are_dropped_and_counted():
    rows = [row("0=1"), row("0=2", contradiction=True), row("0?3", reason="no answer"), row("2>3", contradiction=False)]
    found, dropped, _ = build(JUDGE, rows, pairs_per_prompt=9)
    assert found == ["2>3"]
    assert dropped == {"tie": 1, "judge contradicts itself": 1, "no opinion of the judge": 1}


def test_preferences_in_a_circle_are_dropped_and_those_beside_it_are_kept():
    rows = [row("0>1"), row("1>2"), row("2>0"), row("0>3"), row("4>0")]
    found, dropped, _ = build(JUDGE, rows, count=5, pairs_per_prompt=9)
    # 4 > 0 > 3 lies on no circle; 4>0 comes first by wins less losses, tied with 0>3: then by ids
    assert found == ["0>3"]
    assert dropped == {"preferences in a circle": 3, "candidate used already": 1}


def test_two_rows_that_say_opposite_things_are_a_circle():
    found, dropped, _ = build(JUDGE, [row("0>1"), row("1>0"), row("2>3")], pairs_per_prompt=9)
    assert found == ["2>3"]
    assert dropped == {"preferences in a circle": 2}


def test_in_a_chain_best_and_worst_come_first():
    rows = [row("0>1"), row("1>2"), row("2>3"), row("0>2"), row("1>3"), row("0>3")]
    found, _, _ = build(JUDGE, rows)
    assert found == ["0>3"]
    assert build(JUDGE, rows, pairs_per_prompt=2)[0] == ["0>3", "1>2"]


def test_the_filters_that_need_no_metric_apply():
    found, dropped, _ = build(JUDGE, [row("0>1")], unfinished={0})
    assert (found, dropped) == ([], {"chosen is unfinished": 1})
    found, _, _ = build(JUDGE, [row("0>1")], unfinished={1})
    assert found == ["0>1"]


def test_without_a_row_nothing_is_found():
    assert build(JUDGE, [])[:2] == ([], {})


def test_a_candidate_of_another_prompt_is_counted():
    assert build(JUDGE, [row("0>9")])[:2] == ([], {"candidate that is none of the prompt's": 1})


LISTENERS = Votes(Path("votes.jsonl"), min_votes=3, min_agreement=0.6)


@pytest.mark.parametrize(
    ("votes", "found", "drop"),
    [
        (["a 0>1", "b 1<0", "c 1>0"], ["0>1"], None),  # two of three
        (["a 0>1", "b 0>1"], [], "fewer listeners than min_votes"),
        (["a 0>1", "b 0>1", "b 0>1"], [], "fewer listeners than min_votes"),  # a listener has one vote
        (["a 0>1", "b 1>0", "c 0=1"], [], "tie of the votes"),
        (["a 0=1", "b 0=1", "c 0=1"], [], "tie of the votes"),
        (["a 0>1", "b 0>1", "c 0=1", "d 0=1"], [], "agreement below min_agreement"),
        (["a 0>1", "b 0>1", "c 1>0", "d 0=1"], [], "agreement below min_agreement"),
        (["a 0>1", "b 0>1", "c 0>1", "d 1>0", "e 0=1"], ["0>1"], None),  # three of five
        (["a 0>1", "a 1>0", "b 0>1", "c 0>1"], ["0>1"], None),  # a takes back what it said: a tie, two of three
        (["a 0>1", "b 0>1", "c 0>1", "d 0?1"], ["0>1"], "vote without a preference or a tie"),
    ],
)
def test_a_majority_of_enough_listeners_decides(votes, found, drop):
    rows = [row(vote.split()[1], judge=vote.split()[0]) for vote in votes]
    pairs, dropped, _ = build(LISTENERS, rows)
    assert pairs == found
    assert dropped == ({drop: 1} if drop else {})


def test_what_listeners_agree_on_most_comes_first():
    rows = [row("0>1", judge) for judge in "abc"] + [row("1>0", "d")] + [row("2>1", judge) for judge in "abc"]
    assert build(LISTENERS, rows)[0] == ["2>1"]


def test_majorities_in_a_circle_are_dropped():
    rows = [row(text, judge) for text in ("0>1", "1>2", "2>0") for judge in "abc"]
    assert build(LISTENERS, rows)[:2] == ([], {"preferences in a circle": 3})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Preferred(comparison="../x"), "comparison: expected a name of letters"),
        (lambda: Votes(Path("v"), min_votes=0), "min_votes must be at least 1"),
        (lambda: Votes(Path("v"), min_agreement=1.1), "min_agreement must be at least 0.0 and at most 1.0"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_rules_say_what_they_read():
    assert sources_of(BestWorst()) == ()
    assert sources_of(JUDGE) == ("judge",)
    assert sources_of(LISTENERS) == (Path("votes.jsonl"),)
    rule = BestWorst()
    assert informed(rule, {}) is rule


class Unsorted(Preferred):
    """Takes the first row that comes."""

    def match_compared(self, candidates, comparisons):
        yield from list(super().match_compared(candidates, comparisons[:1]))


class Turned(Preferred):
    """Prefers the loser."""

    def match_compared(self, candidates, comparisons):
        from lpo_tts.rules.base import Pair

        for one in super().match_compared(candidates, comparisons):
            yield Pair(one.rejected, one.chosen) if isinstance(one, Pair) else one


class Greedy(Preferred):
    """Reads scores too."""

    metrics = ("wer",)


class Nowhere(Preferred):
    """Names no table."""

    sources = ()


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Unsorted, "the same comparisons in another order"),
        (Turned, "nobody prefers"),
        (Greedy, "expected () of a rule that reads comparisons"),
        (Nowhere, "expected at least one name or path"),
    ],
)
def test_a_rule_that_breaks_the_contract_is_named(kind, message):
    with pytest.raises(AssertionError, match=message.replace("(", r"\(").replace(")", r"\)")):
        check_rule(kind(comparison="judge"))
    assert issubclass(kind, ComparisonRule)
