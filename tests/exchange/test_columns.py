"""Records go to columns and back without loss; what does not fit is named."""

import pytest

from lpo_tts.errors import ArtefactError
from lpo_tts.exchange.columns import fields_of, from_columns, to_columns
from lpo_tts.exchange.parquet import arrow
from lpo_tts.records import Candidate, Comparison, PreferencePair, Prompt, RankedList, Score, TokenWeights, Utterance

VOICE = Utterance(id="v", audio="a b.wav", text="eins, «zwei»", duration=1.5, speaker="s", split=None, tags={"é": "\u2028"})
ROWS = [
    VOICE,
    Prompt(id="p", text="t", voice=VOICE, target=None, split="test"),
    Prompt(id="q", text="", voice=None, target=VOICE),
    Score(candidate_id="p#0", metric="wer", value=None, detail={"spots": [["sub", "a", None, 0.1, 0.25]], "reason": "x"}),
    Score(candidate_id="p#1", metric="wer", value=1e-300, weight=3.0),
    Comparison(prompt_id="p", first="p#0", second="p#1", preferred=None, judge="me", detail={"n": 2}),
    PreferencePair(id="x", prompt_id="p", chosen="p#0", rejected="p#1", margins={"wer": 0.1 + 0.2, "a": 0.0}, aspect="style"),
    RankedList(id="l", prompt_id="p", candidates=("p#0", "p#1"), scores=(1.0, 0.5)),
    TokenWeights(candidate_id="p#0", spans=((0, 2, 0.5), (4, None, 1.0)), rest=0.0),
]


@pytest.mark.parametrize("record", ROWS, ids=lambda row: type(row).__name__)
def test_a_record_comes_back_from_arrow(record):
    pa = arrow()
    schema = pa.schema(fields_of(type(record)))
    (row,) = pa.Table.from_pylist([to_columns(record)], schema=schema).to_pylist()
    assert from_columns(row, type(record), "here") == record


def test_columns_that_are_no_fields_are_left_out_and_defaults_are_taken():
    row = {"id": "p", "text": "t", "language": None, "more": 1}
    assert from_columns(row, Prompt, "here") == Prompt(id="p", text="t")


@pytest.mark.parametrize(
    ("kind", "row", "message"),
    [
        (Prompt, {"id": "p"}, r"t\.parquet: row 3: not a Prompt: .*text"),
        (Prompt, {"id": "p", "text": "t", "split": "eval"}, "'eval' is none of train, dev, test"),
        (Score, {"candidate_id": "c", "metric": "m", "value": 0.1, "detail": "{"}, "row 3: detail: not valid JSON"),
        (PreferencePair, {"id": "x", "prompt_id": "p", "chosen": "a", "rejected": "a", "margins": "{}"}, "found 'a' twice"),
        (Candidate, {"id": "p#0"}, "not a Candidate"),
    ],
)
def test_a_row_that_does_not_fit_is_named(kind, row, message):
    with pytest.raises(ArtefactError, match=message):
        from_columns(row, kind, "t.parquet: row 3")
