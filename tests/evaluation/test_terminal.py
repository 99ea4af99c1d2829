"""A report in the terminal: counts that add up to what was asked for, and differences in points."""

import re
from dataclasses import asdict

import pytest

from evaluation.terminal import lines_of
from lpo_tts.comparison.candidates import NOT_ASKED, JudgedCandidate, MetricRole
from lpo_tts.comparison.summary import summarise
from lpo_tts.metrics.base import scale_of
from lpo_tts.metrics.similarity import SpeakerSimilarity
from lpo_tts.metrics.wer import WordErrorRate
from lpo_tts.records import Judgement

WORDS = MetricRole(name="words", role="judge", label="Words", **asdict(scale_of(WordErrorRate)))
VOICE = MetricRole(name="voice", role="judge", label="Voice", **asdict(scale_of(SpeakerSimilarity)))
SIMILAR = Judgement(value=0.5)
NOBODY = Judgement(value=None, detail={"reason": NOT_ASKED})
SILENT = Judgement(value=None, detail={"reason": "the audio is silent"})
COUNTS = ["asked", "judged", "missing", "unreadable", "unscorable", "not asked", "no words"]


def candidates(system, errors, voices=(SIMILAR,) * 6, **states):
    """Six candidates of five words with so many errors; `states` are sets of places: missing, unreadable, without words."""
    return [
        JudgedCandidate(
            system=system,
            prompt_id=f"p{k}",
            seed=0,
            text=f"text {k}",
            judgements={
                "words": Judgement(value=errors / 5, weight=0 if k in states.get("wordless", ()) else 5),
                "voice": voices[k],
            },
            missing=k in states.get("missing", ()),
            unreadable=k in states.get("unreadable", ()),
        )
        for k in range(6)
    ]


def rows_of(lines):
    return [re.split("  +", line) for line in lines]


def test_the_counts_of_each_judge_add_up_to_what_was_asked_for():
    spoilt = candidates("new", 1, (SIMILAR, SILENT, SIMILAR, SIMILAR, NOBODY, NOBODY), missing={2}, unreadable={3}, wordless={0})
    report = summarise([*candidates("old", 1), *spoilt], [WORDS, VOICE], "old", num_resamples=1000)
    heads, *rows = rows_of(lines_of(report)[:5])
    assert heads[3:] == COUNTS
    assert [row[:2] for row in rows] == [[system, judge] for system in ("old", "new") for judge in ("Words", "Voice")]
    assert rows[0][3:] == rows[1][3:] == ["6", "6", "0", "0", "0", "0", "0"]
    assert rows[2][3:] == ["6", "3", "1", "1", "0", "0", "1"]
    assert rows[3][3:] == ["6", "1", "1", "1", "1", "2", "0"]
    for row in rows:
        asked, *counts = map(int, row[3:])
        assert sum(counts) == asked


def test_counts_that_are_rare_have_no_column_where_there_are_none():
    (heads, _) = rows_of(lines_of(summarise(candidates("only", 1), [WORDS], num_resamples=1000))[:2])
    assert heads[3:] == ["asked", "judged", "missing", "unscorable"]


@pytest.mark.parametrize(("role", "shown"), [(WORDS, "+40.00 points"), (VOICE, "0.000")])
def test_a_difference_of_percentages_is_in_points(role, shown):
    report = summarise([*candidates("old", 1), *candidates("new", 3)], [role], "old", num_resamples=1000)
    (row,) = [row for row in rows_of(lines_of(report)) if row[0] == "new − old"]
    assert row[2].partition(" [")[0].partition(" (")[0] == shown
