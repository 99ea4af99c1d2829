"""What is learnt from: rows of all forms, and what becomes of those that cannot be used."""

import logging

import numpy as np
import pytest
import torch

from lpo_tts.errors import ContractError
from lpo_tts.training.examples import AnswerExample, ListExample, PairExample, data_hash, mismatched, same_example
from lpo_tts.training.preparing import as_example, prepare_examples


def flat(values):
    """One stream as a list."""
    assert values.shape[1:] == (1,)
    return values.flatten().tolist()


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (PairExample("x7", [1], [], [2]), "pair x7: chosen_ids is empty$"),
        (PairExample("x7", [1], [2], []), "pair x7: rejected_ids is empty$"),
        (PairExample("x7", [], [1], [2]), "pair x7: prompt_ids is empty; the first answer token needs a token before it"),
        (PairExample("x7", [1], [2, 3], [2, 3]), "pair x7: chosen and rejected are the same answer"),
        (PairExample("x7", [1], [2, 10], [3]), "pair x7: chosen_ids holds token 10, the model's vocabulary has 10"),
        (PairExample("x7", [-100], [2], [3]), "pair x7: prompt_ids holds token -100"),
        (AnswerExample("x7", [1], [], True), "pair x7: answer_ids is empty"),
        (AnswerExample("x7", [1], [11], True), "pair x7: answer_ids holds token 11"),
        (ListExample("x7", [1], ([2], [3], [2])), "list x7: two of its answers are the same, so their order says nothing"),
        (ListExample("x7", [1], ([2], [3], [-1])), r"pair x7: answers\[2\] holds token -1"),
        (ListExample("x7", [1], ([2],)), "list x7: 1 answers, expected at least 2"),
        (ListExample("x7", [1], ()), "list x7: 0 answers, expected at least 2"),
        (
            PairExample("p", [[1, 2]], [3], [4]),
            r"pair p: prompt_ids must be one sequence of token ids, found shape \(1, 2\)",
        ),
        ({"prompt": "hello", "chosen": "a"}, "row 0: expected a PairExample or the columns .*, found columns prompt, chosen"),
        (3, "row 0: expected a PairExample or the columns .*, found int"),
    ],
)
def test_unusable_examples_are_refused_by_name(example, message):
    with pytest.raises(ContractError, match=message):
        prepare_examples([example], vocab_size=10)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PairExample("p", [1], [3.5], [4]), "pair p: chosen_ids must be whole numbers"),
        (
            lambda: PairExample("p", [1], [3, 4], [4], chosen_weights=[1]),
            r"chosen_weights must be .* expected 2, found shape \(1,\)",
        ),
        (lambda: PairExample("p", [1], [3], [4, 5], rejected_weights=[0, 0]), "rejected_weights must be .* with sum 0$"),
        (lambda: PairExample("p", [1], [3], [4, 5], rejected_weights=[2, -1]), "rejected_weights must be one finite number >= 0"),
        (lambda: PairExample("p", [1], [3], [4, 5], rejected_weights=[2, float("nan")]), "rejected_weights must be .* sum nan"),
        (lambda: PairExample("p", [1], [3], [4, 5], rejected_weights=[2, float("inf")]), "rejected_weights must be .* sum inf"),
        (lambda: PairExample("p", [1], [3], [4, 5], chosen_importance=[1, 1]), "chosen_importance must be .* expected 1, found"),
        (
            lambda: AnswerExample("a", [1], [3, 4], True, answer_weights=[1]),
            "pair a: answer_weights must be .* expected 2, found",
        ),
        (lambda: AnswerExample("a", [1], [3], True, answer_importance=[-1]), "pair a: answer_importance must be one finite"),
        (lambda: ListExample("l", [1], ([2], [3]), (1.0,)), "list l: 2 answers, but 1 scores; give one per answer"),
        (
            lambda: ListExample("l", [1], ([2], [3]), (1.0, 2.0)),
            r"list l: answers must stand from best to worst, found .*\[1.0, 2.0\]",
        ),
        (lambda: ListExample("l", [1], ([2], [3]), (float("nan"), 2.0)), "list l: answers must stand from best to worst, found"),
    ],
)
def test_examples_that_make_no_sense_are_refused(make, message):
    with pytest.raises(ContractError, match=message):
        make()


def test_ids_must_be_unique():
    with pytest.raises(ContractError, match="pair x comes twice; give every pair an id of its own"):
        prepare_examples([PairExample("x", [1], [2], [3])] * 2)


def test_long_answers_are_dropped_and_counted_or_refused(caplog):
    pairs = [PairExample("short", [1], [2], [3]), PairExample("long", [1], [2], [3, 4, 5])]
    with caplog.at_level(logging.WARNING):
        kept = prepare_examples(pairs, max_answer_tokens=2)
    assert [pair.id for pair in kept] == ["short"]
    assert "1 of 2 pairs left out: an answer is longer than max_answer_tokens = 2 (first: long)" in caplog.text
    with pytest.raises(ContractError, match="pair long has an answer of 3 tokens, max_answer_tokens is 2"):
        prepare_examples(pairs, max_answer_tokens=2, too_long="error")
    assert len(prepare_examples(pairs, max_answer_tokens=3)) == 2


