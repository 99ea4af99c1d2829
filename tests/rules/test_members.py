"""Pair rules on hand-made scores: who is chosen, who is dropped and why."""

import pytest

from lpo_tts.errors import ConfigError
from lpo_tts.records import Candidate, PreferencePair
from lpo_tts.rules import REGISTRY
from lpo_tts.rules.base import Rule
from lpo_tts.rules.best_worst import BestWorst
from lpo_tts.rules.decoupled import Decoupled
from lpo_tts.rules.ground_truth import GroundTruth
from lpo_tts.rules.pareto import Pareto
from lpo_tts.rules.perfect_wrong import PerfectWrong
from lpo_tts.rules.selection import Limits, select

UP = {"wer": False, "similarity": True}


def candidate(index: int, *, finished: bool = True, num_tokens: int = 10) -> Candidate:
    return Candidate(
        id=f"p#{index}",
        prompt_id="p",
        index=index,
        seed=max(index, 0),
        temperature=1.0,
        top_p=1.0,
        top_k=0,
        num_tokens=num_tokens,
        num_frames=num_tokens,
        finished=finished,
        status="ok" if num_tokens else "empty",
    )


def build(rule: Rule, wer, similarity, unfinished=(), lengths=None, target=None, **limits):
    group = [candidate(i, finished=i not in unfinished, num_tokens=(lengths or {}).get(i, 10)) for i in range(len(wer))]
    scores = {
        "wer": {f"p#{i}": value for i, value in enumerate(wer)},
        "similarity": {f"p#{i}": value for i, value in enumerate(similarity)},
    }
    found, dropped = select(rule, Limits(**limits), group, scores, UP, target=target)
    pairs = [pair for pair in found if isinstance(pair, PreferencePair)]
    assert len(pairs) == len(found)
    return [(pair.chosen, pair.rejected) for pair in pairs], dropped, pairs


def test_best_and_worst_with_similarity_breaking_ties():
    found, _, pairs = build(BestWorst(), [0.0, 0.5, 0.0, 0.5], [0.7, 0.9, 0.8, 0.6], min_gap=0.1)
    assert found == [("p#2", "p#3")]
    assert pairs[0].margins == pytest.approx({"wer": 0.5, "similarity": 0.2})


def test_second_pairs_use_other_candidates_and_stop_at_the_gap():
    found, dropped, _ = build(BestWorst(), [0.0, 0.1, 0.2, 0.5, 0.6, 0.3], [0.5] * 6, min_gap=0.2, pairs_per_prompt=3)
    assert found == [("p#0", "p#4"), ("p#1", "p#3")]
    assert dropped["gap below min_gap"] == 1


def test_an_unfinished_candidate_may_be_rejected_never_chosen():
    found, _, _ = build(BestWorst(), [0.0, 0.2, 1.0], [0.9, 0.5, 0.5], unfinished={0}, min_gap=0.1)
    assert found == [("p#1", "p#2")]
    found, _, _ = build(BestWorst(), [0.0, 0.2, 1.0], [0.9, 0.5, 0.5], unfinished={2}, min_gap=0.1)
    assert found == [("p#0", "p#2")]
    found, dropped, _ = build(BestWorst(), [0.0, 1.0], [0.9, 0.5], unfinished={0, 1})
    assert found == []
    assert dropped["no candidate good enough to be chosen"] == 1


def test_unscorable_is_neither_best_nor_worst_but_counted():
    found, dropped, _ = build(BestWorst(), [None, 0.0, 0.4], [0.9, 0.9, 0.9], min_gap=0.1)
    assert found == [("p#1", "p#2")]
    assert dropped["unscorable candidate"] == 1


def test_no_similarity_keeps_the_candidate_at_the_end_of_its_tie():
    found, _, pairs = build(BestWorst(), [0.0, 0.0, 0.5], [None, 0.1, 0.5], min_gap=0.1)
    assert found == [("p#1", "p#2")]
    found, _, pairs = build(BestWorst(), [0.0, 0.5], [None, 0.1], min_gap=0.1)
    assert pairs[0].margins == {"wer": 0.5}


def test_perfect_against_wrong():
    found, _, _ = build(PerfectWrong(), [0.0, 0.2, 0.0, 0.4, 0.6], [0.5] * 5, min_gap=0.1, pairs_per_prompt=4)
    assert found == [("p#0", "p#4"), ("p#2", "p#3")]


def test_pareto_refuses_a_rejected_one_that_sounds_more_alike():
    found, _, _ = build(Pareto(), [0.0, 0.5, 0.2], [0.9, 0.2, 0.5], min_gap=0.1)
    assert found == [("p#0", "p#1")]
    found, dropped, _ = build(Pareto(), [0.0, 0.5], [0.2, 0.9], min_gap=0.1)
    assert found == []
    assert dropped["rejected is better in the second metric"] == 1


def test_floor_length_and_empty():
    found, dropped, _ = build(BestWorst(), [0.1, 0.6], [0.5, 0.5], max_chosen=0.05)
    assert (found, dropped["chosen above max_chosen"]) == ([], 1)
    found, dropped, _ = build(BestWorst(), [0.0, 0.6], [0.5, 0.5], lengths={1: 30}, max_length_ratio=2)
    assert (found, dropped["rejected too long"]) == ([], 1)
    found, dropped, _ = build(BestWorst(), [0.0, 1.0], [0.5, None], lengths={1: 0})
    assert (found, dropped["rejected is empty"]) == ([], 1)


def test_ground_truth_is_chosen_over_every_wrong_candidate():
    target = candidate(-1)
    target = Candidate(**{**vars(target), "id": "p#target"})
    found, _, _ = build(GroundTruth(), [0.0, 0.4, 0.2], [0.5] * 3, target=target, pairs_per_prompt=3)
    assert found == [("p#target", "p#1"), ("p#target", "p#2")]
    found, dropped, _ = build(GroundTruth(), [0.4], [0.5])
    assert found == []
    assert dropped["prompt without a recording of its text"] == 1


def test_decoupled_pairs_are_alike_in_the_second_metric():
    rule = Decoupled(aspect="content", tolerance=0.1)
    found, _, pairs = build(rule, [0.0, 0.5, 0.2, 1.0], [0.5, 0.55, 0.9, 0.1], min_gap=0.1)
    assert found == [("p#0", "p#1")]
    assert pairs[0].aspect == "content"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: REGISTRY.get("best"), "rules: no member named 'best'"),
        (lambda: REGISTRY.get("best_wurst"), "did you mean best_worst"),
        (lambda: Limits(min_gap=-0.1), "min_gap must be at least 0"),
        (lambda: Limits(pairs_per_prompt=0), "pairs_per_prompt must be at least 1"),
        (lambda: Pareto(second_metric=None), "needs second_metric"),
        (lambda: Limits(max_length_ratio=0.5), "max_length_ratio must be at least 1"),
        (lambda: Decoupled(aspect="colour"), "aspect = 'colour' is none of content, style"),
        (lambda: Decoupled(aspect="style", second_metric=None), "decoupled needs a second_metric"),
        (lambda: Decoupled(aspect="style", tolerance=-0.1), "tolerance must be at least 0"),
    ],
)
def test_rules_out_of_range_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
