"""What pair rules made of the candidates, counted by hand."""

import hashlib

import pytest

from lpo_tts.comparison.pairing import ALL, CHOSEN, MAX_VALUES, REJECTED, Pairing, Values
from lpo_tts.records import Candidate, LabelledCandidate, PreferencePair
from lpo_tts.scale import Scale

WER = Scale(higher_is_better=False, unit="%", aggregate="ratio", missing=1.0, short="WER")


def candidate(prompt, index, frames, finished=True):
    return Candidate(
        id=f"{prompt}#{index}", prompt_id=prompt, index=index, seed=index, temperature=1.0, top_p=1.0, top_k=0,
        num_tokens=frames + 1, num_frames=frames, finished=finished,
    )  # fmt: skip


def pair(prompt, chosen, rejected, split="train"):
    ids = f"{prompt}#{chosen}", f"{prompt}#{rejected}"
    return PreferencePair(id=">".join(ids), prompt_id=prompt, chosen=ids[0], rejected=ids[1], margins={"wer": 0.5}, split=split)


def test_counts_of_two_prompts():
    pairing = Pairing({"wer": WER})
    first = [candidate("a", 0, 10), candidate("a", 1, 30, finished=False), candidate("a", 2, 20)]
    scores = {"wer": {"a#0": 0.0, "a#1": 0.5, "a#2": None}}
    pairing.add(first, scores, [pair("a", 0, 1), LabelledCandidate(id="a#0+", prompt_id="a", candidate="a#0", desirable=True)])
    pairing.add([candidate("b", 0, 8)], {"wer": {"b#0": 0.25}}, [])
    assert (pairing.num_prompts, pairing.num_candidates, pairing.num_unfinished, pairing.num_pairs) == (2, 4, 1, 1)
    assert dict(pairing.kinds) == {"pair, train": 1, "labelled candidate, train": 1}
    assert dict(pairing.pairs_per_prompt) == {1: 1, 0: 1}
    assert pairing.scores["wer"][ALL].mean == pytest.approx((0.0 + 0.5 + 0.25) / 3)
    assert list(pairing.scores["wer"][CHOSEN].kept) == [0.0]
    assert list(pairing.scores["wer"][REJECTED].kept) == [0.5]
    assert pairing.unscorable == {"wer": 1}
    assert pairing.frames[ALL].mean == pytest.approx((10 + 30 + 20 + 8) / 4)
    assert dict(pairing.longer) == {REJECTED: 1}


def test_a_recording_may_be_chosen():
    pairing = Pairing({"wer": WER})
    target = candidate("a", 9, 12)
    row = PreferencePair(id="t>a#0", prompt_id="a", chosen=target.id, rejected="a#0", margins={"wer": 1.0})
    pairing.add([candidate("a", 0, 10)], {"wer": {"a#0": 1.0}}, [row], target)
    assert (pairing.frames[CHOSEN].mean, pairing.longer[CHOSEN]) == (12, 1)
    assert CHOSEN not in pairing.scores["wer"]  # nobody scored the recording


def test_pairs_to_listen_to_are_those_with_the_smallest_hashes():
    pairing = Pairing({}, num_listen=3)
    rows = [pair(f"p{number}", 0, 1) for number in range(40)]
    for row in rows:
        pairing.add([candidate(row.prompt_id, 0, 5), candidate(row.prompt_id, 1, 5)], {}, [row])
    by_hash = sorted(rows, key=lambda row: hashlib.sha256(row.id.encode()).digest()[:8])
    assert pairing.drawn == sorted(by_hash[:3], key=lambda row: row.id)
    assert Pairing({}, num_listen=0).drawn == []


def test_long_tables_are_thinned_evenly_but_counted_exactly():
    values = Values()
    for number in range(5 * MAX_VALUES):
        values.add(number)
    assert values.count == 5 * MAX_VALUES
    assert values.mean == (5 * MAX_VALUES - 1) / 2
    assert len(values.kept) < 2 * MAX_VALUES
    assert list(values.kept) == list(range(0, 5 * MAX_VALUES, 4))
    assert Values().mean is None
