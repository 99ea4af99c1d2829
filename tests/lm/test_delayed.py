"""The delayed grid: codes to cells and back, and what is made of grids a model may write."""

import re
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lpo_tts.codes import Codes
from lpo_tts.errors import ConfigError, ContractError
from lpo_tts.lm.delayed import DelayedGrid

B, E = 8, 9
GRID = DelayedGrid(3, 8, B, E)


def codes_of(rows):
    return Codes(tuple(torch.tensor(column) for column in zip(*rows, strict=True)))


ROWS = [[1, 2, 3], [4, 5, 6]]
WRITTEN = [[1, B, B], [4, 2, B], [E, 5, 3], [E, E, 6], [E, E, E]]


def test_two_frames_by_hand():
    grid = GRID.write(codes_of(ROWS))
    assert grid.tolist() == WRITTEN
    assert GRID.drawn(grid).int().tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1], [0, 0, 1], [0, 0, 0]]
    codes, finished, status = GRID.read(grid)
    assert (codes.tolist(), finished, status) == (ROWS, True, "ok")


@given(st.integers(1, 5), st.integers(0, 7), st.integers(0, 2**31), st.integers(1, 20))
def test_there_and_back(books, frames, seed, size):
    grid = DelayedGrid(books, size, size + 1, size)
    rows = torch.randint(0, size, (frames, books), generator=torch.Generator().manual_seed(seed))
    written = grid.write(Codes(tuple(rows.T)))
    assert written.shape == (frames + books, books)
    assert int(grid.drawn(written).sum()) == frames * books + 1
    codes, finished, status = grid.read(written)
    assert torch.equal(codes, rows)
    assert finished
    assert status == ("ok" if frames else "empty")
    for steps in range(len(written)):  # cut off anywhere
        part = written[:steps]
        codes, finished, status = grid.read(part)
        whole = max(0, min(frames, steps - books + 1))
        assert torch.equal(codes, rows[:whole])
        assert not finished
        assert status == ("ok" if whole else "empty")
        assert int(grid.drawn(part).sum()) == int(grid.drawn(written)[:steps].sum())  # what is seen later changes nothing


def test_the_same_as_the_delay_pattern_of_transformers():
    from transformers.models.higgs_audio_v2.processing_higgs_audio_v2 import HiggsAudioV2Processor

    rows = torch.randint(0, 8, (5, 3), generator=torch.Generator().manual_seed(0))
    framed = torch.cat([torch.full((1, 3), B), rows, torch.full((1, 3), E)])
    names = SimpleNamespace(audio_stream_bos_id=B, audio_stream_eos_id=E)
    theirs = HiggsAudioV2Processor.build_delay_pattern(names, framed.T[None])[0].T
    assert torch.equal(theirs[:1], torch.full((1, 3), B))  # their first step is ours to write into the prompt
    assert torch.equal(theirs[1:], GRID.write(Codes(tuple(rows.T))))


@pytest.mark.parametrize(
    ("grid", "codes", "finished", "status"),
    [
        ([], [], False, "empty"),
        ([[E, B, B], [E, E, B], [E, E, E]], [], True, "empty"),
        (WRITTEN[:4], ROWS, False, "ok"),  # the last end is missing
        (WRITTEN[:3], ROWS[:1], False, "ok"),
        ([*WRITTEN, [E, E, E]], ROWS, True, r"1 step\(s\) behind the end"),
        # codebook 1 ends a step early, a step late
        ([[1, B, B], [4, 2, B], [E, E, 3], [E, E, 6], [E, E, E]], ROWS[:1], True, "token 9 of codebook 1 at step 2 where a code"),
        ([[1, B, B], [4, 2, B], [E, 5, 3], [E, 7, 6], [E, E, E]], ROWS, True, "token 7 of codebook 1 at step 3 where 9 is due"),
        # codebook 0 goes on behind its end
        ([[1, B, B], [4, 2, B], [E, 5, 3], [7, E, 6], [E, E, E]], ROWS, True, "token 7 of codebook 0 at step 3 where 9 is due"),
        # a begin among the codes, a code among the begins
        (
            [[1, B, B], [B, 2, B], [E, 5, 3], [E, E, 6], [E, E, E]],
            ROWS[:1],
            True,
            r"token 8 of codebook 0 at step 1 where a code",
        ),
        ([[1, 0, B], [4, 2, B], [E, 5, 3], [E, E, 6], [E, E, E]], [], True, "token 0 of codebook 1 at step 0 where 8 is due"),
    ],
)
def test_what_a_model_may_write(grid, codes, finished, status):
    tokens = torch.tensor(grid, dtype=torch.int64).view(-1, 3)
    found = GRID.read(tokens)
    assert (found[0].tolist(), found[1]) == (codes, finished)
    assert re.search(status, found[2]), found[2]


def test_codes_that_do_not_fit_are_refused():
    with pytest.raises(ContractError, match=r"expected 3 codebooks of equal length, found codebooks of \[1, 1\] codes"):
        GRID.write(codes_of([[1, 2]]))
    with pytest.raises(ContractError, match=r"found codebooks of \[1, 1, 2\] codes"):
        GRID.write(Codes((torch.tensor([1]), torch.tensor([1]), torch.tensor([1, 2]))))
    with pytest.raises(ContractError, match=r"code 8 lies outside codebook 2 \(size 8\)"):
        GRID.write(codes_of([[1, 2, 3], [4, 5, 8]]))


def test_a_grid_that_cannot_be_is_refused():
    with pytest.raises(ConfigError, match="must differ and lie behind the codes 0 to 7, found 7 and 9"):
        DelayedGrid(3, 8, 7, 9)
    with pytest.raises(ConfigError, match="found 0 codebook"):
        DelayedGrid(0, 8, 8, 9)
