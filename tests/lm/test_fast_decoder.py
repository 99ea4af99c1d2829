"""The fast decoder computes what the transformers model computes, whatever is dropped on the way."""

import copy

import pytest
import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from lpo_tts.errors import ContractError
from lpo_tts.lm.fast_decoder import FastDecoder
from lpo_tts.lm.plain_decoder import PlainDecoder

SIZES = {"vocab_size": 61, "hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 3, "max_position_embeddings": 128}
GPT2_SIZES = {"vocab_size": 61, "n_embd": 48, "n_layer": 3, "n_head": 3, "n_positions": 128, "bos_token_id": 0, "eos_token_id": 0}
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
KINDS = {
    "llama": lambda: LlamaForCausalLM(
        LlamaConfig(num_attention_heads=3, num_key_value_heads=1, tie_word_embeddings=True, **SIZES)
    ),
    "llama-mha": lambda: LlamaForCausalLM(
        LlamaConfig(num_attention_heads=4, num_key_value_heads=4, attention_bias=True, **SIZES)
    ),
    "llama3-rope": lambda: LlamaForCausalLM(
        LlamaConfig(num_attention_heads=6, num_key_value_heads=2, head_dim=16, rope_parameters=LLAMA3_ROPE, **SIZES)
    ),
    "llama-tied-biased": lambda: LlamaForCausalLM(
        LlamaConfig(num_attention_heads=6, num_key_value_heads=2, attention_bias=True, tie_word_embeddings=True, **SIZES)
    ),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(num_attention_heads=6, num_key_value_heads=2, **SIZES)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(num_attention_heads=4, num_key_value_heads=2, head_dim=16, **SIZES)),
    "qwen3-tied": lambda: Qwen3ForCausalLM(
        Qwen3Config(num_attention_heads=4, num_key_value_heads=2, head_dim=16, tie_word_embeddings=True, **SIZES)
    ),
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(**GPT2_SIZES)),
    "gpt2-untied-gelu": lambda: GPT2LMHeadModel(
        GPT2Config(activation_function="gelu", n_inner=40, tie_word_embeddings=False, **GPT2_SIZES)
    ),
}


def random_model(kind):
    torch.manual_seed(0)
    model = KINDS[kind]().eval()
    with torch.no_grad():  # norms and biases that are not 1 and 0
        for name, parameter in model.named_parameters():
            if ("norm" in name or "ln_" in name) and name.endswith("weight"):
                parameter.uniform_(0.5, 1.5)
            elif name.endswith("bias"):
                parameter.normal_(0, 0.5)
            else:
                parameter.normal_(0, 0.2)
    return model


