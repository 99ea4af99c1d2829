"""Edges of the rules and of their shared limits, on tables worked out by hand."""

import math
import sys
from pathlib import Path

import pytest

from lpo_tts.errors import ConfigError
from lpo_tts.records import PreferencePair
from lpo_tts.rules.base import Scored
from lpo_tts.rules.best_worst import BestWorst
from lpo_tts.rules.ending import Ending
from lpo_tts.rules.ground_truth import GroundTruth
from lpo_tts.rules.inter_model import InterModel
from lpo_tts.rules.labelled import Labelled
from lpo_tts.rules.pareto import Pareto
from lpo_tts.rules.per_dimension import PerDimension
from lpo_tts.rules.percentile import Percentile
from lpo_tts.rules.perfect_wrong import PerfectWrong
from lpo_tts.rules.rank_sum import RankSum, rank_sums
from lpo_tts.rules.ranked import Ranked
from lpo_tts.rules.selection import Limits, select
from lpo_tts.rules.weighted import Weighted

sys.path.insert(0, str(Path(__file__).parent))
from tables import UP, candidate, chosen_by

WER = BestWorst(second_metric=None)


def rows(metrics, **candidates):
    """One row per candidate: its values in the order of `metrics`; None = not scored."""
    names = metrics.split()
    return [
        {"candidate": name} | {key: value for key, value in zip(names, values, strict=True) if value is not None}
        for name, values in candidates.items()
    ]


def kept(rule, table, **limits):
    found, dropped, _ = chosen_by(rule, Limits(**limits), table)
    return found, dropped


def margins(rule, table, **limits):
    _, _, found = chosen_by(rule, Limits(**limits), table)
    return [pair.margins for pair in found if isinstance(pair, PreferencePair)]


# The shared limits


@pytest.mark.parametrize("low", [0.0, 0.1, 0.3, 0.7])
def test_a_gap_of_exactly_six_points_is_kept(low):
    # 0.1 + 0.06 - 0.1 is 0.06 and 0.7 + 0.06 - 0.7 a little less, as floats; INTP keeps a gap of 6.0 points
    assert kept(WER, rows("wer", a=[low], b=[low + 0.06])) == (["a > b"], {})
    assert kept(WER, rows("wer", a=[low], b=[low + 0.0599])) == ([], {"gap below min_gap": 1})


def test_ties_are_no_pairs_whatever_the_gap():
    assert kept(WER, rows("wer", a=[0.2], b=[0.2]), min_gap=0.0) == ([], {"gap below min_gap": 1})


def test_floors_hold_in_the_direction_of_their_metric_and_for_the_chosen_alone():
    table = rows("wer similarity utmos", a=[0.02, 0.7, 3.5], b=[0.5, 0.1, 1.0])
    floors = {"wer": 0.02, "similarity": 0.7, "utmos": 3.5}
    assert kept(WER, table, floors=floors) == (["a > b"], {})
    for name, value in (("wer", 0.01), ("similarity", 0.71), ("utmos", 3.6)):
        assert kept(WER, table, floors=floors | {name: value}) == ([], {f"chosen worse than the floor of {name}": 1})
    table = rows("wer similarity", a=[0.0, None], b=[0.5, 0.9])
    assert kept(WER, table, floors={"similarity": 0.1}) == ([], {"chosen not scored by similarity": 1})


def test_a_rejected_one_may_have_to_be_bad_enough():
    table = rows("wer", a=[0.0], b=[0.3], c=[0.09])
    assert kept(WER, table, min_rejected=0.3) == (["a > b"], {})
    assert kept(WER, table, min_rejected=0.31) == ([], {"rejected below min_rejected": 1})


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (1.5, 19.0, (["a > b"], {})),  # 75 and 950 frames of 20 ms
        (1.48, 5.0, ([], {"shorter than min_duration": 1})),
        (5.0, 1.48, ([], {"shorter than min_duration": 1})),
        (19.02, 5.0, ([], {"longer than max_duration": 1})),
        (5.0, 19.02, ([], {"longer than max_duration": 1})),
    ],
)
def test_durations_hold_for_both_sides(a, b, expected):
    table = [{"candidate": "a", "wer": 0.0, "seconds": a}, {"candidate": "b", "wer": 0.5, "seconds": b}]
    assert kept(WER, table, min_duration=1.5, max_duration=19) == expected


