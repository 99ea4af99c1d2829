"""Records: fields out of their range are refused, and ids become file names one to one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpo_tts.config import Structurer
from lpo_tts.records import MAX_NAME, Candidate, Comparison, PreferencePair, Score, Utterance, file_name

CANDIDATE = {
    "id": "u#0",
    "prompt_id": "u",
    "index": 0,
    "seed": 1,
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": 0,
    "num_tokens": 3,
    "num_frames": 2,
    "finished": True,
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_tokens": -1}, "num_tokens: expected a finite number, at least 0, found -1"),
        ({"top_p": 1.5}, "top_p: expected a finite number, from 0 to 1, found 1.5"),
        ({"temperature": float("inf")}, "temperature: expected a finite number"),
        ({"index": -2}, "index"),
        ({"id": " "}, "id: expected an id, found ' '"),
    ],
)
def test_a_candidate_out_of_range_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Candidate(**{**CANDIDATE, **change})
    assert Candidate(**CANDIDATE).status == "ok"


def test_scores_and_margins_are_finite_and_a_pair_has_two_sides():
    with pytest.raises(ValueError, match="value: expected a finite number, found nan"):
        Score(candidate_id="a", metric="wer", value=float("nan"))
    with pytest.raises(ValueError, match=r"margins.wer"):
        PreferencePair(id="p", prompt_id="u", chosen="a", rejected="b", margins={"wer": float("inf")})
    with pytest.raises(ValueError, match="expected two candidates, found 'a' twice"):
        PreferencePair(id="p", prompt_id="u", chosen="a", rejected="a", margins={})
    with pytest.raises(ValueError, match="duration"):
        Utterance(id="u", audio="a.wav", text="x", duration=float("nan"), speaker="s")


@given(
    st.lists(
        st.text(min_size=1, max_size=300).filter(lambda text: text.isprintable() or True), min_size=2, max_size=2, unique=True
    )
)
def test_different_ids_have_different_file_names(ids):
    try:
        names = [file_name(one) for one in ids]
    except UnicodeEncodeError:
        return  # lone surrogates never get this far: no table holds one
    assert names[0] != names[1]
    for name in names:
        assert len(name.encode()) <= MAX_NAME
        assert "/" not in name
        assert not name.startswith(".")
        assert name.isascii()


def test_ids_that_once_shared_a_file_do_not():
    ids = ["a/b", "a_b", "a-b", "a#b", "a~b", "a=b", "a=2Fb", "a b", "A/b", "..", ".", "x" * 250, "x" * 251, "x" * 134 + "=="]
    assert len({file_name(one) for one in ids}) == len(ids)
    assert file_name("LJ001-0001#3") == "LJ001-0001~3"
    assert file_name("\u4f60") == "=E4=BD=A0"
    with pytest.raises(ValueError, match="must not be empty"):
        file_name("")


def test_a_comparison_says_who_wins_and_refuses_what_is_none():
    row = {"prompt_id": "p", "first": "p#0", "second": "p#1", "judge": "ann"}
    assert Comparison(**row, preferred="first").outcome == ("p#0", "p#1")
    assert Comparison(**row, preferred="second").outcome == ("p#1", "p#0")
    assert Comparison(**row, preferred="tie").outcome is None
    assert Comparison(**row, preferred=None).outcome is None
    for change, message in (
        ({"preferred": "both"}, "preferred: expected first, second, tie or null, found 'both'"),
        ({"preferred": "tie", "second": "p#0"}, "expected two candidates, found 'p#0' twice"),
        ({"preferred": "tie", "judge": " "}, "judge: expected an id"),
    ):
        with pytest.raises(ValueError, match=message):
            Comparison(**{**row, **change})
    assert Structurer().structure({**row, "preferred": None}, Comparison) == Comparison(**row, preferred=None)
