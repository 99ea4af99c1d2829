"""Word alignment and repeated words."""

import itertools

import jiwer
import pytest

from lpo_tts.alignment import align, num_repeated


def test_alignment_names_every_kind_of_error():
    steps = align(["gate", "blue", "seven", "four"], ["gate", "green", "seven", "seven"])
    assert steps == [
        ("hit", "gate", "gate"),
        ("substitution", "blue", "green"),
        ("hit", "seven", "seven"),
        ("substitution", "four", "seven"),
    ]
    assert align(["a", "b"], ["a"]) == [("hit", "a", "a"), ("deletion", "b", "")]
    assert align([], ["x"]) == [("insertion", "", "x")]
    assert align([], []) == []


def test_of_a_repeated_word_the_first_is_the_right_one():
    assert align(["seven"], ["seven", "seven"]) == [("hit", "seven", "seven"), ("insertion", "", "seven")]


def test_edit_counts_equal_jiwers():
    words = ["a", "b", "c"]
    for reference in itertools.product(words, repeat=3):
        for hypothesis in itertools.product(words, repeat=2):
            operations = [step[0] for step in align(reference, hypothesis)]
            expected = jiwer.process_words(" ".join(reference), " ".join(hypothesis))
            assert len(operations) - operations.count("hit") == expected.substitutions + expected.deletions + expected.insertions


@pytest.mark.parametrize(
    ("reference", "hypothesis", "count"),
    [("bus seven", "bus seven seven seven", 2), ("two two", "two two", 0), ("bus", "gate gate", 0), ("bus", "", 0)],
)
def test_words_heard_more_often_than_the_text_has_them(reference, hypothesis, count):
    assert num_repeated(reference.split(), hypothesis.split()) == count