def test_durations_without_a_frame_rate_are_refused():
    with pytest.raises(ConfigError, match="need the codec's frame rate"):
        select(WER, Limits(max_duration=1), [], {"wer": {}}, UP)


def test_a_prompt_may_have_to_be_scored_as_a_whole():
    table = rows("wer similarity", a=[0.0, 0.5], b=[0.5, 0.5], c=[None, 0.5])
    assert kept(BestWorst(), table) == (["a > b"], {"unscorable candidate": 1})
    expected = ([], {"unscorable candidate": 1, "prompt with an unscorable candidate": 1})
    assert kept(BestWorst(), table, all_scored=True) == expected
    table = rows("wer similarity", a=[0.0, 0.5], b=[0.5, None])
    assert kept(BestWorst(), table, all_scored=True) == ([], {"prompt with an unscorable candidate": 1})
    assert kept(WER, table, all_scored=True) == (["a > b"], {})  # this rule does not read the similarity


def test_a_candidate_stands_in_as_many_pairs_as_it_may():
    table = rows("cer similarity", a=[0.0, 0.9], b=[0.1, 0.8], c=[0.3, 0.4], d=[0.5, 0.3])
    rule = Pareto(metric="cer", crossed=True)
    every = ["a > d", "a > c", "b > d", "b > c"]
    assert kept(rule, table, min_gap=0, pairs_per_prompt=4, max_uses=2) == (every, {})
    used = ([every[0], every[3]], {"candidate used already": 2})
    assert kept(rule, table, min_gap=0, pairs_per_prompt=4) == used
    assert kept(rule, table, min_gap=0, pairs_per_prompt=3, max_uses=2) == (every[:3], {})


# Each rule


def test_best_worst_pairs_no_two_losers():
    # of three, the middle one is neither: the second best would meet the second worst, itself
    assert kept(WER, rows("wer", a=[0.0], b=[0.5], c=[1.0]), pairs_per_prompt=3) == (["a > c"], {})


def test_perfect_wrong_gives_each_chosen_one_rejected():
    # three perfect ones and two wrong ones: two pairs; the wrong ones do not come twice
    table = rows("wer similarity", a=[0.0, 0.9], b=[0.0, 0.8], c=[0.0, 0.7], d=[0.4, 0.9], e=[0.2, 0.9])
    assert kept(PerfectWrong(), table, pairs_per_prompt=9) == (["a > d", "b > e"], {})


@pytest.mark.parametrize(
    ("cer", "similarity", "expected"),
    [
        ((0.0, 0.2), (0.5, 0.5), (["a > b"], {})),
        ((0.1, 0.1), (0.6, 0.5), (["a > b"], {})),  # equal errors: likeness alone
        ((0.1, 0.1), (0.5, 0.5), ([], {"gap below min_gap": 1})),  # neither dominates, the sum is 0
        ((0.0, 0.2), (0.5, 0.6), ([], {"rejected is better in the second metric": 1})),  # though the sum is 0.1
    ],
)
def test_pareto_keeps_a_pair_that_is_worse_in_no_metric(cer, similarity, expected):
    table = rows("cer similarity", a=[cer[0], similarity[0]], b=[cer[1], similarity[1]])
    assert kept(Pareto(metric="cer"), table, min_gap=0) == expected


def test_pareto_orders_by_front_then_error_then_likeness():
    # Fronts: b and c beat each other in one metric; a is beaten by both; d by all. Order b, c, a, d.
    table = rows("cer similarity", a=[0.3, 0.4], b=[0.0, 0.5], c=[0.2, 0.6], d=[0.9, 0.1])
    assert kept(Pareto(metric="cer"), table, min_gap=0, pairs_per_prompt=2) == (
        ["b > d", "c > a"],  # 0.9 + 0.4; 0.1 + 0.2
        {},
    )
    assert margins(Pareto(metric="cer"), table, min_gap=0.31, pairs_per_prompt=2) == [
        pytest.approx({"cer": 0.9, "similarity": 0.4})
    ]


