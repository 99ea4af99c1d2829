"""Figures of candidates: by hand, against numpy, and the differences on the same draws."""

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lpo_tts.comparison.candidates import JudgedCandidate, MetricRole
from lpo_tts.comparison.figures import FIGURES, figure_label, figure_scale, figures_of, main_figure
from lpo_tts.comparison.groups import num_words
from lpo_tts.comparison.summary import summarise
from lpo_tts.metrics.base import scale_of
from lpo_tts.metrics.wer import WordErrorRate
from lpo_tts.records import Judgement
from lpo_tts.statistics import bootstrap_mean, bootstrap_wer, paired_bootstrap_wer

WER = MetricRole(name="wer", role="judge", label="Judge", **asdict(scale_of(WordErrorRate)))
PLAIN = MetricRole(name="plain", role="judge", label="Plain", higher_is_better=True, short="SIM")
COUNTED = MetricRole(name="counted", role="judge", label="Counted", higher_is_better=True, missing=0.0, short="MOS")


def judged(system, prompt, seed=0, errors=(0, 0, 0), words=4, plain=None, missing=False, **other):
    detail = {"hypothesis": "x", "reference": "x"} | dict(zip(("substitutions", "deletions", "insertions"), errors, strict=True))
    judgements = {
        "wer": Judgement(value=sum(errors) / words, weight=words, detail=detail),
        "plain": Judgement(value=plain, detail={} if plain is not None else {"reason": "silent"}),
        "counted": Judgement(value=plain, detail={} if plain is not None else {"reason": "silent"}),
    }
    if missing:
        judgements = {"wer": Judgement(value=None, weight=words)}
    text = " ".join(["w"] * words)
    return JudgedCandidate(system=system, prompt_id=prompt, seed=seed, text=text, missing=missing, judgements=judgements, **other)


def estimates(report, system, metric):
    return {
        name: None if one is None else pytest.approx(one.estimate) for name, one in report.results[system].figures[metric].items()
    }


def test_figures_of_a_ratio_by_hand():
    rows = [
        judged("s", "p", errors=(1, 0, 2), words=4),  # 3 of 4
        judged("s", "q", errors=(0, 1, 0), words=8),  # 1 of 8
        judged("s", "r", errors=(0, 0, 0), words=2),
        judged("s", "t", words=6, missing=True),  # 6 of 6
    ]
    assert estimates(summarise(rows, [WER], num_resamples=40), "s", "wer") == {
        "corpus": 10 / 20,
        "corpus_evaluated": 4 / 14,
        "utterance": (3 / 4 + 1 / 8 + 0 + 1) / 4,
        "utterance_evaluated": (3 / 4 + 1 / 8) / 3,
        "median": 1 / 8,
        "p5": 0.0,
        "p95": 1.0,
        "bad_cases": 2 / 4,
        "perfect": 1 / 4,
        "substitutions": 1 / 14,
        "deletions": 1 / 14,
        "insertions": 2 / 14,
        "repeated": 0.0,
    }


def test_what_has_no_value_is_neither_zero_nor_one_unless_the_metric_says_so():
    rows = [
        judged("s", "p", plain=0.5),
        judged("s", "q", plain=None),
        judged("s", "r", missing=True),
        judged("s", "t", plain=0.7),
    ]
    report = summarise(rows, [PLAIN, COUNTED], num_resamples=40)
    assert estimates(report, "s", "plain") == {"mean": 0.6, "mean_evaluated": 0.6, "median": 0.5, "p5": 0.5, "p95": 0.7}
    assert estimates(report, "s", "counted") == {"mean": 0.3, "mean_evaluated": 0.6, "median": 0.0, "p5": 0.0, "p95": 0.7}
    assert report.results["s"].metrics["counted"].value("corpus").estimate == pytest.approx(0.3)
    nothing = summarise([judged("s", "p", plain=None)], [PLAIN], num_resamples=40)
    assert set(nothing.results["s"].figures["plain"].values()) == {None}


def test_where_a_metric_tells_no_edits_there_are_none():
    rows = [judged("s", "p", errors=(1, 0, 0))]
    for one in rows:
        one.judgements["wer"] = Judgement(value=0.25, weight=4)
    found = summarise(rows, [WER], num_resamples=40).results["s"].figures["wer"]
    assert {name for name, one in found.items() if one is None} == {"substitutions", "deletions", "insertions", "repeated"}


