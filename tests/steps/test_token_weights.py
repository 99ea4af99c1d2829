"""Tables of token weights: rows laid over the tokens of every layout, what is refused, and the whole way to the loss."""

import sys
from pathlib import Path

import pytest
import torch

from lpo_tts import artefacts
from lpo_tts.asr.hearing import Spot
from lpo_tts.backbones.base import END
from lpo_tts.backbones.flat_answers import FlatAnswers
from lpo_tts.codes import Codes, Slot, TokenLayout
from lpo_tts.errors import ArtefactError
from lpo_tts.records import TokenWeights
from lpo_tts.steps.token_weights import WeightTable, laid_over
from lpo_tts.steps.weighing import WeightSettings, weights_of

sys.path.insert(0, str(Path(__file__).parents[1]))
import multistream as ms

FLAT = FlatAnswers(TokenLayout((Slot(0, 0, 10, 100),)), [5])
LEVELS = ((0, 0), (1, 0), (2, 0), (2, 1), (1, 1), (2, 2), (2, 3))
SEVEN = FlatAnswers(TokenLayout(tuple(Slot(level, index, 10 + 100 * n, 100) for n, (level, index) in enumerate(LEVELS))), [5])


def row(*spans, rest=0.5):
    return TokenWeights(candidate_id="u#1", spans=spans, rest=rest)


def flat_answer(frames, *, finished=True):
    tokens = FLAT.answer(Codes((torch.arange(frames),)))
    return tokens if finished else tokens[:-1]


def test_one_token_per_frame():
    found = laid_over(row((1, 3, 2.0)), FLAT.places(flat_answer(5)))
    assert found.flatten().tolist() == [0.5, 2, 2, 0.5, 0.5, 0.5]  # the end token is outside
    assert laid_over(row((3, None, 2.0)), FLAT.places(flat_answer(5))).flatten().tolist() == [0.5, 0.5, 0.5, 2, 2, 2]
    assert laid_over(row((5, None, 2.0)), FLAT.places(flat_answer(5))).flatten().tolist() == [0.5] * 5 + [2]
    unfinished = flat_answer(5, finished=False)
    assert laid_over(row((3, None, 2.0)), FLAT.places(unfinished)).flatten().tolist() == [0.5, 0.5, 0.5, 2, 2]
    assert laid_over(row(rest=1.0), FLAT.places(flat_answer(2))).tolist() == [[1], [1], [1]]


def test_seven_tokens_per_frame():
    codes = Codes(tuple(torch.arange(3 * rate) for rate in (1, 2, 4)))
    tokens = SEVEN.answer(codes)
    assert laid_over(row((1, 2, 2.0)), SEVEN.places(tokens)).flatten().tolist() == [0.5] * 7 + [2] * 7 + [0.5] * 8
    cut = tokens[:17]  # two frames and three tokens of the third
    assert laid_over(row((1, None, 2.0)), SEVEN.places(cut)).flatten().tolist() == [0.5] * 7 + [2] * 10
    assert laid_over(row((1, 2, 2.0)), SEVEN.places(cut)).flatten().tolist() == [0.5] * 7 + [2] * 7 + [0.5] * 3


def test_a_delay_pattern_shifts_a_frame_from_book_to_book(tmp_path):
    token_map = ms.backbone("delay", tmp_path).token_map()
    tokens = token_map.answer(ms.answer_of(ms.frames_of(4)))  # 3 books: 4 + 2 steps, and the end
    found = laid_over(row((1, 3, 2.0)), token_map.places(tokens))
    assert found.tolist() == [
        [0.5, 0, 0],
        [2, 0.5, 0],
        [2, 2, 0.5],
        [0.5, 2, 2],
        [0.5, 0.5, 2],  # the first book's end is what the model has a choice of
        [0, 0, 0.5],
        [0, 0, 0],
    ]
    ended = laid_over(row((3, None, 2.0)), token_map.places(tokens))
    slot, frame = token_map.places(tokens).slot, token_map.places(tokens).frame
    assert torch.equal(ended == 2, (frame == 3) | (slot == END))


def test_a_depth_model_has_a_frame_in_every_step(tmp_path):
    token_map = ms.backbone("depth", tmp_path).token_map()
    tokens = token_map.answer(ms.answer_of(ms.frames_of(4)))
    assert laid_over(row((1, 3, 2.0)), token_map.places(tokens)).tolist() == [[w] * 3 for w in (0.5, 2, 2, 0.5, 0.5)]
    assert laid_over(row((3, None, 2.0)), token_map.places(tokens)).tolist() == [[w] * 3 for w in (0.5, 0.5, 0.5, 2, 2)]