def test_pareto_without_a_second_value_measures_the_first_alone():
    table = rows("cer similarity", a=[0.0, 0.5], b=[0.2, None])
    assert kept(Pareto(metric="cer"), table, min_gap=0.2) == (["a > b"], {})
    assert kept(Pareto(metric="cer"), table, min_gap=0.21) == ([], {"gap below min_gap": 1})


@pytest.mark.parametrize(("count", "pairs"), [(1, 0), (2, 1), (9, 1), (10, 2), (14, 2), (15, 3)])
def test_percentile_takes_a_fifth_rounded_down_and_at_least_one(count, pairs):
    names = [chr(ord("a") + i) for i in range(count)]
    table = rows("wer", **{name: [i / 100] for i, name in enumerate(names)})
    found, dropped = kept(Percentile(), table, min_gap=0, pairs_per_prompt=99)
    assert found == [f"{names[i]} > {names[-1 - i]}" for i in range(pairs)]
    assert dropped == ({} if pairs else {"too few candidates for a share": 1})


def test_percentile_passes_over_what_cannot_be_chosen():
    table = [{"candidate": name, "wer": i / 10, "ended": "no" if name == "a" else "yes"} for i, name in enumerate("abcdefghij")]
    assert kept(Percentile(), table, pairs_per_prompt=2) == (["b > j"], {})
    assert kept(Percentile(share=0.1), table) == ([], {"no candidate good enough to be chosen": 1})


def test_ranks_of_ten_are_nought_to_nine_and_equal_ones_share_theirs():
    def one(name, error, likeness):
        return Scored(candidate(name), error, (likeness,))

    ten = [one(chr(ord("a") + i), i / 10, 0.5) for i in range(10)]
    # errors: 9, 8, ..., 0 points; likeness: all share (0 + ... + 9) / 10 = 4.5
    assert rank_sums(ten) == {chr(ord("a") + i): 9 - i + 4.5 for i in range(10)}
    # a and b share the two best ranks of errors (9 and 6 of 4 candidates: 7.5); d could not be scored by likeness: 0
    four = [one("a", 0.0, 0.9), one("b", 0.0, 0.8), one("c", 0.5, 0.7), one("d", 0.9, -math.inf)]
    assert rank_sums(four) == {"a": 16.5, "b": 13.5, "c": 6.0, "d": 0.0}


def test_rank_sum_measures_its_gap_in_points():
    table = rows("wer similarity", a=[0.0, 0.9], b=[0.1, 0.1])  # 9 + 9 against 0 + 0
    assert kept(RankSum(), table, min_gap=18) == (["a > b"], {})
    assert kept(RankSum(), table, min_gap=18.1) == ([], {"gap below min_gap": 1})
    table = rows("wer similarity", a=[0.0, 0.1], b=[0.1, 0.9])  # 9 + 0 against 0 + 9
    assert kept(RankSum(), table, min_gap=0) == ([], {"gap below min_gap": 1})


def test_weighted_drops_ties_and_may_choose_the_larger_error():
    rule = Weighted(weights={"wer": 1, "utmos": 3})
    table = rows("wer utmos", a=[0.0, 2.0], b=[0.2, 4.0])  # 1 + 0 against 0 + 3
    assert kept(rule, table, min_gap=2) == (["b > a"], {})
    assert margins(rule, table) == [pytest.approx({"wer": -0.2, "utmos": 2.0})]
    table = rows("wer utmos", a=[0.0, 2.0], b=[0.2, 4.0])
    assert kept(Weighted(weights={"wer": 1, "utmos": 1}), table, min_gap=0) == ([], {"gap below min_gap": 1})
    assert kept(rule, rows("wer utmos", a=[0.1, 3.0], b=[0.1, 3.0]), min_gap=0) == ([], {"gap below min_gap": 1})


