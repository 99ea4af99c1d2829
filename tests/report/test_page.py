"""The page: it holds the numbers, escapes what it is given, and is well-formed."""

import base64
import hashlib
import json
import re
from dataclasses import replace

import pytest

from lpo_tts.comparison.candidates import NOT_ASKED, JudgedCandidate, MetricRole
from lpo_tts.comparison.results import GroundTruth, PairSummary
from lpo_tts.comparison.summary import summarise
from lpo_tts.metrics.base import Judgement
from lpo_tts.report.markdown import markdown
from tests.report.pages import HOSTILE, ROLES, WER, judged, parsed, small_report, write_tone


@pytest.fixture
def report():
    return small_report()


def test_page_holds_the_numbers(report, tmp_path):
    _, _, text = parsed(report, tmp_path)
    assert "aligned makes fewer word errors than base: WER 25.00 % against 50.00 %, −25.00 points [95 % interval −37.50," in text
    assert (
        "p = 0.031 (exact paired permutation, uncorrected), by WER, Judge (held-out judge) on 6 prompts × 2 seeds. Caution"
        in text
    )
    for expected in (
        "25.00 % [14.58, 33.33]",
        "1.23 %",
        "best-worst: gap too small",
        "1843",
        "1 min 05 s",
        "1 h 02 min",
        "speaker: held-out",
        "no sign of it",
    ):
        assert expected in text, expected


def test_the_real_time_factor_stands_among_the_audio_of_systems_that_somebody_timed(report, tmp_path):
    assert "real-time factor" not in parsed(report, tmp_path)[2]
    html, _, _ = parsed(replace(report, real_time_factors={"aligned": 0.254}), tmp_path)
    assert "<td>–</td><td>0.25</td>" in html.partition("real-time factor")[2].partition("</tr>")[0]


def test_worse_similarity_is_marked_worse_and_lower_wer_better(report, tmp_path):
    html, _, _ = parsed(report, tmp_path)
    assert '<span class="better">−25.00<small>' in html
    assert '<span class="worse">−0.100<small>' in html


def test_page_needs_nothing_from_outside(report, tmp_path):
    html, checker, _ = parsed(report, tmp_path)
    assert not re.search(r"https?://|@import|url\(", html)
    assert not [tag for tag, _ in checker.tags if tag in ("link", "img", "iframe")]
    assert not [attributes for tag, attributes in checker.tags if tag == "script" and "src" in attributes]
    assert any(tag == "meta" and "width=device-width" in attributes.get("content", "") for tag, attributes in checker.tags)
    assert "prefers-color-scheme: dark" in html


