"""Pair rules on hand-made scores: who is chosen, who is dropped and why."""

import pytest

from lpo_tts.errors import ConfigError
from lpo_tts.ranking import PairRule, pairs_of_prompt
from lpo_tts.records import Candidate

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


def build(rule: PairRule, wer: list[float | None], similarity: list[float | None], unfinished=(), lengths=None, target=None):
    group = [candidate(i, finished=i not in unfinished, num_tokens=(lengths or {}).get(i, 10)) for i in range(len(wer))]
    scores = {
        "wer": {f"p#{i}": value for i, value in enumerate(wer)},
        "similarity": {f"p#{i}": value for i, value in enumerate(similarity)},
    }
    pairs, dropped = pairs_of_prompt(rule, group, scores, UP, target=target)
    return [(pair.chosen, pair.rejected) for pair in pairs], dropped, pairs


def test_best_and_worst_with_similarity_breaking_ties():
    found, _, pairs = build(PairRule(min_gap=0.1), [0.0, 0.5, 0.0, 0.5], [0.7, 0.9, 0.8, 0.6])
    assert found == [("p#2", "p#3")]
    assert pairs[0].margins == pytest.approx({"wer": 0.5, "similarity": 0.2})


def test_second_pairs_use_other_candidates_and_stop_at_the_gap():
    found, dropped, _ = build(PairRule(min_gap=0.2, pairs_per_prompt=3), [0.0, 0.1, 0.2, 0.5, 0.6, 0.3], [0.5] * 6)
    assert found == [("p#0", "p#4"), ("p#1", "p#3")]
    assert dropped["gap below min_gap"] == 1


def test_an_unfinished_candidate_may_be_rejected_never_chosen():
    found, _, _ = build(PairRule(min_gap=0.1), [0.0, 0.2, 1.0], [0.9, 0.5, 0.5], unfinished={0})
    assert found == [("p#1", "p#2")]
    found, _, _ = build(PairRule(min_gap=0.1), [0.0, 0.2, 1.0], [0.9, 0.5, 0.5], unfinished={2})
    assert found == [("p#0", "p#2")]
    found, dropped, _ = build(PairRule(), [0.0, 1.0], [0.9, 0.5], unfinished={0, 1})
    assert found == []
    assert dropped["no candidate good enough to be chosen"] == 1


def test_unscorable_is_neither_best_nor_worst_but_counted():
    found, dropped, _ = build(PairRule(min_gap=0.1), [None, 0.0, 0.4], [0.9, 0.9, 0.9])
    assert found == [("p#1", "p#2")]
    assert dropped["unscorable candidate"] == 1


def test_no_similarity_keeps_the_candidate_at_the_end_of_its_tie():
    found, _, pairs = build(PairRule(min_gap=0.1), [0.0, 0.0, 0.5], [None, 0.1, 0.5])
    assert found == [("p#1", "p#2")]
    found, _, pairs = build(PairRule(min_gap=0.1), [0.0, 0.5], [None, 0.1])
    assert pairs[0].margins == {"wer": 0.5}


def test_perfect_against_wrong():
    found, _, _ = build(PairRule(rule="perfect_wrong", min_gap=0.1, pairs_per_prompt=4), [0.0, 0.2, 0.0, 0.4, 0.6], [0.5] * 5)
    assert found == [("p#0", "p#4"), ("p#2", "p#3")]


def test_pareto_refuses_a_rejected_one_that_sounds_more_alike():
    rule = PairRule(rule="pareto", min_gap=0.1)
    found, _, _ = build(rule, [0.0, 0.5, 0.2], [0.9, 0.2, 0.5])
    assert found == [("p#0", "p#1")]
    found, dropped, _ = build(rule, [0.0, 0.5], [0.2, 0.9])
    assert found == []
    assert dropped["rejected is better in the second metric"] == 1


def test_floor_length_and_empty():
    found, dropped, _ = build(PairRule(max_chosen=0.05), [0.1, 0.6], [0.5, 0.5])
    assert (found, dropped["chosen above max_chosen"]) == ([], 1)
    found, dropped, _ = build(PairRule(max_length_ratio=2), [0.0, 0.6], [0.5, 0.5], lengths={1: 30})
    assert (found, dropped["rejected too long"]) == ([], 1)
    found, dropped, _ = build(PairRule(), [0.0, 1.0], [0.5, None], lengths={1: 0})
    assert (found, dropped["rejected is empty"]) == ([], 1)


def test_ground_truth_is_chosen_over_every_wrong_candidate():
    target = candidate(-1)
    target = Candidate(**{**vars(target), "id": "p#target"})
    found, _, _ = build(PairRule(rule="ground_truth", pairs_per_prompt=3), [0.0, 0.4, 0.2], [0.5] * 3, target=target)
    assert found == [("p#target", "p#1"), ("p#target", "p#2")]
    found, dropped, _ = build(PairRule(rule="ground_truth"), [0.4], [0.5])
    assert found == []
    assert dropped["prompt without a recording of its text"] == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rule": "best"}, "rule must be one of"),
        ({"min_gap": -0.1}, "min_gap must be at least 0"),
        ({"pairs_per_prompt": 0}, "pairs_per_prompt must be at least 1"),
        ({"rule": "pareto", "second_metric": None}, "needs second_metric"),
        ({"max_length_ratio": 0.5}, "max_length_ratio must be at least 1"),
    ],
)
def test_rules_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        PairRule(**settings)