def teacher_forced(model, sequence, num_prompt):
    with torch.inference_mode():
        return model(sequence[None]).logits[0, num_prompt - 1 : -1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("restricted", [False, True])
def test_logits_equal_the_models(kind, restricted):
    model = random_model(kind)
    generator = torch.Generator().manual_seed(3)
    lengths, counts, steps = [5, 9, 1], [3, 1, 2], 12
    prompts = [torch.randint(0, 61, (length,), generator=generator) for length in lengths]
    answers = torch.randint(0, 61, (sum(counts), steps), generator=generator)
    allowed = torch.tensor([3, 7, 20, 21, 60]) if restricted else None
    expected = []
    for prompt, count in zip(prompts, counts, strict=True):
        for _ in range(count):
            logits = teacher_forced(model, torch.cat([prompt, answers[len(expected)]]), prompt.numel())
            expected.append(logits if allowed is None else logits[:, allowed])
    expected = torch.stack(expected)

    decoder = FastDecoder.from_model(model, None if allowed is None else [allowed])
    assert decoder is not None
    rows = torch.arange(sum(counts))
    leaves = {2: [1], 5: [0, 5], 8: [2, 4]}  # candidates that finish after a step; the last one runs alone
    with torch.inference_mode():
        state, logits = decoder.begin(prompts, counts, steps)
        for step in range(steps):
            assert (logits - expected[rows, step]).abs().max() < 1e-4
            finished = torch.isin(rows, torch.tensor(leaves.get(step, [])))
            if finished.any():
                rows = rows[state.drop(finished)]
            if step + 1 < steps:
                logits = state.step(answers[rows, step])
    assert rows.tolist() == [3]
    assert state.prefix.shape[2] == 1  # only the prompt still in use is kept


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_prompts", [1, 2])
def test_as_many_rows_for_every_prompt(kind, num_prompts):
    """No row then has to be put in its place, which leaves tensors in another order in memory."""
    model = random_model(kind)
    generator = torch.Generator().manual_seed(4)
    prompts = [torch.randint(0, 61, (5,), generator=generator) for _ in range(num_prompts)]
    answers = torch.randint(0, 61, (3 * num_prompts, 6), generator=generator)
    with torch.inference_mode():
        state, logits = FastDecoder.from_model(model).begin(prompts, [3] * num_prompts, 6)
        for step in range(6):
            for row, found in enumerate(logits):
                expected = teacher_forced(model, torch.cat([prompts[row // 3], answers[row]]), 5)[step]
                assert (found - expected).abs().max() < 1e-4
            logits = state.step(answers[:, step])


@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16_is_as_near_to_float32_as_the_model_itself(kind):
    """Both round in their own places, so they are compared with the same weights in float32."""
    model = random_model(kind).bfloat16()
    exact = copy.deepcopy(model).float()
    generator = torch.Generator().manual_seed(5)
    prompts = [torch.randint(0, 61, (length,), generator=generator) for length in (4, 9)]
    answers = torch.randint(0, 61, (4, 40), generator=generator)
    errors = {"fast": [], "plain": []}
    with torch.inference_mode():
        references = [
            teacher_forced(exact, torch.cat([prompts[row // 2], answers[row]]), len(prompts[row // 2])) for row in range(4)
        ]
        for name, decoder in (("fast", FastDecoder.from_model(model)), ("plain", PlainDecoder(model))):
            state, logits = decoder.begin(prompts, [2, 2], 40)
            for step in range(40):
                assert logits.dtype == torch.float32
                errors[name].append(logits - torch.stack([reference[step] for reference in references]))
                logits = state.step(answers[:, step]) if step < 39 else logits
    fast, plain = (torch.stack(errors[name]).square().mean().sqrt() for name in ("fast", "plain"))
    assert fast < 1.3 * plain


@pytest.mark.parametrize("kind", ["llama3-rope", "gpt2"])
def test_every_place_of_a_frame_has_its_columns(kind):
    model = random_model(kind)
    places = [torch.tensor([0, 3, 60]), torch.arange(7, 20), torch.tensor([0, 3, 60])]
    prompt, answer = torch.tensor([5, 6, 7]), torch.arange(20, 28)
    expected = teacher_forced(model, torch.cat([prompt, answer]), 3)
    decoder = FastDecoder.from_model(model, places)
    assert decoder.weights.heads[0] is decoder.weights.heads[2]
    with torch.inference_mode():
        state, logits = decoder.begin([prompt], [1], 8)
        for step in range(8):
            assert (logits[0] - expected[step, places[step % 3]]).abs().max() < 1e-4
            logits = state.step(answer[step : step + 1]) if step < 7 else logits


@pytest.mark.parametrize("kind", ["llama-mha", "qwen3", "gpt2"])
def test_without_the_layout_of_the_cpu(kind, monkeypatch):
    """As on a GPU, or with a build of torch that has no oneDNN."""
    model = random_model(kind)
    prompt, answer = torch.tensor([5, 6, 7]), torch.arange(20, 28)
    expected = teacher_forced(model, torch.cat([prompt, answer]), 3)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    decoder = FastDecoder.from_model(model)
    assert not decoder.layers[0].qkv.packed
    with torch.inference_mode():
        state, logits = decoder.begin([prompt], [1], 8)
        for step in range(8):
            assert (logits[0] - expected[step]).abs().max() < 1e-4
            logits = state.step(answer[step : step + 1]) if step < 7 else logits


def test_drop_moves_the_last_rows_into_the_gaps():
    model = random_model("llama")
    decoder = FastDecoder.from_model(model)
    with torch.inference_mode():
        state, _ = decoder.begin([torch.tensor([1, 2])], [5], 4)
        state.step(torch.arange(5))
        order = state.drop(torch.tensor([True, False, True, False, False]))
        assert order.tolist() == [3, 1, 4] or order.tolist() == [4, 1, 3]
        assert state.drop(torch.tensor([True, True, True])).numel() == 0


def test_other_models_are_not_taken():
    mistral = MistralConfig(num_attention_heads=3, num_key_value_heads=1, **SIZES)
    assert FastDecoder.from_model(MistralForCausalLM(mistral)) is None
    assert FastDecoder.from_model(GPT2LMHeadModel(GPT2Config(activation_function="tanh", **GPT2_SIZES))) is None
    assert FastDecoder.from_model(GPT2LMHeadModel(GPT2Config(scale_attn_by_inverse_layer_idx=True, **GPT2_SIZES))) is None
    sizes = {**SIZES, "num_hidden_layers": 1, "num_attention_heads": 3, "num_key_value_heads": 1}
    assert FastDecoder.from_model(LlamaForCausalLM(LlamaConfig(hidden_act="gelu", **sizes))) is None
    assert FastDecoder.from_model(LlamaForCausalLM(LlamaConfig(mlp_bias=True, **sizes))) is None
    dynamic = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}
    assert FastDecoder.from_model(LlamaForCausalLM(LlamaConfig(rope_parameters=dynamic, **sizes))) is None
    sliding = Qwen2Config(use_sliding_window=True, sliding_window=8, max_window_layers=0, **sizes)
    assert FastDecoder.from_model(Qwen2ForCausalLM(sliding)) is None


def test_more_positions_than_the_model_has_are_refused():
    decoder = FastDecoder.from_model(random_model("llama"))
    with pytest.raises(ContractError, match="prompt of 8 tokens and 121 sampled ones exceed the model's 128 positions"):
        decoder.begin([torch.arange(8)], [1], 121)
