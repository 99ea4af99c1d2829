"""The logits processor of vLLM: several kinds of requests in one batch, slots that are taken again, places by position."""

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

FAKE = Path(__file__).parent / "fake"
VOCABULARY = 12
FRAMES = {"places": [[[2, 4], [8, 10]], [[4, 7]]], "ends": [8, 9], "merge_ends": False, "min_tokens": 0}


@pytest.fixture
def codes(monkeypatch):
    """The module, beside the fake vllm, which is gone afterwards."""
    monkeypatch.syspath_prepend(str(FAKE))
    name = "lpo_tts.sampling.apart.vllm_codes"
    yield importlib.import_module(name)
    for one in [*sys.modules]:
        if one == name or one.partition(".")[0] == "vllm":
            del sys.modules[one]


@pytest.fixture
def made(codes):
    """(processor of four slots, lengths of their prompts)."""
    lengths = SimpleNamespace(gpu=torch.tensor([3, 5, 2, 4], dtype=torch.int32))
    states = SimpleNamespace(max_num_reqs=4, device=torch.device("cpu"), vocab_size=VOCABULARY, prompt_len=lengths)
    return codes.CodesOnly(None, states), lengths


def params(**changes):
    return SimpleNamespace(extra_args={"lpo_tts": {**FRAMES, **changes}})


def masked(processor, slots, steps, lengths, logits=None):
    """Logits after the processor, where slot i draws the token of this step of its answer."""
    mapping = torch.tensor(slots, dtype=torch.int32)
    positions = torch.tensor([int(lengths.gpu[slot]) - 1 + step for slot, step in zip(slots, steps, strict=True)])
    context = SimpleNamespace(expanded_idx_mapping=mapping, idx_mapping_np=np.array(slots), pos=positions)
    processor.apply_staged_writes()
    return processor.apply(torch.zeros(len(slots), VOCABULARY) if logits is None else logits, context)


def left(logits):
    return [row.isfinite().nonzero().flatten().tolist() for row in logits]


EVERY, FIRST, SECOND = list(range(VOCABULARY)), [2, 3, 8, 9], [4, 5, 6]


def test_each_row_is_masked_by_its_own_request_and_place(made):
    processor, lengths = made
    assert processor.add_request(0, params()) is True
    assert processor.add_request(1, SimpleNamespace(extra_args=None)) is False
    assert processor.add_request(2, params(places=[[[0, 1], [8, 10]]], min_tokens=2)) is True
    assert processor.add_request(3, params(places=[])) is False
    assert left(masked(processor, [2, 0, 1, 3], [1, 0, 0, 0], lengths)) == [[0], FIRST, EVERY, EVERY]
    assert left(masked(processor, [0, 2], [1, 2], lengths)) == [SECOND, [0, 8, 9]]
    assert left(masked(processor, [0], [4], lengths)) == [FIRST]
    assert left(masked(processor, [1], [0], lengths)) == [EVERY]


def test_a_slot_forgets_the_request_before(made):
    processor, lengths = made
    processor.add_request(0, params(min_tokens=9))
    assert left(masked(processor, [0], [0], lengths)) == [[2, 3]]
    processor.add_request(0, params())
    assert left(masked(processor, [0], [0], lengths)) == [FIRST]
    processor.add_request(0, SimpleNamespace(extra_args={"other": 1}))
    assert left(masked(processor, [0], [0], lengths)) == [EVERY]


def test_a_prompt_that_is_still_read_does_no_harm(made):
    processor, lengths = made
    processor.add_request(1, params())
    assert left(masked(processor, [1], [-3], lengths)) == [FIRST]  # what is drawn there is thrown away


def test_merged_ends_are_one_outcome(made):
    processor, lengths = made
    logits = torch.randn(3, VOCABULARY, generator=torch.Generator().manual_seed(0))
    probabilities = logits.softmax(-1)
    for slot, changes in enumerate(({"places": []}, {}, {"min_tokens": 1})):
        assert processor.add_request(slot, params(merge_ends=True, **changes))
    found = masked(processor, [0, 1, 2], [0, 0, 0], lengths, logits.clone())
    expected = probabilities[0].clone()
    expected[8], expected[9] = probabilities[0, 8] + probabilities[0, 9], 0
    assert torch.allclose(found[0].softmax(-1), expected, atol=1e-6)
    assert torch.allclose(found[1, 8].exp(), logits[1, [8, 9]].exp().sum())
    assert left(found)[1:] == [[2, 3, 8], [2, 3]]


def test_a_request_without_ends_is_refused(codes):
    with pytest.raises(ValueError, match="expected at least one end"):
        codes.CodesOnly.validate_params(params(ends=[]))
    codes.CodesOnly.validate_params(params())
    codes.CodesOnly.validate_params(SimpleNamespace(extra_args=None))
