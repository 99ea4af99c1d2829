"""A causal LM as a speech LM of one stream."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

from lpo_tts.errors import ComponentError
from lpo_tts.lm.attention import NAME
from lpo_tts.lm.base import PromptInputs, prompt_key
from lpo_tts.lm.causal import CausalLM, speech_lm

SIZES = {"vocab_size": 20, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}


def llama():
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**SIZES)).eval()


def test_a_bare_model_is_read_as_one_stream_and_others_stay_what_they_are():
    module = llama()
    lm = speech_lm(module)
    assert isinstance(lm, CausalLM)
    assert speech_lm(lm) is lm
    assert (lm.module, lm.streams, lm.vocabulary, lm.hidden_size, lm.window) == (module, 1, (20,), 16, None)
    assert lm.counted(torch.zeros(3, 1)) is None
    assert CausalLM(torch.nn.Linear(2, 2)).vocabulary is None
    mistral = MistralForCausalLM(MistralConfig(**SIZES, num_key_value_heads=1, sliding_window=7))
    assert CausalLM(mistral).window == 7


def test_attention_is_chosen_and_packs_are_left_again():
    lm = CausalLM(llama())
    lm.set_attention("eager")
    before = lm.attention
    assert (before, lm.takes_packs) == ("eager", False)
    lm.take_packs()
    assert lm.takes_packs
    wrapped = torch.nn.Module()
    wrapped.module = lm.module
    assert lm.around(wrapped).takes_packs
    lm.set_attention(before)
    assert (lm.attention, lm.takes_packs) == ("eager", False)
    lm.take_packs()
    lm.set_attention(NAME)  # where packs were taken before already
    assert (lm.attention, lm.takes_packs) == ("sdpa", False)


@pytest.mark.parametrize("name", ["auto", "fast", "transformers"])
def test_columns_are_the_allowed_ids(name):
    lm = CausalLM(llama())
    allowed = torch.tensor([3, 7, 19])
    asked = []

    def draw(stream, logits):
        asked.append((stream, tuple(logits.shape)))
        return torch.arange(len(logits)) % 3

    with torch.inference_mode():
        state = lm.decoder(name, [(allowed,)]).begin([PromptInputs(torch.tensor([[1], [2]]))], [4], 3)
        assert state.step(draw).tolist() == [[3], [7], [19], [3]]
        left = state.drop(torch.tensor([False, True, False, False]))
        assert sorted(left.tolist()) == [0, 2, 3]
        assert state.step(draw).tolist() == [[3], [7], [19]]
    assert asked == [(0, (4, 3)), (0, (3, 3))]


def test_a_model_that_the_fast_decoder_does_not_know():
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    lm = CausalLM(MistralForCausalLM(MistralConfig(num_key_value_heads=1, vocab_size=64, **sizes)))
    assert lm.decoder("auto").begin([PromptInputs(torch.tensor([[1]]))], [1], 2) is not None
    with pytest.raises(ComponentError, match=r"does not know MistralForCausalLM.*set `sampling.decoder: transformers`"):
        lm.decoder("fast")


def test_prompts_are_the_same_when_tokens_and_features_are():
    tokens = torch.tensor([[1], [2]])
    plain = prompt_key(tokens, {})
    assert plain == prompt_key(tokens.clone(), {}) == tokens.numpy().tobytes()
    one, other = {"a": torch.ones(2), "b": torch.zeros(1)}, {"b": torch.zeros(1), "a": torch.ones(2)}
    assert prompt_key(tokens, one) == prompt_key(tokens, other) != plain
    assert prompt_key(tokens, one) != prompt_key(tokens, {"a": torch.ones(2)})
    assert prompt_key(tokens, {"a": torch.ones(1, 2)}) != prompt_key(tokens, {"a": torch.ones(2)})
