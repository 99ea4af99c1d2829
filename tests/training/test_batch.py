"""Examples to tensors: padded rows, packed rows, shared prompts, and what examples say beside their tokens."""

import math

import pytest
import torch

from lpo_tts.lm.logps import Wanted, gathered
from lpo_tts.training.batch import collate, moved, packed_tokens
from lpo_tts.training.examples import AnswerExample, ListExample, PairExample


def test_collate_pads_on_the_right_to_few_shapes():
    pairs = [PairExample("a", [1, 2], [3, 4, 5], [6]), PairExample("b", [7], [8], [9, 9])]
    batch = collate(pairs, pack=False)
    assert batch["tokens"].shape == (4, 32, 1)
    assert batch["tokens"][:, :5, 0].tolist() == [[1, 2, 3, 4, 5], [1, 2, 6, 0, 0], [7, 8, 0, 0, 0], [7, 9, 9, 0, 0]]
    assert batch["num_tokens"].tolist() == [3, 1, 1, 2]
    assert batch["ids"] == ["a", "b"]
    assert batch["sizes"] == (2, 2)
    assert batch["index"].tolist() == [0, 1, 2, 3]
    assert batch["num_real_tokens"] == 5 + 3 + 2 + 3
    assert "layout" not in batch
    assert "weights" not in batch
    rows = len(batch["cells"])
    assert rows == 7
    assert len(batch["positions"]) == len(batch["targets"]) == 64
    # every target stands one place after its position
    assert batch["tokens"].flatten()[batch["positions"][:rows] + 1].tolist() == batch["targets"][:rows, 0].tolist()
    assert batch["targets"][:rows, 0].tolist() == [3, 4, 5, 6, 8, 9, 9]
    assert batch["cells"].tolist() == [0, 1, 2, 3, 6, 9, 10]
    long = [PairExample("c", [1] * 20, [2] * 13, [3])]
    assert collate(long, pack=False)["tokens"].shape == (2, 64, 1)


def test_packed_with_shared_prompts_by_hand():
    pairs = [
        PairExample("a", [1, 2], [3, 4, 5], [6]),
        PairExample("b", [7], [8], [9, 9]),
        PairExample("c", [1, 2], [3, 4, 5], [8, 8]),  # a's prompt and a's chosen answer
    ]
    batch = collate(pairs)
    assert batch["tokens"].shape[:2] == batch["position_ids"].shape == (1, 128)
    assert batch["tokens"][0, :13, 0].tolist() == [1, 2, 3, 4, 5, 6, 8, 8, 7, 8, 9, 9, 0]
    assert batch["position_ids"][0, :12].tolist() == [0, 1, 2, 3, 4, 2, 2, 3, 0, 1, 1, 2]
    assert batch["layout"].segments == ((0, 5), (5, 1), (6, 2), (8, 2), (10, 2))
    assert batch["layout"].crossings == ((5, 3, 0, 2), (10, 2, 8, 1))
    # first tokens are predicted at the prompt's end, the others at the place before them
    assert batch["positions"][:9].tolist() == [1, 2, 3, 1, 1, 6, 8, 8, 10]
    assert batch["targets"][:9, 0].tolist() == [3, 4, 5, 6, 8, 8, 8, 9, 9]
    assert batch["num_tokens"].tolist() == [3, 1, 2, 1, 2]
    assert batch["index"].tolist() == [0, 1, 3, 4, 0, 2]
    assert batch["num_real_tokens"] == packed_tokens(pairs) == 12


@pytest.mark.parametrize("layout", [{}, {"share": False}, {"pack": False}], ids=str)
def test_numbers_per_token_stand_in_the_order_of_the_examples_answers(layout):
    pairs = [
        PairExample("a", [1, 2], [3, 4, 5], [6], chosen_importance=[0.5, 0, 2], rejected_weights=[3]),
        PairExample("b", [1, 2], [3, 4, 5], [9, 9]),  # a's chosen answer, without importance
        AnswerExample("c", [1, 2], [6], True, answer_weights=[4], answer_importance=[7]),
    ]
    batch = collate(pairs, **layout)
    assert batch["importance"].tolist() == [[0.5, 0, 2], [1, 0, 0], [1, 1, 1], [1, 1, 0], [7, 0, 0]]
    assert batch["weights"].tolist() == [[1, 1, 1], [3, 0, 0], [1, 1, 1], [1, 1, 0], [4, 0, 0]]
    assert "importance" not in collate(pairs[1:2], **layout)


def test_packed_without_sharing_repeats_prompts():
    pairs = [PairExample("a", [1, 2], [3, 4], [6]), PairExample("b", [1, 2], [3, 4], [5])]
    batch = collate(pairs, share=False)
    assert batch["tokens"][0, :14, 0].tolist() == [1, 2, 3, 4, 1, 2, 6, 1, 2, 3, 4, 1, 2, 5]
    assert batch["layout"].segments == ((0, 4), (4, 3), (7, 4), (11, 3))
    assert batch["layout"].crossings == ()
    assert batch["index"].tolist() == [0, 1, 2, 3]
    assert packed_tokens(pairs, share=False) == 14
    assert packed_tokens(pairs) == 6


def test_token_weights_stand_at_their_tokens():
    pairs = [
        PairExample("a", [1], [3, 4, 5], [6], chosen_weights=[0, 1, 2]),
        PairExample("b", [7], [8], [9, 9]),
    ]
    for pack in (True, False):
        weights = collate(pairs, pack=pack)["weights"]
        assert weights.tolist() == [[0, 1, 2], [1, 0, 0], [1, 0, 0], [1, 1, 0]], pack


