"""Where a text is complete in what was heard, and what is said too often."""

import pytest

from lpo_tts.metrics.completion import Completion, completion, repeated


def end(text, heard):
    found = completion(text.split(), heard.split())
    return found.num_heard, found.num_missing


@pytest.mark.parametrize(
    ("text", "heard", "num_heard", "num_missing"),
    [
        ("gate blue seven four", "gate blue seven four", 4, 0),
        ("gate blue seven four", "gate blue seven fort", 4, 0),  # misheard
        ("gate blue seven four", "gate blue seven nine", 4, 0),
        ("gate blue seven four", "gate blue seven for a", 5, 0),  # one word heard as two of its length
        ("gate blue seven four", "gate blue seven", 3, 1),
        ("gate blue seven four", "gate blue", 2, 2),
        ("gate blue seven four", "gate blue seven four seven four", 4, 0),
        ("gate blue seven four", "gate blue seven four four", 4, 0),
        ("gate blue seven four", "gate blue gate blue seven four", 6, 0),  # said twice in the middle
        ("gate blue seven four two nine", "gate blue two nine", 4, 0),  # skipped in the middle
        ("in the same room with ugly ones", "and the same room without really wants", 7, 0),  # a long misheard end
        ("he could wait no longer", "he could wait no lager lager", 5, 0),  # misheard, and said again
        ("one two one two", "one two", 2, 2),
        ("a", "hello there", 1, 0),
        ("gate blue", "", 0, 2),
        ("你 好 世 界", "你 好 世", 3, 1),
    ],
)
def test_where_the_text_ends(text, heard, num_heard, num_missing):
    assert end(text, heard) == (num_heard, num_missing)


def test_what_is_missing_is_told_as_a_share_too():
    assert completion(["seven", "four"], ["seven"]) == Completion(1, 1, 5 / 10)
    assert completion(["seven"], []).missing_share == 1.0


@pytest.mark.parametrize(
    ("text", "heard", "order", "count"),
    [
        ("one two three", "one two three", 2, 0),
        ("one two three", "one two three two three", 2, 1),  # "two three" twice; "three two" is new, and free once
        ("one two three", "one two three two three two three", 2, 3),  # and "three two" twice
        ("two two", "two two", 1, 0),
        ("two two", "two two two", 1, 1),
        ("one", "four four four", 1, 2),
        ("one two", "one", 2, 0),
    ],
)
def test_runs_beyond_those_of_the_text(text, heard, order, count):
    assert repeated(text.split(), heard.split(), order) == count
