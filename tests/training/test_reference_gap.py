"""Pairs that the frozen model tells apart already are left out: on log-probs written by hand."""

import pytest
import torch

from lpo_tts.errors import ContractError
from lpo_tts.training.examples import PairExample
from lpo_tts.training.reference import ReferenceLogps
from lpo_tts.training.reference_gap import reference_gap, within_reference_gap


def pair(name, chosen, rejected):
    """A pair with answers of so many tokens."""
    return PairExample(name, [1], list(range(2, 2 + chosen)), list(range(50, 50 + rejected)))


# (chosen tokens, their summed log-prob, rejected tokens, their summed log-prob): the gap in nats per token
TABLE = {
    "even": (4, -8.0, 2, -4.0),  # -2 - -2 = 0
    "wide": (4, -4.0, 2, -7.0),  # -1 - -3.5 = 2.5
    "edge": (2, -2.0, 4, -12.0),  # -1 - -3 = 2: not more than 2
    "wrong": (2, -8.0, 2, -2.0),  # -4 - -1 = -3
    "long": (2, -2.0, 9, -45.0),  # -1 - -5 = 4
}
PAIRS = [pair(name, chosen, rejected) for name, (chosen, _, rejected, _) in TABLE.items()]


def reference(names=tuple(TABLE)):
    rows = [TABLE[name] for name in names]
    return ReferenceLogps(
        tuple(names),
        torch.full((len(rows),), 2),
        torch.tensor([value for row in rows for value in (row[1], row[3])]),
        torch.tensor([count for row in rows for count in (row[0], row[2])]),
        None,
        model="m",
        data="d",
        precision="fp32",
    )


def names(pairs):
    return [one.id for one in pairs]


def test_gaps_are_those_of_the_table():
    expected = {"even": 0.0, "wide": 2.5, "edge": 2.0, "wrong": -3.0, "long": 4.0}
    assert {one.id: reference_gap(one, reference()) for one in PAIRS} == pytest.approx(expected)


def test_a_gap_above_the_limit_is_left_out():
    kept, left_out = within_reference_gap(PAIRS, reference(), 2.0)
    assert (names(kept), names(left_out)) == (["even", "edge", "wrong"], ["wide", "long"])
    kept, left_out = within_reference_gap(PAIRS, reference(), -3.0)
    assert (names(kept), names(left_out)) == (["wrong"], ["even", "wide", "edge", "long"])


@pytest.mark.parametrize(("longest", "stays"), [(8, True), (9, False), (None, False)])
def test_a_pair_with_an_over_long_rejected_answer_stays(longest, stays):
    kept, _ = within_reference_gap(PAIRS, reference(), 2.0, longest)
    assert ("long" in names(kept)) == stays
    assert "wide" not in names(kept)


def test_pairs_that_were_too_long_for_the_reference_are_kept_for_whoever_counts_them():
    known = [name for name in TABLE if name != "wide"]
    kept, left_out = within_reference_gap(PAIRS, reference(known), 2.0)
    assert (names(kept), names(left_out)) == (["even", "wide", "edge", "wrong"], ["long"])
    with pytest.raises(ContractError, match="no reference log-probs for pair wide"):
        reference_gap(PAIRS[1], reference(known))
