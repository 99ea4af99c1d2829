"""The verdict: what decides, and the one line that a person can quote."""

from dataclasses import asdict, replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lpo_tts.comparison.candidates import JudgedCandidate, MetricRole
from lpo_tts.comparison.figures import Average
from lpo_tts.comparison.significance import Evidence, bound_of, with_tests
from lpo_tts.comparison.summary import summarise
from lpo_tts.comparison.verdict import with_verdict
from lpo_tts.comparison.wording import listed, p_text, where_text
from lpo_tts.metrics.base import scale_of
from lpo_tts.metrics.similarity import SpeakerSimilarity
from lpo_tts.metrics.wer import WordErrorRate
from lpo_tts.records import Judgement
from lpo_tts.statistics import Equivalence, Interval, Permutation

WER = MetricRole(name="wer", role="judge", label="Judge", tested=True, **asdict(scale_of(WordErrorRate)))
VOICE = MetricRole(name="sim", role="judge", label="Voices", tested=True, margin=0.02, **asdict(scale_of(SpeakerSimilarity)))
OUTSIDE = replace(WER, name="other", role="outside", label="Other", tested=False)


def interval(estimate, low, high, num_clusters=40):
    return Interval(estimate=estimate, low=low, high=high, confidence=0.95, num_resamples=1000, num_clusters=num_clusters)


def word(metric, difference, p, above=None, below=None, num_prompts=40, others=()):
    """The verdict on one difference, beside others of these p-values in the tested family."""
    permutation = Permutation(p=p, exact=False, num_permutations=1000)
    equivalence = None if above is None else Equivalence(interval=difference, above_p=above, below_p=below)
    one = Evidence(metric, difference, permutation, equivalence, 0.1, num_prompts)
    row = summarise(
        [candidate(system, f"p{k}", 0) for system in ("a", "b") for k in range(2)], [WER], "a", num_resamples=40
    ).differences[0]
    more = [(row, replace(one, permutation=replace(permutation, p=other))) for other in others]
    return with_tests([(row, one), *more], 0.95)[0].test


def candidate(system, prompt, errors, words=4, seed=0, sim=0.5, missing=False):
    judgements = {
        "wer": Judgement(value=errors / words, weight=words),
        "other": Judgement(value=errors / words, weight=words),
        "sim": Judgement(value=sim),
    }
    text = " ".join(["w"] * words)
    return JudgedCandidate(
        system=system, prompt_id=prompt, seed=seed, text=text, missing=missing, judgements={} if missing else judgements
    )


def test_test_and_interval_must_both_say_so():
    assert word(WER, interval(-0.05, -0.07, -0.03), 0.01).verdict == "better"
    assert word(WER, interval(0.05, 0.03, 0.07), 0.01).verdict == "worse"
    assert word(WER, interval(-0.05, -0.07, -0.03), 0.06).verdict == "no difference shown"
    assert word(WER, interval(-0.05, -0.11, 0.01), 0.04).verdict == "no difference shown"
    assert word(replace(WER, graded=False), interval(0.05, 0.03, 0.07), 0.01).verdict == "different"


def test_holm_decides_for_the_tested_figures_alone():
    better = interval(-0.05, -0.07, -0.03)
    found = word(WER, better, 0.03, others=(0.9,))
    assert (found.verdict, found.holm_p, found.permutation_p) == ("no difference shown", 0.06, 0.03)
    assert word(WER, better, 0.03, others=(0.02,)).verdict == "better"  # 0.02 x 2 and then 0.03 x 1, but at least 0.04
    found = word(replace(WER, tested=False), better, 0.03, others=(0.9, 0.9))
    assert (found.verdict, found.holm_p) == ("better", None)