def test_no_script_and_no_style_but_the_pages_own_may_run(report, tmp_path):
    _, checker, _ = parsed(report, tmp_path)
    policy = next(a["content"] for tag, a in checker.tags if a.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    hashes = {tag: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for tag, text in checker.silent}
    assert rules["script-src"] == f"'sha256-{hashes['script']}'"  # the last one; the others hold data
    assert rules["style-src"] == f"'sha256-{hashes['style']}'"
    assert not [attributes for _, attributes in checker.tags if "style" in attributes]


def test_audio_beside_the_page_is_addressed_relative_and_quoted(report, tmp_path):
    write_tone(tmp_path / "samples" / "a.wav")
    for k in range(6):
        write_tone(tmp_path / "samples" / f"p{k}#1.wav")
    _, checker, text = parsed(report, tmp_path, embed=False)
    sources = {attributes["src"] for tag, attributes in checker.tags if tag == "audio"}
    assert "samples/a.wav" in sources
    assert "samples/p2%231.wav" in sources  # a bare "#" would end the path
    assert "Players need the files beside this page." in text


def test_hostile_text_is_escaped_everywhere(tmp_path):
    roles = [MetricRole(name="wer", role="judge", label=HOSTILE, **WER)]
    rows = []
    for system, errors in ((HOSTILE, 1), ("b", 0)):
        one = judged(system, HOSTILE, errors, audio=f"javascript:{HOSTILE}", text=f"x {HOSTILE} y")
        object.__setattr__(one, "tags", {HOSTILE: HOSTILE})
        rows.append(one)
    report = summarise(rows, roles, HOSTILE, num_resamples=40)
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
    report = replace(report, verdict=HOSTILE, headline=(HOSTILE,), trained_judges={"wer": HOSTILE}, split=HOSTILE)
    html, checker, text = parsed(report, tmp_path)
    assert html.count("<script") == html.count("</script") == 2  # the data of the prompts, and the script of the page
    assert [tag for tag, _ in checker.silent] == ["style", "script", "script"]
    data = json.loads(checker.silent[1][1])
    assert data["rows"][0][0] == HOSTILE
    assert not [name for _, attributes in checker.tags for name in attributes if name.startswith("on")]
    assert all(not attributes["src"].startswith("javascript:") for tag, attributes in checker.tags if tag == "audio")
    assert HOSTILE in text


def test_missing_answers_are_shown_not_hidden(tmp_path):
    rows = [judged("base", "p", 1), JudgedCandidate(system="new", prompt_id="p", seed=0, text="a b c d", missing=True)]
    _, _, text = parsed(summarise(rows, ROLES, "base", num_resamples=40), tmp_path)
    assert "100.00 %" in text
    assert "1 of 1 candidates of new is missing and counts as errors." in text


def test_a_page_says_what_its_headline_leaves_out(tmp_path):
    rows = [judged("base", f"p{k}", 1) for k in range(6)]
    rows += [JudgedCandidate(system="new", prompt_id="p0", seed=0, text="a b c d", missing=True)]
    rows += [judged("new", f"p{k}", 1) for k in range(1, 6)]
    report = summarise(rows, ROLES, "base", average="utterance_evaluated", num_resamples=40)
    html, _, text = parsed(report, tmp_path)
    assert "1 of 6 candidates of new is missing and left out; if it counts as errors the difference is +12.50 points" in text
    assert "is the mean over utterances; candidates without a value are left out." in " ".join(text.split())
    assert "left out of error rates above" in text
    assert "missing audio left out" in text
    assert "missing audio counted" not in text
    assert "counted above" not in text
    strong = html.partition('<tr class="strong">')[2].partition("</tr>")[0]
    assert "mean of utterances, missing left out" in strong
    assert "missing audio left out of error rates" in markdown(report)


def test_examples_of_several_systems_are_folded_system_by_system(tmp_path):
    errors = {"base": 2, "one": 1, "two": 3}
    rows = [judged(system, f"p{k}", count) for system, count in errors.items() for k in range(6)]
    report = summarise(rows, ROLES, "base", num_resamples=1000, num_examples=2)
    html, _, _ = parsed(report, tmp_path)
    parts = html.partition('<section id="listen"')[2].partition("</section>")[0].split("<summary>")
    assert [part.partition("</summary>")[0] for part in parts[1:]] == ["one against base", "two against base"]
    assert (parts[0].endswith("<details open>"), parts[1].endswith("<details>")) == (True, True)
    assert [part.count('<article class="example"') for part in parts] == [0, 2, 1]
    assert [(part.count("Fewer word errors"), part.count("More word errors")) for part in parts[1:]] == [(1, 0), (0, 1)]
    alone, _, _ = parsed(summarise(rows[:12], ROLES, "base", num_resamples=1000, num_examples=2), tmp_path)
    assert "against base</summary>" not in alone
    assert alone.count('<article class="example"') == 2


def test_a_report_of_one_system_without_extras(tmp_path):
    _, _, text = parsed(summarise([judged("only", "p", 1)], ROLES, num_resamples=40), tmp_path)
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
    assert html.count('class="dot') == 6  # two systems by three judges
    assert "no interval to tell by" in text.partition("Did it please the judge, or get better?")[2]
    assert not re.search(r"\[[−+\d]", text)


def test_a_group_of_few_prompts_has_no_colour_where_the_whole_has_one(tmp_path):
    rows = []
    for system, errors in (("base", 2), ("new", 1)):
        for k in range(12):
            one = judged(system, f"p{k}", errors + (system == "base" and k == 11))
            object.__setattr__(one, "tags", {"speaker": "rare" if k < 4 else "common"})
            rows.append(one)
    html, _, _ = parsed(summarise(rows, ROLES[:1], "base", num_resamples=50), tmp_path)
    html = html.partition("Groups of prompts by their tags")[2].partition("</table>")[0]
    rare = html.partition("speaker: rare")[2].partition("speaker: common")[0]
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
    _, _, text = parsed(summarise([judged("only", f"p{k}", 1 + k // 39) for k in range(40)], roles, num_resamples=40), tmp_path)
    assert "only: word error rate 25.62 % [25.00, 26.88] by WER, Judge on 40 prompts × 1 seed, missing audio counted." in text
    assert "held out" not in text
    assert "held-out judge" not in text
    assert "Caution" not in text
