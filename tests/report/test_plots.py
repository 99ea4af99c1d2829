"""Plots: round ticks, every value in a bin, curves under the names that trainers use."""

import re

from lpo_tts.report.figures import curve
from lpo_tts.report.plots import histogram, interval_plot, line_plot, ticks
from lpo_tts.report.waterfall import MAX_BARS, waterfall


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


def test_a_centred_histogram_has_no_change_in_its_middle():
    svg = histogram([0.0, 0.0, 0.4, -0.4, 7.0], "t", "x", centred=True)
    assert re.findall(r"<title>([^<]*: \d+)</title>", svg) == ["−0.47619: 4", "6.19048: 1"]  # 21 bins of 20 / 21 from −10


def test_curves_are_found_under_the_trainers_names_and_dev_apart():
    rows = [
        {"step": 1, "log_ratios/chosen": 0.5, "rewards/chosen": 9.0},
        {"step": 1, "eval_log_ratios/chosen": 0.25},
        {"epoch": 1.0},
    ]
    assert curve(rows, "chosen") == [("chosen", [(1.0, 0.5)]), ("chosen dev", [(1.0, 0.25)])]
    assert curve(rows, "margin") == []


def test_a_waterfall_puts_losses_left_and_gains_right():
    svg = waterfall([-0.5, 0.0, 0.25, -1.0], "t", "points", higher_is_better=False)
    places = [(float(x), cls) for cls, x in re.findall(r'<rect class="(gain|loss)" x="([\d.]+)"', svg)]
    assert [cls for _, cls in places] == ["loss", "gain", "gain"]  # the one that did not change has no bar
    assert places == sorted(places)
    assert "← worse" in svg
    assert "better →" in svg
    heights = [float(h) for h in re.findall(r'height="([\d.]+)"/>', svg)]
    assert heights[2] == 2 * heights[1] == 4 * heights[0]


def test_a_waterfall_of_many_prompts_draws_first_and_last():
    values = [k / 10 for k in range(1, 2001)]
    svg = waterfall(values, "t", "u", higher_is_better=True)
    assert svg.count("<rect") == MAX_BARS
    heights = [float(h) for h in re.findall(r'height="([\d.]+)"/>', svg)]
    assert heights == sorted(heights)
    assert heights[-1] == 210.0  # 200 of an axis that ends at 200
    assert waterfall([], "t", "u", higher_is_better=True) == ""
    assert "lower" in waterfall([1.0], "t", "u", higher_is_better=True, graded=False)