def test_the_margin_says_which_differences_are_too_small_to_matter():
    assert word(VOICE, interval(-0.004, -0.012, 0.004), 0.4, 0.001, 0.001).verdict == "equivalent"
    assert word(VOICE, interval(0.012, -0.004, 0.028), 0.2, 0.001, 0.2).verdict == "not worse"
    assert word(VOICE, interval(-0.012, -0.028, 0.004), 0.2, 0.2, 0.001).verdict == "no difference shown"
    # A certain but small drop is equivalent by the margin; a certain rise is better, be it as small.
    assert word(VOICE, interval(-0.004, -0.006, -0.002), 0.001, 0.001, 0.001).verdict == "equivalent"
    assert word(VOICE, interval(0.004, 0.002, 0.006), 0.001, 0.001, 0.001).verdict == "better"
    assert word(VOICE, interval(-0.05, -0.07, -0.03), 0.001, 0.9, 0.001).verdict == "worse"
    # Where less is better, the bad side is the other one.
    less = replace(VOICE, higher_is_better=False)
    found = word(less, interval(0.012, -0.004, 0.028), 0.2, 0.001, 0.2)
    assert (found.verdict, found.not_worse_p) == ("no difference shown", 0.2)


@pytest.mark.parametrize(("num_prompts", "expected"), [(5, "too few prompts"), (6, "better")])
def test_five_prompts_can_show_nothing_since_the_least_p_is_a_sixteenth(num_prompts, expected):
    rows = [candidate(system, f"p{k}", errors) for system, errors in (("a", 2), ("b", 1)) for k in range(num_prompts)]
    test = summarise(rows, [WER], "a", num_resamples=100).differences[0].test
    assert (test.permutation_p, test.exact, test.verdict) == (2 / 2**num_prompts, True, expected)


def test_with_so_many_tested_figures_that_no_p_could_be_small_enough_there_are_too_few_prompts():
    """All six prompts wrong against all right: p is 2 / 2^6 at best, and twice that after Holm over two figures."""
    rows = [candidate(system, f"p{k}", errors) for system, errors in (("a", 4), ("b", 0)) for k in range(6)]
    alone, (both, _) = (
        summarise(rows, roles, "a", num_resamples=100).differences for roles in ([WER], [WER, replace(OUTSIDE, tested=True)])
    )
    assert [alone[0].test.verdict, both.test.verdict] == ["better", "too few prompts"]
    assert both.test.holm_p == 2 / 32
    assert word(WER, interval(-0.05, -0.11, 0.01), 0.04, num_prompts=6, others=(0.9,)).verdict == "too few prompts"
    assert word(WER, interval(-0.05, -0.11, 0.01), 0.04, num_prompts=7, others=(0.9,)).verdict == "no difference shown"
    # The margin needs no permutations.
    assert word(VOICE, interval(0, -0.001, 0.001), 0.9, 0.01, 0.01, num_prompts=6, others=(0.9,)).verdict == "equivalent"


def test_without_an_interval_the_test_alone_decides():
    """Forty prompts that all gain the same say so, though nothing can be drawn from them."""
    (row,) = summarise(pairs([-1] * 40), [WER], "base", num_resamples=100).differences
    assert (row.difference.estimate, row.difference.low, row.test.verdict) == (-0.25, None, "better")
    (row,) = summarise(pairs([0] * 40), [WER], "base", num_resamples=100).differences
    assert (row.difference.low, row.test.verdict) == (None, "no difference shown")


def failing(num_prompts, failed=()):
    """Systems that make no error, but for prompts that the new one fails wholly."""
    rows = [candidate("base", f"p{k}", 0) for k in range(num_prompts)]
    return rows + [candidate("new", f"p{k}", 4 if k in failed else 0) for k in range(num_prompts)]


@pytest.mark.parametrize(
    ("num_prompts", "expected"), [(6, "no difference shown"), (180, "no difference shown"), (700, "equivalent")]
)
def test_prompts_without_an_error_are_equivalent_where_failures_as_rare_as_the_margin_would_be_seen(num_prompts, expected):
    """By the rule of three, 600 prompts: 0.995^598 = 0.05."""
    report = summarise(failing(num_prompts), [replace(WER, margin=0.005)], "base", num_resamples=1000)
    test = report.differences[0].test
    assert test.verdict == expected
    assert test.equivalence_p == pytest.approx(0.995**num_prompts, abs=0.05)
    assert test.equivalence.high == pytest.approx(1 - 0.05 ** (1 / num_prompts), rel=0.1)


