"""The tab "Explore" on a real small run: pairs, why they were built, both sides, training, report."""

import dataclasses
import json
import re
import shutil

import pytest

pytest.importorskip("gradio", reason="the demo needs Gradio: pip install lpo-tts[demo]")
pytest.importorskip("pyloudnorm", reason="loudness needs pyloudnorm: pip install lpo-tts[demo]")

from demo import explore_tab
from demo.clips import Clips
from demo.explore_tab import Explore, metrics_of
from demo.explore_view import pair_html
from demo.pair_views import Pairs
from demo.run_files import Pages
from demo.run_folder import open_run
from lpo_tts.errors import ArtefactError


@pytest.fixture(scope="module")
def pairs(tiny_run):
    return Pairs(open_run(tiny_run))


@pytest.fixture(scope="module")
def explore(pairs):
    return Explore(pairs, Clips())


def test_pairs_are_listed_widest_first_and_filtered_by_margin(pairs, explore):
    found = pairs.of("aligned")
    assert len(found) >= 2
    assert metrics_of(found) == ["length"]
    rows, count, first, place = explore.listed("aligned", "length", 0.0, "all")
    margins = [float(row[1].split()[0]) for row in rows]
    assert margins == sorted(margins, reverse=True)
    assert f"{len(found)} of {len(found)} pairs" in count
    assert rows[0][-1].replace(">", "&gt;") in first
    assert place == 0
    least = (margins[0] + margins[-1]) / 2
    rows, *_ = explore.listed("aligned", "length", least, "train")
    assert 0 < len(rows) < len(found)
    rows, count, first, _ = explore.listed("aligned", "length", 0.0, "dev")
    assert rows == []
    assert "No pair is left" in first


def test_one_goes_through_the_pairs_and_begins_anew_at_the_end(explore):
    rows, *_ = explore.listed("aligned", "length", 0.0, "all")
    for wanted, place in ((1, 1), (len(rows), 0), (-1, len(rows) - 1)):
        html, at = explore.at(wanted, "aligned", "length", 0.0, "all")
        assert at == place
        assert f"Pair {place + 1} of {len(rows)}" in html
    assert explore.chosen(rows[1][-1], "aligned", "length", 0.0, "all")[1] == 1
    assert explore.chosen("no such pair", "aligned", "length", 0.0, "all")[1] == 0


def test_a_pair_is_heard_from_its_tokens_with_its_scores(pairs):
    pair = pairs.of("aligned")[0]
    chosen, rejected = pairs.sides(pair)
    assert rejected.candidate.duration - chosen.candidate.duration == pytest.approx(pair.margins["length"], abs=1e-6)
    assert [figure.name for figure in chosen.figures] == ["WER", "length"]


def test_a_pair_says_why_it_was_built(pairs):
    pair = pairs.of("aligned")[0]
    (line,) = pairs.why(pair)
    assert re.fullmatch(r"In length the two differ by \d+\.\d+ s: the chosen one has less\.", line)
    assert pairs.rules("aligned") == ["Rule best_worst by length; the gap is at least 0.010 s; at most 1 for each prompt."]
    compared = dataclasses.replace(pair, margins={}, aspect="style")
    assert pairs.why(compared)[0].startswith("The pair comes from a comparison")
    assert "style" in pairs.why(compared)[1]


def test_texts_and_names_in_a_pair_are_escaped(pairs):
    pair = pairs.of("aligned")[0]
    voice = dataclasses.replace(pair.voice, label="<u>ann</u>")
    bad = dataclasses.replace(pair, id="<b>", text="<script>alert(1)</script>", voice=voice, split="<i>")
    html = pair_html(pairs, bad, Clips(), "aligned", "<p onclick=1>")
    for tag in ("<script", "<b>", "<u>", "<i>", "<p onclick"):
        assert tag not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert html.count('data-src="clips/') == 3  # both sides and the voice


@pytest.fixture
def run(tiny_run, tmp_path):
    shutil.copytree(tiny_run, tmp_path / "run")
    return tmp_path / "run"


def test_training_curves_show_log_ratios_and_margins(run):
    rows = [
        {"step": k, "loss": 2.0 - k, "log_ratios/chosen": 0.1 * k, "log_ratios/rejected": -0.1 * k, "log_ratios/margins": 0.2 * k}
        for k in range(3)
    ]
    (run / "run" / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    html = Explore(Pairs(open_run(run)), Clips()).training("aligned")
    for title in ("Log-ratios over steps", "Margin over steps", "Loss over steps", "Margin of length"):
        assert title in html
    assert "loss lpo, 3 rows logged" in html


def test_a_report_stands_in_a_frame_that_can_do_nothing_to_the_page(run):
    (run / "report").mkdir(exist_ok=True)
    (run / "report" / "report.html").write_text("<title>report</title>")
    html = explore_tab.report_html(Pages(open_run(run)))
    assert 'src="run-files/report/report.html"' in html
    assert 'sandbox="allow-scripts allow-popups"' in html
    assert "allow-same-origin" not in html


def test_a_pair_whose_candidate_is_gone_says_what_to_do(run):
    for part in (run / "candidates").glob("part-*.jsonl"):
        part.write_text("")
    pairs = Pairs(open_run(run))
    with pytest.raises(ArtefactError, match=r"holds no candidate .*; run sample and pair again"):
        pairs.sides(pairs.of("aligned")[0])


def test_a_run_that_has_only_begun_has_no_pairs(run):
    (run / "pairs.jsonl").unlink()
    pairs = Pairs(open_run(run))
    assert pairs.systems == []
    assert pairs.of("none") == []
