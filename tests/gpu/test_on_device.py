"""What a device computes is what the CPU computes, within rounding; the CPU runs the same tests against itself."""

import copy
import functools
import sys
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy, linear
from transformers import LlamaConfig, LlamaForCausalLM

from lpo_tts.backbones.flat_answers import FlatAnswers
from lpo_tts.codes import TokenLayout
from lpo_tts.lm.attention import packed_attention
from lpo_tts.lm.attention_choice import CANDIDATES, kernel_for, proof_layout, prove
from lpo_tts.lm.base import PromptInputs
from lpo_tts.lm.causal import CausalLM
from lpo_tts.lm.delay import DelayLM
from lpo_tts.lm.delayed import DelayedGrid
from lpo_tts.lm.depth import DepthLM
from lpo_tts.lm.fast_decoder import FastDecoder
from lpo_tts.lm.head import token_logps
from lpo_tts.lm.logps import Wanted
from lpo_tts.losses.lpo import LPOSTE
from lpo_tts.sampling.base import SampleRequest, candidate_seed
from lpo_tts.sampling.local import LoadedLocalSampler, LocalSampler
from lpo_tts.training.batch import collate, moved
from lpo_tts.training.examples import PairExample
from lpo_tts.training.scoring import Scorer

sys.path.insert(0, str(Path(__file__).parents[1]))
import multistream as ms
from layouts import LAYOUTS, dense, real

DEVICES = pytest.mark.parametrize(
    "device", [pytest.param("cpu", marks=pytest.mark.slow), pytest.param("cuda", marks=pytest.mark.gpu)]
)
TYPES = pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-4), (torch.bfloat16, 0.04)], ids=["fp32", "bf16"])
SIZES = {"vocab_size": 64, "hidden_size": 128, "intermediate_size": 96, "num_hidden_layers": 2, "max_position_embeddings": 160}


def same(found, expected, near):
    """Within a share of the largest entry."""
    found, expected = found.detach().float().cpu(), expected.detach().float()
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= near * expected.abs().max()


@functools.cache
def llama():
    torch.manual_seed(1)
    config = LlamaConfig(num_attention_heads=2, num_key_value_heads=1, initializer_range=0.15, **SIZES)
    return LlamaForCausalLM(config).eval()


@DEVICES
@TYPES
@pytest.mark.parametrize("width", [16, 64, 128])
@pytest.mark.parametrize("name", ["several groups", "many answers", "proof"])
def test_packed_attention(device, dtype, near, width, name):
    layout = {**LAYOUTS, "proof": proof_layout()}[name]
    generator, inside = torch.Generator().manual_seed(1), real(layout)[:, None]
    inputs = [torch.randn(1, heads, layout.length, width, generator=generator).to(dtype) for heads in (4, 2, 2)]
    cotangent = (torch.randn(1, 4, layout.length, width, generator=generator) * inside).to(dtype)
    theirs = [tensor.float().requires_grad_() for tensor in inputs]
    ours = [tensor.to(device).requires_grad_() for tensor in inputs]
    expected, found = dense(*theirs, layout, width**-0.5), packed_attention(*ours, layout, width**-0.5)
    assert found.dtype == dtype
    same(found.cpu() * inside, expected * inside, near)
    gradients = torch.autograd.grad(found, ours, cotangent.to(device))
    for one, other in zip(gradients, torch.autograd.grad(expected, theirs, cotangent.float()), strict=True):
        same(one, other, near)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kernel", CANDIDATES, ids=lambda kernel: kernel.name)
def test_every_kernel_of_a_gpu_proves_itself(kernel, dtype):
    device = torch.device("cuda", torch.cuda.current_device())
    if not kernel.takes(device, dtype, 64):
        pytest.skip(f"{kernel.name} does not take {dtype} on this card")
    assert prove(kernel, device, dtype, 64) is None
    if kernel is CANDIDATES[0]:
        assert kernel_for(device, dtype, 64) is kernel