def test_what_a_prompt_can_lose_is_what_its_metric_says_and_no_less_than_was_seen():
    def table(*values):
        return np.array([[value, 1.0] for value in values])

    assert bound_of(WER, table(0.0, 0.1), table(0.1, 0.0)) == 1.0
    assert bound_of(WER, table(0.0, 0.1), table(3.0, 0.0)) == 3.0
    assert bound_of(VOICE, table(0.7, 0.5), table(0.7, 0.6)) == pytest.approx(0.65), "from 0 to the farther mean"
    unknown = MetricRole(name="rate", role="judge", label="Rate", higher_is_better=True)
    assert bound_of(unknown, table(3.0, 4.0), table(3.5, 4.5)) == 1.5, "the range of what was seen"
    assert bound_of(unknown, table(3.0, 3.0), table(3.0, 3.0)) == 0
    assert bound_of(replace(unknown, missing=1.0), table(3.0, 4.0), table(3.5, 4.5)) == 3.0
    rows = [candidate(system, f"p{k}", 0) for system in ("a", "b") for k in range(40)]
    silent = replace(unknown, name="sim", margin=0.1)
    assert summarise(rows, [silent], "a", num_resamples=100).differences[0].test.equivalence_p is None


@pytest.mark.parametrize(
    ("failed", "margin", "claim"),
    [
        ((), 0.05, "b against a: equivalent in WER by a margin of 5 points, "),
        (range(5), 0.03, "b is not worse than a by a margin of 3 points: WER "),
    ],
)
def test_the_p_beside_a_word_is_that_of_the_test_behind_it(failed, margin, claim):
    rows = [candidate("a", f"p{k}", 4 if k in failed else 0) for k in range(200)]
    rows += [candidate("b", f"p{k}", 0) for k in range(200)]
    report = summarise(rows, [replace(WER, margin=margin), VOICE], "a", num_resamples=2000)
    test = report.differences[0].test
    p = test.equivalence_p if test.verdict == "equivalent" else test.not_worse_p
    assert report.verdict.startswith(claim)
    assert p < 0.05
    assert f", TOST {p_text(p)}, by Judge" in report.verdict
    assert p_text(test.permutation_p) not in report.verdict
    assert "permutation" not in report.verdict


def test_without_a_correction_the_line_says_so():
    role = replace(WER, tested=False)
    report = summarise(pairs([-1] * 30 + [0, 1] * 5), [role, replace(OUTSIDE, margin=0.005)], "base", num_resamples=200)
    assert "p < 0.001 (paired permutation, uncorrected), by Judge" in report.verdict
    assert "better in WER by Other (−15.62 points [" in report.verdict
    assert report.verdict.endswith(", p < 0.001, uncorrected).")


def pairs(changes, **other):
    """Candidates of base with one error and of new with a change to that."""
    rows = []
    for k, change in enumerate(changes):
        rows.append(candidate("base", f"p{k}", 1))
        rows.append(candidate("new", f"p{k}", 1 + change, **other))
    return rows


def given_up():
    """Forty prompts: base makes an error in each; new makes none, but says nothing in twelve of them."""
    rows = pairs([-1] * 28)
    for k in range(28, 40):
        rows += [candidate("base", f"p{k}", 1), candidate("new", f"p{k}", 0, missing=True)]
    return rows


@pytest.mark.parametrize("which", ["corpus", "utterance"])
def test_verdict_and_all_tests_speak_of_the_average_that_is_asked_for(which):
    """By hand: new has 0 of 112 words wrong where it speaks, and 48 of 160 with what is missing; base has 40 of 160."""
    role = replace(WER, margin=0.005)
    counted = summarise(given_up(), [role], "base", average=which, num_resamples=500, num_permutations=2000)
    left_out = summarise(given_up(), [role], "base", average=f"{which}_evaluated", num_resamples=500, num_permutations=2000)
    (one,), (other,) = counted.differences, left_out.differences
    assert (one.old, one.new, one.num_prompts) == (pytest.approx(0.25), pytest.approx(0.30), 40)
    assert (other.old, other.new, other.num_prompts) == (0.25, 0, 28)
    assert (one.prompts_better, one.prompts_worse, other.prompts_better, other.prompts_worse) == (28, 12, 28, 0)
    assert other.test.verdict == "better"
    assert other.test.permutation_p < 0.001
    assert other.test.holm_p == other.test.permutation_p
    assert other.test.detectable is None  # all prompts that are left say the same: there is no spread to go by
    assert one.test.verdict == "no difference shown"
    assert one.test.permutation_p > 0.3
    assert one.test.detectable > 0.1
    assert one.figures == other.figures, "both stand in either report"
    assert other.figures[f"{which}_evaluated"] == other.difference


