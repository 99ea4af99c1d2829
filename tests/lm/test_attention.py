"""Packed attention against dense attention with the layout's mask, and what a model makes of a layout."""

import copy
import sys
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

from lpo_tts.errors import ConfigError
from lpo_tts.lm.attention import install, packed_attention, takes_layouts
from lpo_tts.lm.layout import Layout
from lpo_tts.lm.logps import answer_logps
from lpo_tts.training.batch import collate
from lpo_tts.training.examples import AnswerExample, ListExample

sys.path.insert(0, str(Path(__file__).parents[1]))
from layouts import LAYOUTS, check_against_dense, dense, ids, layout_of, real, tensors


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize(("heads", "shared"), [(4, 4), (4, 2), (4, 1)])
def test_values_and_gradients_equal_those_of_dense_attention(name, heads, shared):
    check_against_dense(LAYOUTS[name], heads, shared)


def test_bf16_autocast_is_as_near_as_bf16_can_be():
    layout, scale = LAYOUTS["several groups"], 8**-0.5
    ours, theirs = tensors(layout, 4, 2), tensors(layout, 4, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = packed_attention(*ours, layout, scale)
    assert found.dtype == torch.bfloat16
    expected = dense(*theirs, layout, scale)
    weight = real(layout)[:, None]
    assert ((found.float() - expected) * weight).abs().max() < 0.03
    (found.float() * weight).sum().backward()
    (expected * weight).sum().backward()
    for one, other in zip(ours, theirs, strict=True):
        assert one.grad.dtype == torch.float32
        assert (one.grad - other.grad).abs().max() < 0.05 * other.grad.abs().max()


def test_off_the_cpu_it_is_dense_attention_with_the_mask(monkeypatch):
    """The branch for accelerators, run on this machine: a tensor that says it is elsewhere."""
    layout, scale = LAYOUTS["several groups"], 0.5

    class Elsewhere(torch.Tensor):
        @property
        def device(self):
            return type("Device", (), {"type": "xpu"})()

    monkeypatch.setattr(torch, "is_autocast_enabled", lambda kind: False)
    monkeypatch.setattr(torch.Tensor, "to", lambda self, *args, **kwargs: self)  # there is no such device to go to
    query, key, value = (tensor.detach() for tensor in tensors(layout, 4, 2))
    found = packed_attention(query.as_subclass(Elsewhere), key, value, layout, scale)
    assert torch.allclose(found.as_subclass(torch.Tensor), dense(query, key, value, layout, scale), atol=1e-6)


def test_the_mask_by_hand():
    layout = Layout(7, ((0, 3), (3, 2)), ((3, 2, 0, 2),))  # a prompt of two, answers of one and two, two places of padding
    assert layout.mask.int().tolist() == [
        [1, 0, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0],
        [1, 1, 0, 1, 0, 0, 0],
        [1, 1, 0, 1, 1, 0, 0],
        [0, 0, 0, 0, 0, 1, 0],
        [0, 0, 0, 0, 0, 0, 1],
    ]


@pytest.mark.parametrize("name", LAYOUTS)
def test_longest_is_the_most_any_query_sees(name):
    assert LAYOUTS[name].longest == int(LAYOUTS[name].mask.sum(1).max())


def test_longest_counts_the_prompt_for_later_answers():
    assert layout_of((10, 1, 8)).longest == 18
    assert layout_of((10, 9, 8)).longest == 19
    assert layout_of((3, 2), (4, 1, 1, 6)).longest == 10


def llama(**changes):
    torch.manual_seed(0)
    sizes = {"vocab_size": 40, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    return LlamaForCausalLM(LlamaConfig(**sizes, num_key_value_heads=2, initializer_range=0.2, **changes)).eval()


@torch.no_grad()
def test_calls_without_a_layout_are_plain_sdpa():
    plain = llama(attn_implementation="sdpa")
    packed = copy.deepcopy(plain)
    install(packed)
    assert takes_layouts(packed)
    assert not takes_layouts(plain)
    rows, mask = torch.stack([ids(9), ids(9)]), torch.ones(2, 9, dtype=torch.int64)
    mask[1, 6:] = 0
    assert torch.equal(packed(rows).logits, plain(rows).logits)
    assert torch.equal(packed(rows, attention_mask=mask).logits, plain(rows, attention_mask=mask).logits)
    options = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0}
    assert torch.equal(packed.generate(rows, **options), plain.generate(rows, **options))


def test_answers_do_not_see_each_other():
    model = llama()
    install(model)
    prompt, first, second = ids(6), ids(5), ids(7)

    def score(*answers):
        examples = [AnswerExample(str(i), prompt, answer, True) for i, answer in enumerate(answers)]
        with torch.no_grad():
            return answer_logps(model, collate(examples)).total.tolist()

    both = score(first, second)
    assert both == pytest.approx([*score(first), *score(second)], abs=1e-5)
    assert score(second, first) == pytest.approx(both[::-1], abs=1e-5)


def test_a_sliding_window_shorter_than_a_sequence_is_refused():
    torch.manual_seed(0)
    sizes = {"vocab_size": 40, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    batch = collate([ListExample("a", ids(6), (ids(2), ids(5)))])  # a sequence of 11, in two parts
    narrow = MistralForCausalLM(MistralConfig(**sizes, num_key_value_heads=1, sliding_window=10))
    install(narrow)
    message = "but MistralAttention has a sliding window of 10 tokens and a sequence has 11; set pack: false"
    with pytest.raises(ConfigError, match=message):
        answer_logps(narrow, batch)
    wide = MistralForCausalLM(MistralConfig(**sizes, num_key_value_heads=1, sliding_window=11))
    wide.load_state_dict(narrow.state_dict())
    install(wide)
    padded = collate([ListExample("a", batch["tokens"][0, :6], (batch["targets"][:2], batch["targets"][2:7]))], pack=False)
    assert torch.allclose(answer_logps(wide, batch).total, answer_logps(wide, padded).total, atol=1e-5)