def test_weighted_clips_and_switches_off():
    # Over the prompt 2.0 is the worst error, so b would have (2.0 - 1.0) / 2.0 = 0.5; clipped at 1.0 it has 0 like c.
    table = rows("mer utmos", a=[0.0, 3.0], b=[1.0, 3.0], c=[2.0, 4.0])
    plain = Weighted(weights={"mer": 1, "utmos": 0.4})  # a 1, b 0.5, c 0.4
    clipped = Weighted(weights={"mer": 1, "utmos": 0.4}, clip={"mer": 1.0})  # a 1, b 0, c 0.4
    off = Weighted(weights={"mer": 1, "utmos": 0})  # c is the worst by errors alone
    assert [kept(rule, table)[0] for rule in (plain, clipped, off)] == [["a > c"], ["a > b"], ["a > c"]]
    assert off.metrics == ("mer",)
    # a lower limit is what clips a metric of which more is better: b counts as 3.0, so only a's and c's errors differ
    low = Weighted(weights={"mer": 1, "utmos": 1}, ranges={"mer": (0, 1), "utmos": (1, 5)}, clip={"utmos": 3.0})
    table = rows("mer utmos", a=[0.0, 3.0], b=[0.1, 1.0], c=[0.5, 3.0])  # 1 + .5, .9 + .5, .5 + .5
    assert kept(low, table, min_gap=0.49) == (["a > c"], {})
    assert kept(low, table, min_gap=0.51) == ([], {"gap below min_gap": 1})


def test_weighted_ranges_are_fixed_and_clip_on_both_sides():
    rule = Weighted(weights={"cer": 1, "similarity": 1}, ranges={"cer": (0, 1), "similarity": (0, 1)})
    table = rows("cer similarity", a=[0.0, 1.2], b=[3.0, -0.4])  # 1 + 1 against 0 + 0
    assert kept(rule, table, min_gap=2) == (["a > b"], {})
    assert kept(rule, table, min_gap=2.01) == ([], {"gap below min_gap": 1})
    table = rows("cer similarity", a=[0.0, 0.9], b=[0.5, 0.8], c=[0.1, None])
    assert kept(rule, table) == (["a > b"], {"candidate not scored by every metric with a weight": 1})


def test_per_dimension_asks_every_chosen_one_for_no_error():
    rule = PerDimension(gaps={"cer": 0.05, "similarity": 0.1})
    table = rows("cer similarity", a=[0.1, 0.9], b=[0.2, 0.1])
    assert kept(rule, table, min_gap=0) == ([], {"no candidate good enough to be chosen": 1})
    # b has no error and the lowest similarity: it is chosen for its words alone
    table = rows("cer similarity", a=[0.1, 0.9], b=[0.0, 0.1])
    assert kept(rule, table, min_gap=0, pairs_per_prompt=2) == (["b > a"], {"gap in similarity below 0.1": 1})
    table = rows("cer similarity", a=[0.0, 0.9], b=[0.2, 0.1])  # the same pair twice
    expected = (["a > b"], {"found twice": 1})
    assert kept(rule, table, min_gap=0, pairs_per_prompt=2, max_uses=2) == expected
    table = rows("cer similarity", a=[0.0, None], b=[0.2, 0.1])
    expected = (["a > b"], {"no candidate to choose in similarity": 1})
    assert kept(rule, table, min_gap=0, pairs_per_prompt=2, max_uses=2) == expected


def ends(**kinds):
    """name=(kind, seconds after the last word, error, tokens, whether it ended by itself)."""
    return [
        {
            "candidate": name,
            "kind": kind,
            "ending": float(kind == "good"),
            "trailing": trailing,
            "wer": wer,
            "tokens": tokens,
            "ended": "yes" if ended else "no",
        }
        for name, (kind, trailing, wer, tokens, ended) in kinds.items()
    ]


MANY = {"pairs_per_prompt": 4, "max_uses": 4}


def test_an_answer_without_an_end_is_a_runaway_whatever_the_ear_says():
    table = ends(a=("good", 0, 0.0, 100, True), b=("good", 0, 0.0, 500, False))
    assert kept(Ending(), table, **MANY) == (["a > b"], {})
    assert kept(Ending(kinds=("silent",)), table, **MANY) == ([], {"no bad ending": 1})