def test_the_two_averages_may_give_opposite_verdicts():
    rows = given_up()
    for k in range(40, 48):  # base is faultless here, and new is silent
        rows += [candidate("base", f"p{k}", 0), candidate("new", f"p{k}", 0, missing=True)]
    settings = {"num_resamples": 500, "num_permutations": 2000}
    counted = summarise(rows, [WER], "base", average="utterance", **settings)
    left_out = summarise(rows, [WER], "base", average="utterance_evaluated", **settings)
    assert [one.differences[0].test.verdict for one in (counted, left_out)] == ["worse", "better"]
    assert counted.verdict.startswith("new makes more word errors than base: mean utterance WER 41.67 % against 20.83 %, ")
    assert (
        "on 48 prompts × 1 seed. 20 of 48 candidates of new are missing and count as errors; without them the" in counted.verdict
    )
    assert "the difference is −25.00 points (no interval)." in counted.verdict
    assert left_out.verdict.startswith("new makes fewer word errors than base: mean utterance WER 0.00 % against 25.00 %, ")
    assert "on 28 prompts × 1 seed. 20 of 48 candidates of new are missing and left out; if they count as" in left_out.verdict
    assert "as errors the difference is +20.83 points [" in left_out.verdict


def test_what_is_left_out_is_said_of_each_system_and_of_one_alone():
    rows = given_up()
    third = [replace(one, system="third") for one in rows if one.system == "new"][:-1]
    rows += [*third, candidate("third", "p39", 1)]
    left_out = summarise(rows, [WER], "base", average="corpus_evaluated", num_resamples=50)
    assert "12 of 40 candidates of new and 11 of 40 candidates of third are missing and left out." in left_out.verdict
    alone = summarise([one for one in rows if one.system == "new"], [WER], average="corpus_evaluated", num_resamples=50)
    assert alone.verdict == (
        "new: word error rate 0.00 % (no interval) by Judge (held-out judge) on 28 prompts × 1 seed, missing audio left out. "
        "12 of 40 candidates of new are missing and left out. Caution: all 28 prompts say the same, so no interval can be given."
    )


def test_a_system_that_is_silent_throughout_has_no_verdict_where_missing_is_left_out():
    rows = [candidate(system, f"p{k}", 0, missing=system == "new") for system in ("base", "new") for k in range(8)]
    assert summarise(rows, [WER], "base", average="utterance_evaluated", num_resamples=50).verdict == (
        "new and base have no prompt in common that Judge could judge, of 8 prompts × 1 seed. "
        "8 of 8 candidates of new are missing and left out."
    )
    assert summarise(rows, [WER], "base", average="utterance", num_resamples=50).differences[0].test.verdict == "worse"


def test_a_system_that_left_out_seeds_is_tested_by_what_one_candidate_adds():
    """In every prompt two of three seeds of new are missing: what is left is as good as base, so nothing is shown."""
    rows = [candidate("base", f"p{k}", k % 3, seed=seed) for k in range(12) for seed in range(3)]
    rows += [candidate("new", f"p{k}", k % 3, seed=seed, missing=seed > 0) for k in range(12) for seed in range(3)]
    (row,) = summarise(rows, [WER], "base", average="corpus_evaluated", num_resamples=50).differences
    assert (row.difference.estimate, row.test.permutation_p) == (0, 1)


def test_a_gain_in_one_sentence():
    roles = [WER, replace(VOICE, margin=0.05), OUTSIDE]
    report = summarise(pairs([-1] * 30 + [0, 1] * 5), roles, "base", num_resamples=1000)
    assert report.headline == (report.verdict,)
    assert report.verdict.startswith(
        "new makes fewer word errors than base: WER 9.38 % against 25.00 %, −15.62 points [95 % interval −21.25, "
    )
    assert (
        "], p < 0.001 (paired permutation, Holm over 2 figures), by Judge (held-out judge) on 40 prompts × 1 seed; "
        in report.verdict
    )
    p = report.differences[1].test.equivalence_p
    assert 0.9**40 < p < 0.05, "that a prompt fails is bounded by the number of prompts: (1 - 0.05 / 0.5) ** 40 = 0.015"
    assert report.verdict.endswith(f"equivalent in {VOICE.short} (0.000 (no interval), margin 0.05, TOST p = {p:.3f}).")


