"""From heard words to stretches of time and frames, on hand-made tables."""

import math

import pytest

from lpo_tts.asr.hearing import Spot
from lpo_tts.steps.faults import Fault, counterpart, faults, in_frames


def spots(*words):
    """`said:heard` words of half a second each; a deletion takes no time."""
    found, now = [], 0.0
    for word in words:
        said, _, heard = word.partition(":")
        heard = heard if ":" in word else said
        kind = "hit" if said == heard else "insertion" if not said else "substitution" if heard else "deletion"
        end = now + 0.5 * bool(heard)
        found.append(Spot(kind, said, heard, now, end))
        now = end
    return tuple(found)


def test_every_kind_of_fault_is_found_with_its_word():
    assert faults(spots("one", "two:four", "three:", ":six", "nine")) == (
        Fault(0.5, 1.0, 1),
        Fault(1.0, 1.0, 2, nothing=True),
        Fault(1.0, 1.5, 3, between=True),
    )
    assert faults(spots("one", "two")) == faults(()) == ()


@pytest.mark.parametrize(
    ("heard", "onset", "word", "between"),
    [
        (("one", "two", ":two", "three"), 1.0, 2, True),  # the second copy is the addition
        (("one", ":two", "two", "three"), 1.0, 1, False),  # the first one is
        (("one", "two", ":one", ":two", "three"), 1.0, 2, True),  # two words
        ((":one", ":two", "one", "two"), 1.0, 0, False),
    ],
)
def test_a_repetition_counts_from_the_second_copy_to_the_end(heard, onset, word, between):
    assert faults(spots(*heard)) == (Fault(onset, len(heard) / 2, word, between=between, to_end=True),)
    assert not any(fault.to_end for fault in faults(spots(*heard), onset_to_end=False))


def test_a_repetition_of_the_text_is_none_and_an_addition_is_not_yet_one():
    assert faults(spots("four", "four", "one:nine", "two")) == (Fault(1.0, 1.5, 2),)
    assert faults(spots("one", ":six", "two", "six")) == (Fault(0.5, 1.0, 1, between=True),)


def test_a_wrong_end_counts_from_its_onset_to_the_end():
    cut = spots("one", "two", "three:", "four:")
    assert faults(cut) == (Fault(1.0, 1.0, 2, nothing=True, to_end=True),)
    assert faults(cut, onset_to_end=False) == (Fault(1.0, 1.0, 2, nothing=True), Fault(1.0, 1.0, 3, nothing=True))
    assert faults(spots("one", "two", ":six", ":nine")) == (Fault(1.0, 2.0, 2, between=True, to_end=True),)
    assert faults(spots("one", "two:six")) == (Fault(0.5, 1.0, 1),)  # a wrong last word lasts as long as it lasts
    assert faults(spots("one:", "two:")) == (Fault(0.0, 0.0, 0, nothing=True, to_end=True),)


def test_the_same_words_of_another_answer():
    other = (
        Spot("insertion", "", "oh", 0.0, 0.2),
        Spot("hit", "one", "one", 0.2, 0.6),
        Spot("hit", "two", "two", 0.7, 1.0),
        Spot("deletion", "three", "", 1.0, 1.4),
    )
    assert counterpart(Fault(5, 6, 1), other) == Fault(0.7, 1.0, 1)
    assert counterpart(Fault(5, 6, 2, to_end=True), other) == Fault(1.0, 1.4, 2, nothing=True, to_end=True)
    assert counterpart(Fault(5, 6, 1, between=True), other) == Fault(0.6, 0.7, 1, between=True, nothing=True)
    assert counterpart(Fault(5, 6, 0, between=True), other) == Fault(0.0, 0.2, 0, between=True, nothing=True)
    assert counterpart(Fault(5, 6, 3, between=True), other) == Fault(1.4, math.inf, 3, between=True, nothing=True)
    assert counterpart(Fault(5, 6, 3), other) is None  # another text
    assert counterpart(Fault(5, 6, 0), ()) is None


@pytest.mark.parametrize(
    ("fault", "margin", "span"),
    [
        (Fault(0.1, 0.3, 0), 0.0, (5, 15)),
        (Fault(0.1, 0.3, 0), 0.05, (2, 18)),  # 2.5 and 17.5
        (Fault(0.06, 0.06, 0), 0.0, (3, 4)),  # a spike has a frame
        (Fault(0.1, 0.1, 0, nothing=True), 0.0, (4, 6)),  # a frame on either side of what is not said
        (Fault(0.1, 0.1, 0, nothing=True), 0.05, (2, 8)),
        (Fault(0.0, 0.01, 0), 0.05, (0, 3)),
        (Fault(0.1, 0.3, 0, to_end=True), 0.0, (5, None)),
        (Fault(1.9, 1.96, 0), 0.05, (92, None)),  # at the end, the end token counts
        (Fault(1.9, math.inf, 0), 0.0, (95, None)),
        (Fault(2.5, 2.6, 0), 0.0, (99, None)),  # padding of a judge's: beyond the answer
    ],
)
def test_frames_of_a_fault(fault, margin, span):
    assert in_frames([fault], margin, 50.0, 100) == [span]


def test_stretches_that_touch_are_one_and_a_slow_codec_has_a_frame():
    found = [Fault(0.5, 0.7, 1), Fault(0.1, 0.3, 0), Fault(0.72, 0.8, 2)]
    assert in_frames(found, 0.0, 50.0, 100) == [(5, 15), (25, 35), (36, 40)]
    assert in_frames(found, 0.02, 50.0, 100) == [(4, 16), (24, 41)]
    assert in_frames([Fault(0.5, 0.6, 0), Fault(0.55, 0.6, 1, to_end=True)], 0.0, 50.0, 100) == [(25, None)]
    assert in_frames([Fault(0.5, 0.52, 0)], 0.0, 12.5, 10) == [(6, 7)]
    assert in_frames([Fault(0.4, 0.4, 0, nothing=True)], 0.01, 12.5, 10) == [(4, 6)]
