"""Codes and token ids: the layout is its own inverse, and says what does not fit."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lpo_tts.codes import Codes, Slot, TokenLayout
from lpo_tts.errors import ContractError

SNAC = TokenLayout(
    tuple(
        Slot(level, index, 128266 + 4096 * k, 4096)
        for k, (level, index) in enumerate([(0, 0), (1, 0), (2, 0), (2, 1), (1, 1), (2, 2), (2, 3)])
    )
)


@st.composite
def layouts(draw: st.DrawFn) -> TokenLayout:
    rates = [1] + draw(st.lists(st.integers(1, 4), max_size=3))
    places = draw(st.permutations([(level, index) for level, rate in enumerate(rates) for index in range(rate)]))
    slots, first = [], draw(st.integers(0, 1000))
    sizes = [draw(st.integers(1, 70000)) for _ in rates]
    for level, index in places:
        slots.append(Slot(level, index, first, sizes[level]))
        first += sizes[level] + draw(st.integers(0, 3))
    return TokenLayout(tuple(slots))


@st.composite
def layouts_with_codes(draw: st.DrawFn) -> tuple[TokenLayout, Codes]:
    layout = draw(layouts())
    frames = draw(st.integers(0, 6))
    size = {slot.level: slot.size for slot in layout.slots}
    levels = []
    for level in range(layout.num_levels):
        count = frames * layout.rate(level)
        levels.append(
            torch.tensor(draw(st.lists(st.integers(0, size[level] - 1), min_size=count, max_size=count)), dtype=torch.int64)
        )
    return layout, Codes(tuple(levels))


@settings(max_examples=60, deadline=None)
@given(layouts_with_codes())
def test_codes_to_tokens_and_back(case):
    layout, codes = case
    tokens = layout.to_tokens(codes)
    assert tokens.dtype == torch.int64
    assert tokens.shape == (codes.num_frames * len(layout.slots),)
    back = layout.to_codes(tokens)
    assert len(back.levels) == len(codes.levels)
    assert all(torch.equal(a, b) for a, b in zip(back.levels, codes.levels, strict=True))


@settings(max_examples=60, deadline=None)
@given(layouts_with_codes(), st.integers(0, 8))
def test_first_frames_of_the_codes_are_the_first_tokens(case, num_frames):
    layout, codes = case
    tokens = layout.to_tokens(codes)
    assert torch.equal(layout.to_tokens(codes.first(num_frames)), tokens[: num_frames * len(layout.slots)])


@settings(max_examples=60, deadline=None)
@given(layouts_with_codes(), st.data())
def test_a_token_out_of_place_is_named(case, data):
    layout, codes = case
    tokens = layout.to_tokens(codes)
    if not tokens.numel():
        return
    position = data.draw(st.integers(0, tokens.numel() - 1))
    slot = layout.slots[position % len(layout.slots)]
    tokens[position] = slot.first_id + slot.size
    with pytest.raises(ContractError, match=f"token {slot.first_id + slot.size} at position {position} is no code of slot"):
        layout.to_codes(tokens)


def test_snac_interleave():
    codes = Codes((torch.tensor([1, 2]), torch.tensor([10, 11, 12, 13]), torch.arange(100, 108)))
    tokens = SNAC.to_tokens(codes) - 128266 - torch.arange(7).repeat(2) * 4096
    assert tokens.tolist() == [1, 10, 100, 101, 11, 102, 103, 2, 12, 104, 105, 13, 106, 107]


def test_flat_layout_is_an_offset():
    layout = TokenLayout.flat(128264, 65536)
    assert layout.to_tokens(Codes((torch.tensor([0, 65535]),))).tolist() == [128264, 193799]


def test_no_frames():
    codes = SNAC.to_codes(torch.empty(0, dtype=torch.int64))
    assert [level.numel() for level in codes.levels] == [0, 0, 0]
    assert SNAC.to_tokens(codes).numel() == 0
    assert Codes(()).num_frames == 0


@pytest.mark.parametrize("code", [-1, 4096])
def test_a_code_outside_its_codebook_is_refused(code):
    with pytest.raises(ContractError, match=rf"code {code} lies outside codebook 1 \(size 4096\)"):
        SNAC.to_tokens(Codes((torch.tensor([1]), torch.tensor([0, code]), torch.zeros(4, dtype=torch.int64))))


def test_wrong_number_of_levels_codes_or_tokens_is_refused():
    with pytest.raises(ContractError, match=r"3 level\(s\), found 1"):
        SNAC.to_tokens(Codes((torch.tensor([1]),)))
    with pytest.raises(ContractError, match="codebook 2: expected 4 codes for 1 frames, found 3"):
        SNAC.to_tokens(Codes((torch.tensor([1]), torch.tensor([1, 2]), torch.tensor([1, 2, 3]))))
    with pytest.raises(ContractError, match="whole frames of 7 tokens, found 8"):
        SNAC.to_codes(torch.arange(8))
    with pytest.raises(ContractError, match="at least 0, found -1"):
        Codes((torch.tensor([1]),)).first(-1)


@pytest.mark.parametrize(
    "slots",
    [
        (),
        (Slot(0, 1, 0, 4),),
        (Slot(0, 0, 0, 4), Slot(2, 0, 4, 4)),
        (Slot(0, 0, 0, 4), Slot(1, 0, 4, 4), Slot(1, 0, 8, 4)),
        (Slot(0, 0, 0, 4), Slot(0, 1, 4, 4)),
        (Slot(0, 0, 0, 0),),
    ],
)
def test_a_layout_that_is_none_is_refused(slots):
    with pytest.raises(ContractError, match="layout"):
        TokenLayout(slots)
