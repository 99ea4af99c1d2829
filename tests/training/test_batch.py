"""Pairs to tensors: padding, checks, order."""

import logging

import pytest
import torch

from lpo_tts.errors import ConfigError, ContractError
from lpo_tts.training.batch import LengthSampler, PairExample, collate, data_hash, prepare_pairs, shapes


def test_collate_pads_on_the_right_to_few_shapes():
    pairs = [PairExample("a", [1, 2], [3, 4, 5], [6]), PairExample("b", [7], [8], [9, 9])]
    batch = collate(pairs)
    assert batch["input_ids"].shape == (4, 32)
    assert batch["input_ids"][:, :5].tolist() == [[1, 2, 3, 4, 5], [7, 8, 0, 0, 0], [1, 2, 6, 0, 0], [7, 9, 9, 0, 0]]
    assert batch["num_tokens"].tolist() == [3, 1, 1, 2]
    assert batch["ids"] == ["a", "b"]
    assert batch["num_real_tokens"] == 5 + 2 + 3 + 3
    rows = len(batch["slots"])
    assert rows == 7
    assert len(batch["positions"]) == len(batch["targets"]) == 512
    # every target stands one place after its position
    assert batch["input_ids"].flatten()[batch["positions"][:rows] + 1].tolist() == batch["targets"][:rows].tolist()
    assert batch["targets"][:rows].tolist() == [3, 4, 5, 8, 6, 9, 9]
    assert batch["slots"].tolist() == [0, 1, 2, 3, 6, 9, 10]
    long = [PairExample("c", [1] * 20, [2] * 13, [3])]
    assert collate(long)["input_ids"].shape == (2, 64)


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (PairExample("x7", [1], [], [2]), "pair x7: chosen_ids is empty"),
        (PairExample("x7", [1], [2], []), "pair x7: rejected_ids is empty"),
        (PairExample("x7", [], [1], [2]), "pair x7: prompt_ids is empty; the first answer token needs a token before it"),
        (PairExample("x7", [1], [2, 3], [2, 3]), "pair x7: chosen and rejected are the same answer"),
        (PairExample("x7", [1], [2, 10], [3]), "pair x7: chosen_ids holds token 10, the model's vocabulary has 10"),
        (PairExample("x7", [-100], [2], [3]), "pair x7: prompt_ids holds token -100"),
        ({"prompt": "hello", "chosen": "a"}, "row 0: expected a PairExample or the columns .*, found columns prompt, chosen"),
    ],
)
def test_unusable_pairs_are_refused_by_name(pair, message):
    with pytest.raises(ContractError, match=message):
        prepare_pairs([pair], vocab_size=10)


def test_ids_must_be_unique():
    with pytest.raises(ContractError, match="pair x comes twice"):
        prepare_pairs([PairExample("x", [1], [2], [3])] * 2)


def test_long_answers_are_dropped_and_counted_or_refused(caplog):
    pairs = [PairExample("short", [1], [2], [3]), PairExample("long", [1], [2], [3, 4, 5])]
    with caplog.at_level(logging.WARNING):
        kept = prepare_pairs(pairs, max_answer_tokens=2)
    assert [pair.id for pair in kept] == ["short"]
    assert "1 of 2 pairs left out: an answer is longer than max_answer_tokens = 2 (first: long)" in caplog.text
    with pytest.raises(ContractError, match="pair long has an answer of 3 tokens, max_answer_tokens is 2"):
        prepare_pairs(pairs, max_answer_tokens=2, too_long="error")


def test_data_hash_covers_tokens_and_ids_but_not_order():
    one, two = PairExample("a", [1], [2, 3], [4]), PairExample("b", [1], [2], [3, 4])
    assert data_hash([one, two]) == data_hash([two, one])
    variants = [[one], [PairExample("a", [1, 2], [3], [4]), two], [PairExample("c", [1], [2, 3], [4]), two]]
    assert len({data_hash(v) for v in [[one, two], *variants]}) == 4


def test_sampler_is_a_seeded_permutation_of_batches_of_similar_length():
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(40, 400, (103,), generator=generator).tolist()
    sampler = LengthSampler(lengths, batch_size=8, seed=1, window=4)
    first = list(sampler)
    assert sorted(first) == list(range(103))
    assert list(LengthSampler(lengths, 8, 1, 4)) == first
    sampler.set_epoch(1)
    assert list(sampler) != first
    assert list(LengthSampler(lengths, 8, 2, 4)) != first
    spread = [max(part) - min(part) for part in ([lengths[i] for i in first[k : k + 8]] for k in range(0, 96, 8))]
    assert sum(spread) / len(spread) < 130  # a random batch spreads over about 280
    assert [len({lengths[i] // 90 for i in first[k : k + 8]}) for k in range(0, 96, 8)] != sorted(spread)
    pairs = [PairExample(str(i), [1] * (n - 2), [2, 3], [4]) for i, n in enumerate(lengths)]
    assert shapes(pairs, sampler).total() == 13
    with pytest.raises(ConfigError, match="must be at least 1"):
        LengthSampler(lengths, 0, 1)