def test_what_examples_say_beside_their_tokens():
    pairs = [
        PairExample("a", [1], [2], [3], margins={"wer": 0.5}, aspect="style"),
        PairExample("b", [1], [2], [4], margins={"sim": 0.1}),
    ]
    batch = collate(pairs)
    assert batch["aspects"] == ["style", ""]
    assert batch["margins"].keys() == {"wer", "sim"}
    assert batch["margins"]["wer"][0] == 0.5
    assert math.isnan(batch["margins"]["wer"][1])  # not scored
    answers = [AnswerExample("x", [1], [2], True), AnswerExample("y", [1], [3], False)]
    assert collate(answers)["desirable"].tolist() == [True, False]
    lists = [ListExample("l", [1], ([2], [3], [4]), (3.0, 2.0, 0.5)), ListExample("m", [1], ([2], [4]), (1.0, 0.0))]
    batch = collate(lists)
    assert batch["scores"].tolist() == [3.0, 2.0, 0.5, 1.0, 0.0]
    assert batch["sizes"] == (3, 2)
    assert "scores" not in collate([*lists, ListExample("n", [2], ([2], [4]))])


def test_pairs_among_labelled_answers_are_two_labelled_answers():
    mixed = [AnswerExample("x", [1], [2], False), PairExample("a", [1], [3], [4]), AnswerExample("y", [1], [5], True)]
    batch = collate(mixed)
    assert batch["desirable"].tolist() == [False, True, False, True]
    assert batch["sizes"] == (1, 2, 1)


@pytest.mark.parametrize("pack", [True, False])
def test_places_are_rounded_up_and_surplus_points_to_the_first(pack):
    batch = collate([PairExample("a", [1], [2] * 40, [3] * 41)], pack=pack)
    assert len(batch["positions"]) == 128
    assert batch["positions"][81:].unique().tolist() == [0]
    assert len(batch["cells"]) == 81
    assert torch.equal(batch["cells"], batch["cells"].unique())  # nothing is written twice


def delayed(answer):
    """What counts of an answer whose second stream comes one step later."""
    mask = torch.ones_like(answer, dtype=torch.bool)
    mask[0, 1] = False
    return mask


@pytest.mark.parametrize("layout", [{}, {"share": False}, {"pack": False}], ids=str)
def test_several_streams_are_flattened_step_by_step_without_what_the_pattern_fixes(layout):
    weights = [[0.5, 9], [2, 3]]
    pair = PairExample("a", [[1, 2], [3, 4]], [[5, 0], [6, 7]], [[8, 0], [9, 10], [11, 12]], chosen_weights=weights)
    batch = collate([pair], counted=delayed, **layout)
    assert batch["tokens"].shape[-1] == 2
    assert batch["targets"][:5].tolist() == [[5, 0], [6, 7], [8, 0], [9, 10], [11, 12]]
    assert batch["num_tokens"].tolist() == [3, 5]
    assert batch["longest"] == 5
    taken = batch["targets"].flatten()[batch["entries"]]
    assert taken.tolist() == [5, 6, 7, 8, 9, 10, 11, 12]
    assert batch["cells"].tolist() == [0, 1, 2, 5, 6, 7, 8, 9]
    assert batch["weights"].tolist() == [[0.5, 2, 3, 0, 0], [1, 1, 1, 1, 1]]
    predicting = batch["tokens"].flatten(0, 1)[batch["positions"][:5]]
    assert predicting.tolist() == [[3, 4], [5, 0], [3, 4], [8, 0], [9, 10]]
    logps = gathered(-torch.arange(2.0 * len(batch["positions"])), batch, Wanted(tokens=True))
    assert logps.tokens[1].tolist() == [-4, -6, -7, -8, -9]
    assert logps.num_tokens.tolist() == [5.5, 5]
    assert "entries" not in collate([pair], **layout)  # all count, surplus places stand behind them
    assert collate([pair], **layout)["num_tokens"].tolist() == [4, 6]


@pytest.mark.parametrize("layout", [{}, {"share": False}, {"pack": False}], ids=str)
def test_what_prompts_hold_beside_tokens_travels_with_them(layout):
    one, other = {"speaker": torch.tensor([0.5])}, {"speaker": torch.tensor([0.25])}
    pairs = [
        PairExample("a", [1, 2], [3], [4, 5], features=one),
        PairExample("b", [1, 2], [3], [4, 5], features=other),
        PairExample("c", [1, 2], [6], [4, 5], features=one),
    ]
    batch = collate(pairs, **layout)
    answers = [batch["answer_spans"][index] for index in batch["index"].tolist()]
    flat = batch["tokens"].squeeze(-1)
    for pair, spans in zip(pairs, (answers[:2], answers[2:4], answers[4:]), strict=True):
        for answer, (prompt, row, start, length) in zip(pair.answers, spans, strict=True):
            assert torch.equal(batch["features"]["speaker"][prompt], pair.features["speaker"])
            assert flat[row, start : start + length].tolist() == answer.flatten().tolist()
            row, start, length = batch["prompt_spans"][prompt]
            assert flat[row, start : start + length].tolist() == [1, 2]
    assert len(batch["features"]["speaker"]) == (2 if layout == {} else 6)  # other features, another prompt
    found = moved(batch, "meta")
    assert found["features"]["speaker"][0].device.type == "meta"
    assert "features" not in collate([PairExample("d", [1], [2], [3])], **layout)