def test_cuts_are_counted_and_what_is_the_same_once_cut_is_left_out(caplog):
    pairs = [
        PairExample("short", [1], [2], [3]),
        PairExample("long", [1], [2, 2, 2], [3, 4, 5], rejected_weights=[0, 1, 2]),
        PairExample("long2", [1], [2, 2], [3, 4, 6]),
        PairExample("same", [1], [2, 3, 4], [2, 3, 5]),
        PairExample("unweighted", [1], [5, 6, 7], [4], chosen_weights=[0, 0, 1]),
        AnswerExample("unimportant", [1], [5, 6, 7], True, answer_importance=[0, 0, 1]),
        AnswerExample("answer", [1], [5, 6, 7], True, answer_weights=[1, 0, 1], answer_importance=[2, 0.5, 1]),
    ]
    with caplog.at_level(logging.WARNING):
        kept = prepare_examples(pairs, max_answer_tokens=2, too_long="cut")
    assert [pair.id for pair in kept] == ["short", "long", "answer"]
    assert (flat(kept[2].answer_weights), flat(kept[2].answer_importance)) == ([1, 0], [2, 0.5])
    assert flat(kept[1].chosen_ids) == [2, 2]
    assert flat(kept[1].rejected_ids) == [3, 4]
    assert flat(kept[1].rejected_weights) == [0, 1]
    assert [record.getMessage() for record in caplog.records] == [
        "3 of 7 pairs cut to max_answer_tokens = 2 (first: long)",
        "1 of 7 pairs left out: the same pair stands there under another id (first: long2)",
        "1 of 7 pairs left out: two answers are the same once cut (first: same)",
        "2 of 7 pairs left out: no token that is left after the cut has a weight (first: unweighted)",
    ]


def test_the_same_pair_under_another_id_is_left_out(caplog):
    pairs = [
        PairExample("a", [1], [2], [3]),
        PairExample("b", [1], [2], [3]),
        PairExample("turned", [1], [3], [2]),
        PairExample("shifted", [1, 2], [3], [2]),
    ]
    with caplog.at_level(logging.WARNING):
        assert [pair.id for pair in prepare_examples(pairs)] == ["a", "turned", "shifted"]
    assert "1 of 4 pairs left out: the same pair stands there under another id (first: b)" in caplog.text
    caplog.clear()
    labelled = [AnswerExample("a", [1], [2], True), AnswerExample("b", [1], [2], False)]  # two people's opinions
    assert len(prepare_examples(labelled)) == 2
    assert not caplog.records


def test_rows_of_all_forms():
    pair = as_example(
        {
            "prompt_ids": np.array([1, 2]),
            "chosen_ids": torch.tensor([3, 4]),
            "rejected_ids": [5],
            "margins": {"wer": 0.5, "sim": None},  # how a data set with a column of dicts gives what is not there
            "aspect": "style",
            "chosen_weights": torch.tensor([0.0, 1.0]),
            "rejected_weights": None,
            "chosen_importance": None,
            "rejected_importance": [0.5],
        },
        4,
        "eval",
    )
    assert isinstance(pair, PairExample)
    assert pair.id == "eval-4"
    assert pair.prompt_ids.dtype == torch.int64
    assert (flat(pair.chosen_ids), flat(pair.rejected_ids)) == ([3, 4], [5])
    assert (pair.margins, pair.aspect, pair.rejected_weights) == ({"wer": 0.5}, "style", None)
    assert flat(pair.chosen_weights) == [0, 1]
    assert (pair.importance[0], flat(pair.importance[1])) == (None, [0.5])
    assert pair.num_tokens == 4
    plain = as_example({"prompt_ids": [1], "chosen_ids": [2], "rejected_ids": [3], "id": 17, "margins": None, "aspect": None}, 0)
    assert (plain.id, plain.margins, plain.aspect, plain.weights) == ("17", {}, "", (None, None))
    answer = as_example({"prompt_ids": [1], "answer_ids": [2, 3], "label": 0}, 2)
    assert isinstance(answer, AnswerExample)
    assert (answer.id, answer.desirable, flat(answer.answers[0]), answer.names) == ("pair-2", False, [2, 3], ("answer_ids",))
    row = {"prompt_ids": [1], "answer_ids": [2, 3], "label": 1, "answer_weights": [0, 1], "answer_importance": np.array([2, 0.5])}
    weighed = as_example(row, 0)
    assert (flat(weighed.weights[0]), flat(weighed.importance[0])) == ([0, 1], [2, 0.5])
    ranked = as_example({"prompt_ids": [1], "answers": [[2], [3, 4]], "scores": np.array([0.9, 0.1])}, 0)
    assert isinstance(ranked, ListExample)
    assert [flat(ids) for ids in ranked.answers] == [[2], [3, 4]]
    assert ranked.scores == (0.9, 0.1)
    assert as_example({"prompt_ids": [1], "answers": [[2], [3, 4]], "scores": None}, 0).scores == ()
    assert as_example(pair, 9) is pair