def test_no_difference_shown_says_what_it_would_take():
    rows = pairs([-1, 1] * 20 + [-1])
    (sentence,) = summarise(rows, [WER], "base", num_resamples=1000).headline
    assert sentence.startswith("new against base: no difference shown in WER, 24.39 % against 25.00 %, −0.61 points [95 % ")
    assert "p = 1.000 (paired permutation), by Judge" in sentence
    # One error of 4 words more or less: spread 0.25, and (1.96 + 0.84)² (0.25 / 0.005)² = 19,600.
    assert sentence.endswith("on 41 prompts × 1 seed; about 20,000 prompts would be needed to show 0.5 points.")


def test_prompts_that_would_have_shown_it_say_how_small_a_difference():
    rows = pairs([0] * 3000 + [1, -1])
    (sentence,) = summarise(rows, [WER], "base", num_resamples=200).headline
    assert "no difference shown in WER" in sentence
    assert sentence.endswith(
        "these prompts would show a difference of 0.033 points with 80 % power. "
        "Caution: only 2 of 3002 prompts differ; the interval of so few is too narrow."
    )


def test_missing_candidates_that_count_are_told_with_what_is_left_without_them():
    rows = [*pairs([0] * 38), candidate("base", "x", 0), candidate("new", "x", 0, missing=True)]
    rows += [candidate("base", "y", 0), candidate("new", "y", 0)]
    (sentence,) = summarise(rows, [WER], "base", num_resamples=500).headline
    assert "1 of 40 candidates of new is missing and counts as errors; without it the difference is 0.00 points" in sentence
    alone = summarise([one for one in rows if one.system == "new"], [WER], num_resamples=500).verdict
    assert alone.startswith("new: word error rate 26.25 % [")
    assert alone.endswith("missing audio counted. 1 of 40 candidates of new is missing and counts as errors.")


def test_several_systems_have_a_sentence_each_and_share_the_correction():
    rows = [replace(one, system="third") if one.system == "new" else one for one in pairs([0] * 40)]
    rows += [one for one in pairs([-1] * 40) if one.system == "new"]
    report = summarise(rows, [WER], "base", num_resamples=200)
    assert [one.split()[0] for one in report.headline] == ["third", "new"]
    assert all("Holm over 2 figures" in one for one in report.headline)
    assert report.verdict.startswith(
        "third against base: no difference shown in WER, 25.00 % against 25.00 %, 0.00 points (no interval)"
    )
    assert (
        ", p = 1.000; new makes fewer word errors than base: WER 0.00 % against 25.00 %, −25.00 points (no interval)"
        in report.verdict
    )
    assert report.verdict.endswith(
        "), p < 0.001 (paired permutation, Holm over 2 figures), by Judge (held-out judge) on 40 prompts × 1 seed. "
        "Caution: all 40 prompts say the same, so no interval can be given."
    )
    alone = summarise(rows, [WER], num_resamples=200)
    assert len(alone.headline) == 3
    assert alone.verdict == (
        "WER: base 25.00 % (no interval); third 25.00 % (no interval); new 0.00 % (no interval), "
        "by Judge (held-out judge) on 40 prompts × 1 seed."
    )


def test_a_judge_that_took_part_in_the_training_is_said_to_have():
    report = summarise(pairs([-1] * 39 + [0]), [WER], "base", num_resamples=200)
    found = with_verdict(replace(report, trained_judges={"wer": "ranked the pairs"}))
    assert found.verdict == report.verdict + " Caution: the judge took part in the training (ranked the pairs)."
    assert with_verdict(report) == report


def test_without_a_ratio_the_first_held_out_metric_speaks():
    rows = [candidate(system, f"p{k}", 0, sim=sim) for system, sim in (("base", 0.5), ("new", 0.6)) for k in range(40)]
    sentence = summarise(rows, [replace(VOICE, name="sim")], "base", num_resamples=100).verdict
    assert sentence.startswith(
        "new has a higher speaker similarity than base: 0.600 against 0.500, +0.100 (no interval), p < 0.001 "
    )


