"""The page: it holds the numbers, escapes what it is given, and is well-formed."""

import re
from dataclasses import asdict, replace
from html.parser import HTMLParser

import pytest

from lpo_tts.comparison.candidates import NOT_ASKED, JudgedCandidate, MetricRole
from lpo_tts.comparison.results import GroundTruth, PairSummary
from lpo_tts.comparison.summary import summarise
from lpo_tts.metrics.base import Judgement, scale_of
from lpo_tts.metrics.similarity import SpeakerSimilarity
from lpo_tts.metrics.wer import WordErrorRate
from lpo_tts.report.figures import curve
from lpo_tts.report.page import render
from lpo_tts.report.plots import histogram, interval_plot, line_plot, ticks

WER, SIMILARITY = asdict(scale_of(WordErrorRate)), asdict(scale_of(SpeakerSimilarity))

VOID = {"meta", "br"}  # SVG elements close themselves with "/>"
HOSTILE = '<script>alert("x")</script>&"\''


class Checker(HTMLParser):
    """Collects tags and text; fails on elements that are closed in the wrong order."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.text = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> closes <{self.open[-1]}>"
        self.open.pop()

    def handle_data(self, data):
        self.text.append(data)


def judged(system, prompt_id, errors, seed=0, audio="samples/a.wav", text="a b c d"):
    words = text.split()
    detail = {
        "reference": text,
        "hypothesis": " ".join(words[errors:]),
        "hits": 4 - errors,
        "substitutions": 0,
        "deletions": errors,
        "insertions": 0,
        "num_words": len(words),
    }
    judgements = {
        "wer": Judgement(value=errors / len(words), weight=len(words), detail=detail),
        "train": Judgement(value=errors / len(words), weight=len(words), detail=detail),
        "sim": Judgement(value=0.5 + 0.1 * errors),
    }
    tags = {"speaker": "held-out"}
    return JudgedCandidate(
        system=system, prompt_id=prompt_id, seed=seed, text=text, tags=tags, audio=audio, duration=1.5, judgements=judgements
    )


ROLES = [
    MetricRole(name="wer", role="judge", label="WER, Judge", **WER),
    MetricRole(name="train", role="training judge", label="WER, Trained", **WER),
    MetricRole(name="sim", role="judge", label="SIM-o", **SIMILARITY),
]


@pytest.fixture
def report():
    rows = [judged("base", f"p{k}", 2, seed) for k in range(6) for seed in (0, 1)]
    rows += [judged("aligned", f"p{k}", 1, seed, audio=f"samples/p{k}#1.wav") for k in range(6) for seed in (0, 1)]
    found = summarise(rows, ROLES, "base", num_resamples=100)
    training = [
        {"step": k, "loss": 1 / (k + 1), "chosen_log_ratio": 0.1 * k, "rejected_log_ratio": -0.2 * k, "margin": 0.3 * k}
        for k in range(5)
    ]
    pairs = PairSummary(
        counts={"train": 1843},
        dropped={"best-worst": {"gap too small": 77}, "not finished": 5},
        margins={"wer": (0.1, 0.2, 0.6)},
    )
    return replace(
        found,
        title="Mini report",
        floors=(GroundTruth(judge="Judge", metric="wer", condition="recordings", value=0.0123, count=40),),
        training={"aligned": tuple(training)},
        pairs={"aligned": pairs},
        steps=({"step": "sample", "seconds": 65.0}, {"step": "train", "seconds": 3725.0}),
        provenance={"versions": {"torch": "2.13"}, "seed": 7},
    )


def parsed(report, tmp_path):
    text = render(report, tmp_path / "report.html").read_text(encoding="utf-8")
    checker = Checker()
    checker.feed(text)
    checker.close()
    assert checker.open == []
    return text, checker, " ".join(" ".join(checker.text).split())


def test_page_holds_the_numbers(report, tmp_path):
    _, _, text = parsed(report, tmp_path)
    assert "aligned makes fewer word errors than base: WER 25.00 % against 50.00 %, −25.00 points [95 % interval −25.00," in text
    assert "p = 0.031 (exact paired permutation), by WER, Judge (held-out judge) on 6 prompts × 2 seeds. Caution: only 6" in text
    for expected in (
        "25.00 % [25.00, 25.00]",
        "1.23 %",
        "best-worst: gap too small",
        "1843",
        "1 min 05 s",
        "1 h 02 min",
        "speaker: held-out",
        "no sign of it",
    ):
        assert expected in text, expected


def test_worse_similarity_is_marked_worse_and_lower_wer_better(report, tmp_path):
    html, _, _ = parsed(report, tmp_path)
    assert '<span class="better">−25.00<small>' in html
    assert '<span class="worse">−0.100<small>' in html


def test_page_needs_nothing_from_outside(report, tmp_path):
    html, checker, _ = parsed(report, tmp_path)
    assert not re.search(r"https?://|@import|url\(", html)
    assert not [tag for tag, _ in checker.tags if tag in ("script", "link", "img", "iframe")]
    assert any(tag == "meta" and "width=device-width" in attributes.get("content", "") for tag, attributes in checker.tags)
    assert "prefers-color-scheme: dark" in html


def test_audio_is_addressed_relative_and_quoted(report, tmp_path):
    _, checker, _ = parsed(report, tmp_path)
    sources = {attributes["src"] for tag, attributes in checker.tags if tag == "audio"}
    assert "samples/a.wav" in sources
    assert "samples/p2%231.wav" in sources  # a bare "#" would end the path


def test_hostile_text_is_escaped_everywhere(tmp_path):
    roles = [MetricRole(name="wer", role="judge", label=HOSTILE, **WER)]
    rows = []
    for system, errors in ((HOSTILE, 1), ("b", 0)):
        one = judged(system, HOSTILE, errors, audio=f"javascript:{HOSTILE}", text=f"x {HOSTILE} y")
        object.__setattr__(one, "tags", {HOSTILE: HOSTILE})
        rows.append(one)
    report = summarise(rows, roles, HOSTILE, num_resamples=20)
    report = replace(
        report,
        title=HOSTILE,
        note=HOSTILE,
        floors=(GroundTruth(judge=HOSTILE, metric="wer", condition=HOSTILE, value=0.1, count=1),),
        steps=({"step": HOSTILE, "seconds": 1.0, HOSTILE: HOSTILE},),
        provenance={HOSTILE: {HOSTILE: HOSTILE}, "a": [HOSTILE]},
        pairs={
            HOSTILE: PairSummary(counts={HOSTILE: 1}, dropped={HOSTILE: {HOSTILE: 2}}, margins={HOSTILE: (1.0, 2.0)}),
            "b": PairSummary(counts={HOSTILE: 1}),
        },
    )
    html, checker, text = parsed(report, tmp_path)
    assert "<script" not in html
    assert not [tag for tag, _ in checker.tags if tag == "script"]
    assert not [name for _, attributes in checker.tags for name in attributes if name.startswith("on")]
    assert all(not attributes["src"].startswith("javascript:") for tag, attributes in checker.tags if tag == "audio")
    assert HOSTILE in text


def test_missing_answers_are_shown_not_hidden(tmp_path):
    rows = [judged("base", "p", 1), JudgedCandidate(system="new", prompt_id="p", seed=0, text="a b c d", missing=True)]
    _, _, text = parsed(summarise(rows, ROLES, "base", num_resamples=20), tmp_path)
    assert "100.00 %" in text
    assert "1 of 1 candidates of new is missing and counts as errors." in text


def test_a_report_of_one_system_without_extras(tmp_path):
    _, _, text = parsed(summarise([judged("only", "p", 1)], ROLES, num_resamples=20), tmp_path)
    assert "only: word error rate 25.00 % (no interval) by WER, Judge (held-out judge) on 1 prompt × 1 seed" in text
    assert "Caution: 1 prompt; below 5 no interval can be given" in text
    assert "Training" not in text


@pytest.mark.parametrize("average", ["corpus", "utterance"])
def test_below_five_prompts_the_page_shows_no_interval_and_no_colour(tmp_path, average):
    rows = [
        judged(system, f"p{k}", errors, seed) for system, errors in (("base", 3), ("new", 1)) for k in range(4) for seed in (0, 1)
    ]
    html, checker, text = parsed(summarise(rows, ROLES, "base", average=average, num_resamples=50), tmp_path)
    assert "new against base: too few prompts to tell a difference in" in text
    assert "−50.00 no interval" in text
    assert not {attributes.get("class") for tag, attributes in checker.tags if tag == "span"} & {"better", "worse"}
    assert 'class="whisker' not in html
    assert html.count('class="dot') == 4
    assert "too few prompts to tell" in text.partition("Did it please the judge, or get better?")[2]
    assert "[" not in text.partition("Listen")[0]


def test_a_group_of_few_prompts_has_no_colour_where_the_whole_has_one(tmp_path):
    rows = []
    for system, errors in (("base", 2), ("new", 1)):
        for k in range(12):
            one = judged(system, f"p{k}", errors)
            object.__setattr__(one, "tags", {"speaker": "rare" if k < 4 else "common"})
            rows.append(one)
    html, _, _ = parsed(summarise(rows, ROLES[:1], "base", num_resamples=50), tmp_path)
    rare = html.partition("speaker: rare")[2].partition("</table>")[0]
    assert "no interval" in rare
    assert "better" not in rare
    assert 'class="better"' in html.partition("speaker: common")[2].partition("speaker: rare")[0]


def test_answers_nobody_asked_about_are_not_called_unscorable(tmp_path):
    rows = [judged("base", f"p{k}", 1) for k in range(8)]
    for row in rows[3:]:
        row.judgements["sim"] = Judgement(value=None, detail={"reason": NOT_ASKED})
    rows[0].judgements["sim"] = Judgement(value=None, detail={"reason": "the audio is silent"})
    rows.append(JudgedCandidate(system="base", prompt_id="p8", seed=0, text="a b c d", missing=True))
    report = summarise(rows, ROLES, num_resamples=50)
    row = report.results["base"].metrics["sim"]
    assert [getattr(row, key) for key in ("asked", "evaluated", "missing", "unscorable", "not_asked")] == [9, 2, 1, 1, 5]
    html, _, text = parsed(report, tmp_path)
    assert "asked of 3 of 9 candidates" in text
    assert "<td>1 by SIM-o</td><td>5 by SIM-o</td>" in html


def test_steps_made_in_one_pass_count_once(report, tmp_path):
    steps = [
        {"step": "sample", "seconds": 60.0, "rows": 10},
        {"step": "score: a", "seconds": 100.0, "rows": 10, "pass": "x"},
        {"step": "score: b", "seconds": 101.0, "rows": 10, "pass": "x"},
        {"step": "judge: a", "seconds": 30.0, "rows": 10, "pass": "y"},
        {"step": "judge: b", "seconds": 30.0, "rows": None, "pass": "y"},
        {"step": "pair", "seconds": None, "rows": 5},
    ]
    html, _, text = parsed(replace(report, steps=tuple(steps)), tmp_path)
    assert "<strong>3 min 11 s</strong>" in html
    assert text.count("in the same pass") == 2
    assert "pass</th>" not in html


def test_a_judge_of_whom_nothing_is_said_is_called_by_its_label_alone(tmp_path):
    roles = [MetricRole(name="wer", role="unstated", label="WER, Judge", **WER)]
    _, _, text = parsed(summarise([judged("only", f"p{k}", 1) for k in range(40)], roles, num_resamples=20), tmp_path)
    assert "only: word error rate 25.00 % [25.00, 25.00] by WER, Judge on 40 prompts × 1 seed, missing audio counted." in text
    assert "held out" not in text
    assert "held-out judge" not in text
    assert "Caution" not in text


def test_ticks_are_round_and_cover():
    assert ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(-0.3, 11.7) == [-2.5, 0, 2.5, 5, 7.5, 10, 12.5]
    assert ticks(3, 3)[0] <= 3 < ticks(3, 3)[-1]


def test_plots_without_data_or_with_one_point():
    assert line_plot([], "t", "x") == ""
    assert line_plot([("a", [(0, float("nan"))])], "t", "x") == ""
    assert "polyline" in line_plot([("a", [(3, 2.0)])], "t", "x")
    assert histogram([], "t", "x") == ""
    assert "<rect" in histogram([0.0, 0.0], "t", "x")
    assert interval_plot([("j", [("s", 0.0, 0.0, 0.0, "0 %")])], "t").count("circle") == 1


def test_histogram_puts_every_value_into_a_bin():
    counts = [int(n) for n in re.findall(r"<title>[^<]*: (\d+)</title>", histogram([0.0, 0.5, 1.0, 1.0], "t", "x"))]
    assert sum(counts) == 4


def test_curves_are_found_under_the_trainers_names_and_dev_apart():
    rows = [
        {"step": 1, "log_ratios/chosen": 0.5, "rewards/chosen": 9.0},
        {"step": 1, "eval_log_ratios/chosen": 0.25},
        {"epoch": 1.0},
    ]
    assert curve(rows, "chosen") == [("chosen", [(1.0, 0.5)]), ("chosen dev", [(1.0, 0.25)])]
    assert curve(rows, "margin") == []
