"""The order of examples: seeded, whole prompts in a batch, similar lengths together where rows are padded."""

import itertools

import pytest
import torch

from lpo_tts.errors import ConfigError
from lpo_tts.training.examples import PairExample
from lpo_tts.training.order import PromptSampler


def alone(lengths):
    """Pairs of so many tokens, each with a prompt of its own."""
    return [PairExample(str(i), [i, *[1] * (n - 3)], [2, 3], [4]) for i, n in enumerate(lengths)]


def grouped(sizes):
    return [PairExample(f"{g}-{k}", [1, g], [2, k], [3, k]) for g, size in enumerate(sizes) for k in range(size)]


def batches(order, size):
    return [order[at : at + size] for at in range(0, len(order), size)]


def test_a_seeded_permutation_of_batches_of_similar_length():
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(40, 400, (103,), generator=generator).tolist()
    examples = alone(lengths)
    sampler = PromptSampler(examples, batch_size=8, seed=1, window=4)
    first = list(sampler)
    assert len(sampler) == 103
    assert sorted(first) == list(range(103))
    assert list(PromptSampler(examples, 8, 1, 4)) == first
    sampler.set_epoch(1)
    assert sorted(sampler) == list(range(103))
    assert list(sampler) != first
    sampler.set_epoch(0)
    assert list(sampler) == first
    assert list(PromptSampler(examples, 8, 2, 4)) != first
    means = [sum(lengths[i] for i in part) / 8 for part in batches(first, 8)[:12]]
    assert means != sorted(means)  # short and long batches alternate

    def spread(order):
        parts = [[lengths[i] for i in part] for part in batches(order, 8)[:12]]
        return sum(max(part) - min(part) for part in parts) / len(parts)

    assert spread(first) < 130
    assert spread(list(PromptSampler(examples, 8, 1))) > 200


def test_the_answers_of_a_prompt_stand_in_one_batch_as_far_as_they_fit():
    sizes = [4, 3, 1, 2, 2, 4, 1, 3, 1, 1, 2, 3, 1, 4, 4, 2, 2]  # 40 pairs
    examples = grouped(sizes)
    for seed in range(5):
        order = list(PromptSampler(examples, 4, seed))
        assert sorted(order) == list(range(40))
        parts = batches(order, 4)
        met = {}
        for number, part in enumerate(parts):
            for i in part:
                met.setdefault(examples[i].prompt_ids[1].item(), set()).add(number)
        assert sum(len(numbers) > 1 for numbers in met.values()) <= 2  # a prompt is divided only where no other fits
        assert all([examples[i].prompt_ids[1].item() for i in part] for part in parts)
        for part in parts:  # neighbours
            prompts = [examples[i].prompt_ids[1].item() for i in part]
            assert sum(a != b for a, b in itertools.pairwise(prompts)) == len(set(prompts)) - 1


def test_a_prompt_larger_than_a_batch_is_divided_and_the_rest_comes_last():
    order = list(PromptSampler(grouped([7, 2, 2]), 4, 3))
    assert sorted(order) == list(range(11))
    first, second, last = batches(order, 4)
    assert (len(first), len(second), len(last)) == (4, 4, 3)
    assert list(PromptSampler([], 4, 0)) == []


@pytest.mark.parametrize(("batch_size", "window"), [(0, 1), (4, 0)])
def test_sizes_below_one_are_refused(batch_size, window):
    with pytest.raises(ConfigError, match=f"at least 1, found {batch_size} and {window}"):
        PromptSampler(alone([5]), batch_size, 1, window)