@given(seed=st.integers(0, 2**32 - 1), num_prompts=st.integers(5, 30), seeds=st.integers(1, 3))
@settings(max_examples=15, deadline=None)
def test_figures_and_intervals_are_those_of_the_plain_functions(seed, num_prompts, seeds):
    rng = np.random.default_rng(seed)
    rows = []
    words = rng.integers(1, 9, size=num_prompts)
    for system in ("base", "new"):
        for k in range(num_prompts):
            for number in range(seeds):
                errors = tuple(map(int, rng.integers(0, 3, size=3)))
                lost = bool(rng.random() < 0.1)
                rows.append(judged(system, f"p{k}", number, errors, int(words[k]), float(rng.normal()), lost))
    report = summarise(rows, [WER, PLAIN], "base", num_resamples=200, num_permutations=100)
    columns = {}
    for system in ("base", "new"):
        own = [one for one in rows if one.system == system]
        lengths = [one.judgements["wer"].weight for one in own]
        errors = [
            weight if one.missing else one.judgements["wer"].value * weight for one, weight in zip(own, lengths, strict=True)
        ]
        columns[system] = errors, lengths, [one.prompt_id for one in own]
        found = report.results[system].figures["wer"]
        expected = bootstrap_wer(*columns[system], num_resamples=200)
        assert (found["corpus"].low, found["corpus"].high) == (pytest.approx(expected.low), pytest.approx(expected.high))
        rates = np.array(errors) / lengths
        assert found["median"].estimate == pytest.approx(np.quantile(rates, 0.5, method="inverted_cdf"))
        expected = bootstrap_mean(rates, columns[system][2], num_resamples=200)
        assert (found["utterance"].low, found["utterance"].high) == (pytest.approx(expected.low), pytest.approx(expected.high))
    row = report.differences[0]
    old, new = columns["base"], columns["new"]
    expected = paired_bootstrap_wer(*old[:2], *new[:2], old[2], new[2], num_resamples=200)
    assert row.figures["corpus"] == row.difference
    assert row.difference.low == pytest.approx(expected.difference.low)
    assert row.difference.high == pytest.approx(expected.difference.high)
    for name, one in row.figures.items():
        if one is not None:
            values = [report.results[system].figures["wer"][name].estimate for system in ("base", "new")]
            # What was never heard in one system is left out of the other too, so only then do the two sides differ.
            if not name.endswith("evaluated") and not FIGURES[name].evaluated:
                assert one.estimate == pytest.approx(values[1] - values[0])


def test_the_mean_of_a_prompt_with_fewer_values_does_not_weigh_less_in_one_system():
    rows = [judged("base", "p", k, plain=0.1) for k in range(2)] + [judged("base", "q", k, plain=0.9) for k in range(2)]
    rows += [judged("new", "p", 0, plain=0.1), judged("new", "p", 1, plain=None)] + [
        judged("new", "q", k, plain=0.9) for k in (0, 1)
    ]
    report = summarise(rows, [PLAIN], "base", num_resamples=50)
    assert report.results["new"].figures["plain"]["mean"].estimate == pytest.approx((0.1 + 0.9 + 0.9) / 3)
    (row,) = report.differences
    assert (row.old, row.new, row.difference.estimate) == (0.5, 0.5, 0.0)
    assert row.figures["mean"] == row.difference


def test_length_against_recordings_and_rows_per_prompt():
    rows = [
        judged("s", "p", 0, errors=(1, 0, 0), duration=3.0, target_duration=2.0),
        judged("s", "p", 1, missing=True, target_duration=2.0),
        judged("s", "q", 0, words=2, duration=2.0, target_duration=2.0),
        judged("s", "q", 1, words=2, duration=2.5, target_duration=2.0),
        judged("s", "r", 0, words=9, duration=7.0),
        judged("s", "r", 1, words=9, duration=7.0),
    ]
    report = summarise(rows, [WER, PLAIN], num_resamples=50)
    assert report.results["s"].length_ratio.estimate == pytest.approx((3 + 2 + 2.5) / 6)
    assert [(row.prompt_id, row.num_words, row.missing["s"]) for row in report.prompts] == [("p", 4, 1), ("q", 2, 0), ("r", 9, 0)]
    assert report.prompts[0].values["s"] == {"wer": (1 + 4) / 8, "plain": None}
    assert summarise(rows[4:], [WER], num_resamples=50).results["s"].length_ratio is None


def test_names_labels_and_scales():
    assert figures_of(PLAIN) == ("mean", "mean_evaluated", "median", "p5", "p95")
    assert (main_figure(WER, "utterance"), main_figure(PLAIN, "utterance")) == ("utterance", "mean")
    assert figure_label(WER, "bad_cases") == "bad cases (WER above 50 %)"
    assert figure_label(WER, "perfect") == "perfect candidates (WER 0 %)"
    assert figure_label(WER, "deletions") == "deletions per word"
    assert figure_label(PLAIN, "p5") == "SIM, 5th percentile"
    assert figure_scale(WER, "median").text(0.125) == "12.50 %"
    assert figure_scale(PLAIN, "median").higher_is_better
    share = figure_scale(WER, "perfect")
    assert (share.text(0.5), share.higher_is_better, figure_scale(WER, "bad_cases").higher_is_better) == ("50.00 %", True, False)
    assert all(FIGURES[name].ratio or FIGURES[name].mean for name in FIGURES)


@pytest.mark.parametrize(
    ("text", "count"),
    [("One two - three.", 3), ("Über", 1), ("", 0), ("今天天气很好。", 6), ("我有 3 个 iPhone", 5), ("สวัสดี", 6)],
)
def test_length_of_a_text_is_its_words_or_where_there_are_no_spaces_its_characters(text, count):
    assert num_words(text) == count


def test_text_lengths_make_groups_where_there_are_prompts_enough():
    rows = [judged("s", f"p{k}", words=1 + k // 5) for k in range(15)]
    groups = [row for row in summarise(rows, [WER], num_resamples=50).groups if row.tag == "text length"]
    assert [(row.value, row.num_prompts) for row in groups] == [("1 word", 5), ("2 words", 5), ("3 words", 5)]
    assert not summarise(rows[:14], [WER], num_resamples=50).groups
    assert not summarise([judged("s", f"p{k}") for k in range(40)], [WER], num_resamples=50).groups
    tagged = [judged("s", f"p{k}", words=1 + k // 5, tags={"text length": "mine"}) for k in range(15)]
    assert [row.value for row in summarise(tagged, [WER], num_resamples=50).groups] == ["mine"]