@DEVICES
@TYPES
@pytest.mark.parametrize("with_bias", [True, False])
def test_fused_head(device, dtype, near, with_bias):
    generator = torch.Generator().manual_seed(2)
    hidden, weight = torch.randn(37, 48, generator=generator), torch.randn(5000, 48, generator=generator) * 0.2
    bias, targets = torch.randn(5000, generator=generator), torch.randint(0, 5000, (37,), generator=generator)
    factors = torch.randn(37, generator=generator)
    theirs = [tensor.clone().requires_grad_() for tensor in (hidden, weight, bias)[: 2 + with_bias]]
    ours = [tensor.detach().to(device).requires_grad_() for tensor in theirs]
    expected = -cross_entropy(linear(*theirs), targets, reduction="none")
    with torch.autocast(device, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        found = token_logps(ours[0], ours[1], ours[2] if with_bias else None, targets.to(device))
    assert found.dtype == torch.float32
    same(found, expected, near)
    gradients = torch.autograd.grad((found * factors.to(device)).sum(), ours)
    for one, other in zip(gradients, torch.autograd.grad((expected * factors).sum(), theirs), strict=True):
        same(one, other, near)


@DEVICES
@torch.inference_mode()
def test_fast_decoder(device):
    """Rows that leave, and prompts of several lengths, against the whole sequence read at once on the CPU."""
    generator, model = torch.Generator().manual_seed(3), llama()
    prompts = [torch.randint(0, 64, (length,), generator=generator) for length in (5, 9, 1)]
    answers, counts = torch.randint(0, 64, (6, 12), generator=generator), [3, 1, 2]
    whole = [torch.cat([prompts[prompt], answer]) for prompt, answer in zip([0, 0, 0, 1, 2, 2], answers, strict=True)]
    expected = [model(ids[None]).logits[0, -13:-1] for ids in whole]
    decoder, rows = FastDecoder.from_model(copy.deepcopy(model).to(device)), torch.arange(6)
    state, logits = decoder.begin(prompts, counts, 12)
    for step in range(12):
        same(logits, torch.stack([expected[row][step] for row in rows]), 1e-4)
        leaving = torch.isin(rows, torch.tensor({2: [1], 5: [0, 5]}.get(step, [])))
        if leaving.any():
            rows = rows[state.drop(leaving.to(device)).cpu()]
        if step + 1 < 12:
            logits = state.step(answers[rows, step].to(device))


def sampled(model, decoder):
    generator = torch.Generator().manual_seed(4)
    requests = [
        SampleRequest(
            f"p{n}",
            PromptInputs(torch.randint(0, 64, (3 + 2 * n, 1), generator=generator)),
            tuple(candidate_seed(7, f"p{n}#{k}") for k in range(6)),
        )
        for n in range(5)
    ]
    sampler = LoadedLocalSampler(
        CausalLM(model), FlatAnswers(TokenLayout.flat(10, 40), (52, 53)), LocalSampler(max_tokens=40, decoder=decoder)
    )
    return [(answer.prompt_id, answer.index, answer.tokens.flatten().tolist()) for answer in sampler.sample(requests)]


@DEVICES
@pytest.mark.parametrize("decoder", ["fast", "transformers"])
def test_the_same_seeds_give_the_same_answers(device, decoder):
    expected, found = sampled(llama(), "transformers"), sampled(copy.deepcopy(llama()).to(device), decoder)
    assert len({tuple(tokens) for _, _, tokens in expected}) == 30
    # One of 30: a number drawn within rounding of the border between two tokens.
    assert sum(one != other for one, other in zip(found, expected, strict=True)) <= 1


GRID = DelayedGrid(ms.BOOKS, ms.CODES, ms.BEGIN, ms.END)


def delay_pairs():
    begins = torch.full((1, ms.BOOKS), ms.BEGIN)

    def answer(frames, seed):
        return GRID.write(ms.answer_of(ms.frames_of(frames, seed)))

    prompts = [torch.cat([ms.prompt_of(ms.DELAY_ROWS, words), begins]) for words in ((1, 2, 3), (4,))]
    return DelayLM(ms.delay_model(), GRID), prompts, answer


def depth_pairs():
    end = torch.zeros(1, ms.BOOKS, dtype=torch.int64)

    def answer(frames, seed):
        return torch.cat([ms.frames_of(frames, seed), end])

    return DepthLM(ms.depth_model()), [ms.prompt_of(ms.DEPTH_ROWS, words) for words in ((1, 2, 3), (4,))], answer


def flat_pairs():
    generator = torch.Generator().manual_seed(5)

    def ids(count):
        return torch.randint(0, 64, (count, 1), generator=generator)

    return CausalLM(copy.deepcopy(llama())), [ids(7), ids(3)], lambda frames, seed: ids(frames)


@DEVICES
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("make", [flat_pairs, delay_pairs, depth_pairs], ids=["flat", "delay", "depth"])
def test_log_probs_losses_and_gradients_of_every_kind_of_model(device, precision, make):
    lm, prompts, answer = make()
    pairs = [
        PairExample("a", prompts[0], answer(3, 1), answer(5, 2)),
        PairExample("b", prompts[1], answer(2, 3), answer(4, 4)),
        PairExample("c", prompts[0], answer(6, 5), answer(1, 6)),
    ]
    there = lm.around(copy.deepcopy(lm.module).to(device))
    near = 1e-3 if precision == "fp32" else 0.15
    results = []
    for one, where, kind in ((lm, "cpu", "fp32"), (there, device, precision)):
        one.take_packs()
        batch = moved(collate(pairs, counted=one.counted), where)
        with torch.autocast(where, dtype=torch.bfloat16, enabled=kind == "bf16"):
            logps = one.logps(batch, Wanted(tokens=True))
        reference = copy.deepcopy(one.module).requires_grad_(False)
        for weight in reference.parameters():
            weight.mul_(0.95)
        scored = Scorer(LPOSTE(), "fused", kind, reference).score(one, batch)
        scored.losses.sum().backward()
        results.append((logps.tokens, scored.losses, {n: w.grad for n, w in one.module.named_parameters() if w.grad is not None}))
    (tokens, losses, gradients), (found, others, theirs) = results
    same(found, tokens, near)
    same(others, losses, near)
    assert gradients.keys() == theirs.keys()
    largest = max(gradient.abs().max() for gradient in gradients.values())
    for name, gradient in gradients.items():
        assert (theirs[name].float().cpu() - gradient).abs().max() <= near * largest, name