def test_mismatched_gives_every_prompt_an_answer_to_another():
    examples = [AnswerExample(f"a{i}", [1, i // 3], [2, i], i % 2 == 0) for i in range(9)]
    found = mismatched(examples)
    assert found.keys() == {f"a{i}" for i in range(9)}
    for example in examples:
        other = found[example.id]
        assert other.id == f"{example.id}~"
        assert torch.equal(other.prompt_ids, example.prompt_ids)
        owner = examples[other.answer_ids[1].item()]
        assert not torch.equal(owner.prompt_ids, example.prompt_ids)
    assert sorted(other.answer_ids[1].item() for other in found.values()) == list(range(9))  # each once
    again = mismatched(examples[::-1])  # whatever the order, so that reference log-probs can be kept
    assert all(torch.equal(again[name].answer_ids, found[name].answer_ids) for name in found)
    with pytest.raises(ContractError, match="all examples have the same prompt"):
        mismatched(examples[:3])


@pytest.mark.parametrize("sizes", [(2, 2, 2), (1, 3, 2), (5, 1), (4, 1, 1, 1), (1, 1)], ids=str)
def test_mismatched_takes_the_rejected_answers_of_pairs_too(sizes):
    """`sizes` are the pairs of each prompt; every third example is a labelled answer."""
    examples = []
    for prompt, size in enumerate(sizes):
        for _ in range(size):
            i = len(examples)
            weights = {"chosen_weights": [1, 0.5, i + 1]} if i % 2 else {}
            pair = PairExample(f"p{i:02}", [1, prompt], [2, i, 7], [3, i], **weights)
            examples.append(AnswerExample(f"p{i:02}", [1, prompt], [4, i], False) if i % 3 == 2 else pair)
    owner = {answer.numpy().tobytes(): (e, w) for e in examples for answer, w in zip(e.answers, e.weights, strict=True)}
    used = []
    for example in examples:
        other = mismatched(examples)[example.id]
        assert type(other) is type(example)
        assert len(other.answers) == len(example.answers)
        for answer, weights in zip(other.answers, other.weights, strict=True):
            whose, its_weights = owner[answer.numpy().tobytes()]
            assert not torch.equal(whose.prompt_ids, example.prompt_ids)
            assert weights is its_weights
            used.append(answer.numpy().tobytes())
    largest = max(sum(len(e.answers) for e in examples if int(e.prompt_ids[1]) == prompt) for prompt in range(len(sizes)))
    if 2 * largest <= len(owner):
        assert sorted(used) == sorted(owner)  # each answer once, so z0 is over the same answers as the loss


def test_data_hash_covers_tokens_and_ids_but_not_order():
    one, two = PairExample("a", [1], [2, 3], [4]), PairExample("b", [1], [2], [3, 4])
    assert data_hash([one, two]) == data_hash([two, one])
    variants = [[one], [PairExample("a", [1, 2], [3], [4]), two], [PairExample("c", [1], [2, 3], [4]), two]]
    assert len({data_hash(v) for v in [[one, two], *variants]}) == 4


def test_whole_data_hash_covers_what_stands_beside_the_tokens():
    def hashes(*examples):
        return len({data_hash([one], whole=True) for one in examples}), len({data_hash([one]) for one in examples})

    ids = ("a", [1], [2, 3], [4])
    variants = [
        PairExample(*ids),
        PairExample(*ids, margins={"wer": 0.5}),
        PairExample(*ids, margins={"wer": 0.25}),
        PairExample(*ids, aspect="style"),
        PairExample(*ids, chosen_weights=[0, 1]),
        PairExample(*ids, chosen_weights=[1, 0]),
        PairExample(*ids, rejected_weights=[1]),
        PairExample(*ids, chosen_importance=[0, 1]),
        PairExample(*ids, rejected_importance=[1]),
    ]
    assert hashes(*variants) == (9, 1)
    assert hashes(AnswerExample("a", [1], [2], True), AnswerExample("a", [1], [2], False)) == (2, 1)
    assert hashes(ListExample("a", [1], ([2], [3])), ListExample("a", [1], ([2], [3]), (1.0, 0.0))) == (2, 1)
    ordered = PairExample(*ids, margins={"wer": 1, "sim": 2}), PairExample(*ids, margins={"sim": 2, "wer": 1})
    assert hashes(*ordered) == (1, 1)


def test_same_example_compares_tokens_and_labels():
    assert same_example(PairExample("a", [1], [2], [3]), PairExample("b", [1], [2], [3]))
    assert not same_example(PairExample("a", [1], [2], [3]), PairExample("a", [1], [3], [2]))
    assert not same_example(AnswerExample("a", [1], [2], True), AnswerExample("a", [1], [2], False))