@pytest.mark.parametrize("spans", [((2, 6, 1.0),), ((6, None, 1.0),)])
def test_frames_that_are_not_there_are_refused(spans):
    with pytest.raises(ValueError, match="reaches beyond the answer's 5 frames"):
        laid_over(row(*spans), FLAT.places(flat_answer(5)))


def test_weights_that_leave_nothing_are_refused():
    with pytest.raises(ValueError, match="no token of the answer has a weight above 0"):
        laid_over(row(rest=0.0), FLAT.places(flat_answer(5)))
    with pytest.raises(ValueError, match="in order and apart"):
        row((3, 5, 1.0), (4, 6, 1.0))
    with pytest.raises(ValueError, match="in order and apart"):
        row((3, None, 1.0), (4, 6, 1.0))
    with pytest.raises(ValueError, match="in order and apart"):
        row((3, 3, 1.0))
    with pytest.raises(ValueError, match="rest: expected a finite number, at least 0"):
        row(rest=-1.0)


def table(folder, *rows, kind="weights"):
    artefacts.write_rows(folder / "own.jsonl", rows)
    return WeightTable(folder / "own.jsonl", kind, FLAT.places)


def test_a_row_of_a_pair_goes_before_the_candidates_own(tmp_path):
    own = TokenWeights(candidate_id="u#1", spans=((0, 1, 2.0),), rest=1.0)
    of_pair = TokenWeights(candidate_id="u#1", spans=((1, 2, 2.0),), rest=1.0, preference="u#0>u#1")
    found = table(tmp_path, own, of_pair, kind="importance")
    answer = flat_answer(2)
    columns = found.columns("u#0>u#1", [("chosen", "u#0", answer), ("rejected", "u#1", answer)])
    assert columns["chosen_importance"] is None
    assert columns["rejected_importance"].flatten().tolist() == [1, 2, 1]
    assert found.columns("other", [("answer", "u#1", answer)])["answer_importance"].flatten().tolist() == [2, 1, 1]


def test_a_table_that_does_not_fit_is_refused_by_name(tmp_path):
    found = table(tmp_path, row((2, 9, 1.0)))
    with pytest.raises(ArtefactError, match=r"own.jsonl: candidate 'u#1': the span \[2, 9\) reaches beyond"):
        found.of("", "u#1", flat_answer(5))
    with pytest.raises(ArtefactError, match=r"own.jsonl: no candidate 'u#1' in this run"):
        found.check({"u#0"})
    found.check({"u#1"})
    with pytest.raises(ArtefactError, match="'u#1' stands twice; give each one row"):
        table(tmp_path, row(), row())
    with pytest.raises(ArtefactError, match="no rows"):
        table(tmp_path).check({"u#1"})
    (tmp_path / "own.jsonl").write_text('{"candidate_id": "u#1", "spans": [[0, 2.5, 1.0]]}\n')
    with pytest.raises(ArtefactError, match=r"own.jsonl:1: .*spans"):
        WeightTable(tmp_path / "own.jsonl", "weights", FLAT.places)


HEARD = {
    "good": (Spot("hit", "one", "one", 0.0, 0.4), Spot("hit", "two", "two", 0.5, 0.9)),
    "bad": (Spot("substitution", "one", "six", 0.1, 0.3), Spot("hit", "two", "two", 0.5, 0.9)),
}
FRAMES = {"good": 50, "bad": 60, "silent": 0}


def made(chosen, rejected, **settings):
    return weights_of(WeightSettings(margin=0.0, **settings), "p", chosen, rejected, HEARD, FRAMES, 50.0)


def test_rows_of_a_pair():
    bad = TokenWeights(candidate_id="bad", spans=((5, 15, 1.0),), rest=0.0, preference="p")
    assert made("good", "bad") == ([bad], "")
    good = TokenWeights(candidate_id="good", spans=((0, 20, 1.0),), rest=0.0, preference="p")
    assert made("good", "bad", sides="both") == ([good, bad], "")
    soft = TokenWeights(candidate_id="bad", spans=((5, 15, 2.0),), rest=0.3, preference="p")
    assert made("u#target", "bad", sides="both", inside=2.0, outside=0.3) == ([soft], "")  # a recording was not listened to
    assert made("", "bad", sides="both")[0] == [bad]


@pytest.mark.parametrize(
    ("chosen", "rejected", "reason"),
    [
        ("good", "", "desirable, all tokens alike"),
        ("bad", "good", "no wrong word"),
        ("good", "silent", "no times"),
        ("good", "unheard", "no times"),
    ],
)
def test_pairs_without_weights_say_why(chosen, rejected, reason):
    assert made(chosen, rejected) == ([], reason)
