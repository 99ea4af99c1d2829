"""Forced alignment against every path there is."""

import itertools

import pytest
import torch

from lpo_tts.asr.forced import force
from lpo_tts.errors import ContractError


def read(path, blank):
    """What a path of CTC says, with the frames of each symbol."""
    found = []
    for frame, symbol in enumerate(path):
        if symbol != blank and (frame == 0 or path[frame - 1] != symbol):
            found.append([symbol, frame, frame])
        if symbol != blank:
            found[-1][2] = frame + 1
    return found


def enumerated(logps, ids, blank):
    """The most probable of all paths that read as `ids`: its probability and spans."""
    paths = itertools.product(range(logps.shape[1]), repeat=logps.shape[0])
    fitting = [path for path in paths if [one[0] for one in read(path, blank)] == list(ids)]
    totals = [sum(float(logps[frame, symbol]) for frame, symbol in enumerate(path)) for path in fitting]
    best = max(range(len(totals)), key=totals.__getitem__)
    return totals[best], tuple((first, end) for _, first, end in read(fitting[best], blank))


@pytest.mark.parametrize(
    ("ids", "blank"), [((1,), 0), ((1, 2), 0), ((1, 1), 0), ((2, 1, 2), 0), ((1, 2, 2), 0), ((), 0), ((0, 1), 2), ((0, 0), 1)]
)
def test_the_path_is_the_best_of_all_that_read_as_the_text(ids, blank):
    for seed in range(5):
        logps = torch.randn(6, 3, generator=torch.Generator().manual_seed(seed)).log_softmax(-1)
        total, spans = enumerated(logps, ids, blank)
        found = force(logps, ids, blank)
        assert found.total == pytest.approx(total)
        assert found.spans == spans


def test_as_many_frames_as_the_text_needs_are_enough():
    logps = torch.zeros(3, 2).log_softmax(-1)
    assert force(logps, (1, 1)).spans == ((0, 1), (2, 3))


def test_a_text_that_does_not_fit_is_refused():
    logps = torch.zeros(2, 2).log_softmax(-1)
    with pytest.raises(ContractError, match="at least 3 frames for a text of 2 symbols, found 2"):
        force(logps, (1, 1))
    with pytest.raises(ContractError, match=r"found \[0, 2\]"):
        force(logps, (0, 2))
    with pytest.raises(ContractError, match="at least 1 frames"):
        force(logps[:0], ())
