"""Batches by length: their order, and results by index."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpo_tts.batches import consecutive, map_batches, of_equal_length, of_like_length


def test_one_length_per_batch_in_the_order_of_first_meeting():
    assert of_equal_length([5, 3, 5, 5, 3], 2) == [[0, 2], [3], [1, 4]]


def test_like_lengths_go_shortest_first_and_ties_keep_their_order():
    assert of_like_length([5, 3, 5, 1, 3], 2) == [[3, 1], [4, 0], [2]]
    assert of_like_length([0.5, 0.3, 0.5, 0.1], 2, chosen=[2, 0, 1]) == [[1, 2], [0]]


def test_consecutive_batches_keep_the_order():
    assert consecutive([4, 1, 7], 2) == [[4, 1], [7]]
    assert consecutive([], 2) == []


@given(st.lists(st.integers(1, 5)), st.integers(1, 4))
def test_every_index_is_in_one_batch(lengths, batch_size):
    for batches in (of_equal_length(lengths, batch_size), of_like_length(lengths, batch_size)):
        assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
        assert all(0 < len(batch) <= batch_size for batch in batches)


def test_results_come_by_index_and_one_for_each():
    assert map_batches([[2, 0], [1]], lambda batch: [10 * index for index in batch]) == {2: 20, 0: 0, 1: 10}
    with pytest.raises(ValueError, match="shorter"):
        map_batches([[0, 1]], lambda batch: [1])