def test_the_worst_of_every_kind_is_rejected_in_the_order_of_the_kinds():
    table = ends(
        a=("good", 0, 0.0, 100, True),
        b=("trailing_silence", 2.0, 0.0, 200, True),
        c=("trailing_silence", 3.0, 0.0, 190, True),
        d=("cut_off", 0, 0.2, 80, True),
        e=("cut_off", 0, 0.6, 60, True),
        f=("trailing_sound", 0.5, 0.3, 130, True),
    )
    assert kept(Ending(), table, **MANY) == (["a > f", "a > e", "a > c"], {})
    assert kept(Ending(kinds=("trailing_silence", "cut_off")), table, **MANY) == (["a > c", "a > e"], {})
    assert kept(Ending(), table) == (["a > f"], {})
    assert margins(Ending(), table) == [{"ending": 1.0, "wer": 0.3}]


def test_of_good_endings_the_one_is_chosen_whose_length_gives_least_away():
    # a short, b middling, c long: the cut-off d (70) meets a, the runaway e (300) meets c
    good = {"a": ("good", 0, 0.0, 90, True), "b": ("good", 0, 0.0, 110, True), "c": ("good", 0, 0.0, 130, True)}
    assert kept(Ending(), ends(**good, d=("cut_off", 0, 0.5, 70, True)), **MANY) == (["a > d"], {})
    assert kept(Ending(), ends(**good, e=("trailing_sound", 4, 0.5, 300, True)), **MANY) == (["c > e"], {})


def test_a_chosen_ending_says_the_text():
    table = ends(a=("good", 0, 0.1, 100, True), b=("cut_off", 0, 0.5, 60, True))
    assert kept(Ending(), table, **MANY) == ([], {"no good ending without errors": 1})
    assert kept(Ending(max_error=0.1), table, **MANY) == (["a > b"], {})
    unheard = [table[0] | {"kind": "good"}, table[1]]
    del unheard[0]["wer"]
    assert kept(Ending(max_error=9.0), unheard, **MANY) == ([], {"no good ending without errors": 1})


def test_an_ending_that_was_not_judged_is_neither_good_nor_bad():
    table = ends(a=("good", 0, 0.0, 100, True), b=("cut_off", 0, 0.5, 60, True), c=("good", 0, 0.0, 100, True))
    del table[1]["ending"]
    assert kept(Ending(), table, **MANY) == ([], {"unscorable candidate": 1, "no bad ending": 1})


def models(**candidates):
    return [{"candidate": name, "model": model, "wer": wer} for name, (model, wer) in candidates.items()]


def test_winners_of_two_models_meet_in_the_direction_of_the_metric():
    rule, every = InterModel(second_metric=None), {"pairs_per_prompt": 9, "max_uses": 2}
    two = models(a=("own", 0.3), b=("own", 0.5), c=("other", 0.0), d=("other", 1.0))
    # w: a, c; l: b, d. a > d 0.7, c > b 0.5, c > a 0.3; never b and d
    assert kept(rule, two, **every) == (["a > d", "c > b", "c > a"], {})
    # the other model's worst is better than our best: no pair prefers the worse one
    far = models(a=("own", 0.5), b=("own", 0.6), c=("other", 0.0), d=("other", 0.1))
    assert kept(rule, far, **every) == (["c > b", "c > a"], {"gap below min_gap": 1})
    # one candidate each: winners alone
    assert kept(rule, models(a=("own", 0.3), c=("other", 0.0)), **every) == (["c > a"], {})
    assert kept(rule, models(a=("own", 0.3), b=("own", 0.0)), **every) == ([], {"candidates of one model alone": 1})


def test_inter_model_may_pair_within_models_too():
    two = models(a=("own", 0.0), b=("own", 0.5), c=("other", 0.1), d=("other", 0.4))
    found, dropped = kept(InterModel(second_metric=None, within=True), two, pairs_per_prompt=9, max_uses=3)
    assert found == ["a > b", "c > d", "a > d", "c > b", "a > c"]
    assert dropped == {}


