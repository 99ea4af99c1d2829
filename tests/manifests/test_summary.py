"""The sums of a manifest: against the same computed from lists."""

import numpy as np
import pytest

from lpo_tts.manifests.summary import Distribution, Summary
from lpo_tts.records import Utterance


def row(k=0, **changes):
    plain = {"id": f"u{k}", "audio": "a.wav", "text": f"sentence {k}", "duration": 2.0, "speaker": "s", "split": "train"}
    return Utterance(**{**plain, **changes})


def test_quantiles_are_those_of_the_values_to_the_resolution():
    values = np.random.default_rng(0).gamma(3, 2, 5000)
    found = Distribution(0.01)
    for value in values:
        found.add(float(value))
    shares = (0.0, 0.05, 0.5, 0.99, 1.0)
    assert found.quantiles(shares) == pytest.approx(np.quantile(values, shares, method="inverted_cdf"), abs=0.0051)
    assert found.mean == pytest.approx(values.mean())
    counts = found.bins(20, 0.0, 10.0)
    inside = np.histogram(np.round(values, 2), 20, (0, 10))[0]
    assert sum(counts) == 5000
    assert np.abs(np.array(counts[:-1]) - inside[:-1]).max() <= 12  # values on a border


def test_a_distribution_of_nothing_and_of_what_cannot_be():
    assert Distribution(0.1).quantiles((0.0, 1.0)) == [0.0, 0.0]
    found = Distribution(0.1)
    found.add(1e300)
    assert found.quantiles((0.5,)) == [1e6]


def test_hours_speakers_splits_and_languages():
    summary = Summary()
    for k in range(10):
        summary.add(row(k, split=("train", "dev", None)[k % 3], language="en" if k < 7 else "de", speaker=f"s{k % 2}"), 100 * k)
    assert summary.all.rows == 10
    assert {name: one.rows for name, one in summary.by_split().items()} == {"train": 4, "dev": 3, "none": 3}
    assert {name: one.seconds for name, one in summary.by_language().items()} == {"en": 14.0, "de": 6.0}
    assert summary.speakers.num_shared == 2
    assert [summary.speakers.places[index] for index in summary.speakers.largest(5)] == [0, 100]
    assert next(iter(summary.lines())) == "10 rows, 0.3 minutes, 2 speakers"
    assert "  duration in s: 2 to 2, median 2, 90 % from 2 to 2" in summary.lines()


def test_a_sentence_in_two_splits_is_told_with_the_first_line_and_counted_once():
    summary = Summary()
    assert summary.add(row(1, text="The same."), line=1) is None
    assert summary.add(row(2, text="the SAME"), line=2) is None
    assert summary.add(row(3, text="The same!", split="test"), line=3) == ("train", 1)
    assert summary.add(row(4, text="The same", split="dev"), line=4) == ("test", 1)
    assert summary.add(row(5, text="The same", split="train"), line=5) == ("test", 1)
    assert summary.add(row(6, text="The same", split=None), line=6) is None
    assert summary.shared_sentences == 1