def test_with_different_numbers_of_seeds_difficulty_of_prompts_does_not_hide_a_gain():
    rows = []
    for k in range(30):
        rows += [candidate("base", f"p{k}", 2 + k % 2 * 6, words=12, seed=seed) for seed in range(3)]
        rows += [candidate("new", f"p{k}", 1 + k % 2 * 6, words=12)]
    report = summarise(rows, [WER], "base", num_resamples=200, num_permutations=999)
    assert report.differences[0].test.permutation_p == 1 / 1000


@given(seed=st.integers(0, 2**32 - 1), average=st.sampled_from(get_args(Average)))
@settings(max_examples=10, deadline=None)
def test_compared_the_other_way_round_everything_is_mirrored(seed, average):
    rng = np.random.default_rng(seed)
    rows = [
        candidate(system, f"p{k}", int(rng.binomial(4, rate)), seed=number, sim=float(rng.normal()), missing=rng.random() < 0.05)
        for system, rate in (("a", 0.15), ("b", 0.35))
        for k in range(25)
        for number in range(2)
    ]
    there, back = (
        summarise(rows, [WER, VOICE], base, average=average, num_resamples=300, num_permutations=300).differences
        for base in ("a", "b")
    )
    opposite = {"better": "worse", "worse": "better"}
    for one, other in zip(there, back, strict=True):
        assert one.difference.estimate == pytest.approx(-other.difference.estimate)
        assert one.test.permutation_p == other.test.permutation_p
        assert one.test.equivalence_p == other.test.equivalence_p
        if one.test.verdict in opposite:  # what is not worse one way may be worse the other way
            assert other.test.verdict == opposite[one.test.verdict]
        for name, figure in one.figures.items():
            assert (figure is None) == (other.figures[name] is None)
            assert figure is None or figure.estimate == pytest.approx(-other.figures[name].estimate)


def test_all_who_lack_audio_are_named_in_the_line_of_several_systems():
    rows = [
        candidate(system, f"p{k}", 0, missing=system != "base" and k == 0) for system in ("base", "x", "y") for k in range(20)
    ]
    verdict = summarise(rows, [WER], "base", num_resamples=50).verdict
    assert "1 of 20 candidates of x and 1 of 20 candidates of y are missing and count as errors. Caution: " in verdict


def test_the_line_of_several_systems_says_once_what_that_of_one_does():
    rows = pairs([-1, 1] * 10)
    rows += [replace(one, system="third") for one in rows if one.system == "new" and one.prompt_id != "p0"]
    report = summarise(rows, [WER, replace(VOICE, margin=0.2)], "base", num_resamples=1000)
    assert report.verdict.count("prompts would be needed to show 0.5 points between ") == 1
    most = max((row for row in report.differences if row.metric == "wer"), key=lambda row: row.test.prompts_needed)
    assert f"needed to show 0.5 points between {most.system} and base." in report.verdict
    assert "Beside it, new: equivalent in SIM-o (0.000 (no interval), margin 0.2, TOST p" in report.verdict
    assert "Beside it, third: equivalent in SIM-o (" in report.verdict
    assert report.verdict.count("Caution: only 20 prompts; below 30 an interval is itself uncertain.") == 1


def test_other_numbers_of_seeds_are_named_for_each_system():
    rows = [candidate("base", f"p{k}", k % 3, seed=seed) for k in range(24) for seed in range(2)]
    rows += [candidate("one", f"p{k}", k % 2) for k in range(24)]
    rows += [candidate("two", f"p{k}", k % 2, seed=seed) for k in range(24) for seed in range(2)]
    report = summarise(rows, [WER], "base", num_resamples=200)
    assert " on 24 prompts × 2 seeds of base and 1 seed of one" in report.headline[0]
    assert " on 24 prompts × 2 seeds" in report.headline[1]
    assert "seeds of" not in report.headline[1]
    assert " on 24 prompts × 2 seeds of base and two and 1 seed of one" in report.verdict
    assert where_text(1, {"a": 1, "b": 1}) == "1 prompt × 1 seed"


def test_a_difference_that_few_prompts_make_says_so():
    (sentence,) = summarise(failing(180, (3, 5)), [WER], "base", num_resamples=200).headline
    assert sentence.endswith("Caution: only 2 of 180 prompts differ; the interval of so few is too narrow.")
    (sentence,) = summarise(failing(180, range(5)), [WER], "base", num_resamples=200).headline
    assert "Caution" not in sentence


def test_names_in_a_sentence():
    assert [listed(names) for names in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]