def test_a_model_whose_answers_do_not_end_can_only_lose():
    two = models(a=("own", 0.0), b=("own", 0.5), c=("other", 0.0), d=("other", 0.9))
    two = [row | {"ended": "no" if row["model"] == "other" else "yes"} for row in two]
    assert kept(InterModel(second_metric=None), two, pairs_per_prompt=9, max_uses=9) == (["a > d"], {})


def test_ground_truth_without_a_metric_rejects_every_sample_in_order():
    table = [{"candidate": "recording", "tokens": 4096}, *({"candidate": name, "tokens": 9000} for name in "cab")]
    rule = GroundTruth(metric=None, max_tokens=4097)
    assert rule.metrics == ()
    expected = ["recording > a", "recording > b", "recording > c"]
    assert kept(rule, table, pairs_per_prompt=3, min_gap=5.0) == (expected, {})
    assert margins(rule, table, pairs_per_prompt=3) == [{}, {}, {}]
    table[0] = {"candidate": "recording", "tokens": 4097}
    assert kept(rule, table, pairs_per_prompt=3) == ([], {"recording reaches max_tokens": 1})
    assert kept(rule, table[1:], pairs_per_prompt=3) == ([], {"prompt without a recording of its text": 1})


def test_floors_do_not_ask_for_scores_of_recordings():
    table = [{"candidate": "recording"}, *rows("wer similarity", a=[0.5, 0.2])]
    assert kept(GroundTruth(), table, floors={"utmos": 4.0}) == (["recording > a"], {})


def test_labels_know_floors_and_the_smallest_error_of_a_bad_one():
    table = rows("wer similarity utmos", a=[0.0, 0.9, 4.0], b=[0.0, 0.9, 2.0], c=[0.3, 0.9, 1.0], d=[0.9, 0.9, 1.0])
    found = kept(Labelled(), table, floors={"utmos": 3.0}, min_rejected=0.5, pairs_per_prompt=9)
    assert found == (["a +", "d -"], {"chosen worse than the floor of utmos": 1, "rejected below min_rejected": 1})


@pytest.mark.parametrize(("length", "expected"), [(2, "a > e"), (3, "a > c > e"), (4, "a > b > c > e"), (9, "a > b > c > d > e")])
def test_lists_are_thinned_evenly_with_both_ends(length, expected):
    table = rows("wer", a=[0.0], b=[0.1], c=[0.2], d=[0.3], e=[0.4])
    assert kept(Ranked(length=length), table) == ([expected], {})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Limits(min_duration=3, max_duration=2), "min_duration must be at most max_duration, found 3 and 2"),
        (lambda: Limits(floors={"wer": math.nan}), "floors.wer must be finite"),
        (lambda: Limits(max_uses=0), "max_uses must be at least 1"),
        (lambda: Percentile(share=0.6), "share must be above 0 and at most 0.5"),
        (lambda: RankSum(metrics=("wer",)), "at least two different names, found wer"),
        (lambda: RankSum(metrics=("wer", "wer")), "at least two different names"),
        (lambda: Weighted(weights={"wer": 0.0}), "at least one metric with a weight above 0"),
        (lambda: Weighted(weights={"wer": -1.0}), "weights.wer must be at least 0"),
        (lambda: Weighted(ranges={"wer": (1.0, 0.0)}), "ranges.wer: expected the lowest and the highest value"),
        (lambda: Weighted(clip={"mer": 1.0}), "clip: 'mer' has no weight"),
        (lambda: PerDimension(gaps={}), "gaps: expected at least one metric"),
        (lambda: Ending(kinds=("runaway", "good")), "kinds: expected some of runaway, trailing_silence, cut_off, silent"),
        (lambda: Ending(metric="utmos").check(UP), "expected an error as metric"),
        (lambda: Ranked(length=1), "length must be at least 2"),
        (lambda: GroundTruth(max_tokens=0), "max_tokens must be at least 1"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
