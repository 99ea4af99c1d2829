"""Figures over prompts: what is counted in their captions, and where their lines go."""

import re

import pytest

from lpo_tts.comparison.candidates import MetricRole
from lpo_tts.comparison.results import PromptRow
from lpo_tts.report import per_prompt
from tests.report.pages import SIMILARITY, WER


class Few:
    """What the figures ask of a report."""

    systems = ("base", "new", "other")
    baseline = "base"
    metrics = (
        MetricRole(name="dns", role="advisory", label="DNS", **SIMILARITY),
        MetricRole(name="train", role="training judge", label="T", **WER),
        MetricRole(name="sim", role="judge", label="SIM", **SIMILARITY),
        MetricRole(name="wer", role="judge", label="WER", **WER),
        MetricRole(name="wer.pause", role="judge", label="pause", of="wer", **SIMILARITY),
    )

    def __init__(self, values, num_words=None):
        self.prompts = tuple(
            PromptRow(
                prompt_id=f"p{k}",
                text="a",
                num_words=num_words[k] if num_words else k + 1,
                tags={},
                values={system: {"wer": value, "sim": value} for system, value in zip(self.systems, row, strict=True)},
                missing={},
            )
            for k, row in enumerate(values)
        )


WORDS, SIM = Few.metrics[3], Few.metrics[2]


def test_the_headlines_metric_comes_first_and_advisory_and_derived_ones_are_left_out():
    assert [metric.name for metric in per_prompt.drawn_metrics(Few([]))] == ["wer", "sim", "train"]


def test_captions_count_better_worse_and_equal_by_the_direction_of_the_metric():
    report = Few([(0.5, 0.25, 0.5), (0.5, 0.75, None), (0.5, 0.5, 0.25), (0.5, 0.0, 1.0), (None, 0.0, 0.0)])
    captions = [drawn.caption for drawn in per_prompt.differences(report, WORDS)]
    assert "new less base, prompt by prompt and sorted: better in 2, worse in 1, equal in 1 of 4 prompts." in captions[0]
    assert "other less base, prompt by prompt and sorted: better in 1, worse in 1, equal in 1 of 3 prompts." in captions[2]
    captions = [drawn.caption for drawn in per_prompt.differences(report, SIM)]
    assert "better in 1, worse in 2, equal in 1 of 4" in captions[0]


def test_shares_rise_to_a_hundred():
    assert per_prompt._shares([0.0, 0.0, 50.0, 100.0]) == [
        (0.0, 0.0), (0.0, 0.0), (0.0, 25.0), (0.0, 25.0), (0.0, 50.0), (50.0, 50.0), (50.0, 75.0), (100.0, 75.0), (100.0, 100.0),
    ]  # fmt: skip
    many = per_prompt._shares([float(k) for k in range(5000)])
    assert many[-1] == (4999.0, 100.0)
    assert len(many) < 2 * per_prompt.MAX_STEPS + 10


def test_lines_by_length_go_through_the_means_of_bins():
    lengths = [1, 1, 1, 2, 2, 2, 9, 9, 9, 9]
    assert per_prompt._borders(lengths) == [1, 2, 9]
    points = list(zip(lengths, [0.0, 30.0, 60.0, 10.0, 10.0, 40.0, 4.0, 4.0, 4.0, 8.0], strict=True))
    assert per_prompt._means(points, [1, 2, 9]) == [(1.0, 30.0), (2.0, 20.0), (9.0, 5.0)]
    assert per_prompt._means(points[:2], [1]) == []  # two prompts make no mean


def test_of_many_prompts_dots_are_thinned_and_the_caption_says_so():
    report = Few([(0.5, 0.25, 0.5)] * 1000, num_words=[1 + k % 20 for k in range(1000)])
    (drawn,) = per_prompt.by_length(report, WORDS)
    assert drawn.svg.count("<circle") == pytest.approx(3 * 333, abs=3)
    assert "Of the dots 666 per system are not drawn; the lines hold all prompts." in drawn.caption
    assert list(per_prompt.by_length(Few([(0.5, 0.25, 0.5)] * 9, num_words=[4] * 9), WORDS)) == []


def test_the_spread_names_every_system():
    (drawn,) = per_prompt.spread(Few([(0.5, 0.25, None), (0.0, 0.75, None)]), WORDS)
    assert re.findall(r'class="name t\d">(\w+)<', drawn.svg) == ["base", "new"]
