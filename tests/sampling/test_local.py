"""Sampling: a candidate's tokens hang on its seed alone; ends, cuts and restrictions are what they claim."""

import functools
from dataclasses import replace

import numpy as np
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
)

from lpo_tts.backbones.flat_answers import FlatAnswers
from lpo_tts.codes import Slot, TokenLayout
from lpo_tts.engines.local import map_blocks
from lpo_tts.errors import ComponentError, ConfigError, ContractError
from lpo_tts.lm.base import PromptInputs
from lpo_tts.lm.causal import CausalLM
from lpo_tts.sampling.base import SampleRequest, candidate_seed
from lpo_tts.sampling.drawing import draw, uniforms
from lpo_tts.sampling.local import LoadedLocalSampler, LocalSampler, cut_blocks

LAYOUT = TokenLayout.flat(10, 40)
END = (52, 53)
ENDS = FlatAnswers(LAYOUT, END)
SIZES = {"vocab_size": 64, "hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 2, "max_position_embeddings": 96}


@functools.cache
def model(kind="llama"):
    torch.manual_seed(1)
    if kind == "llama":
        lm = LlamaForCausalLM(LlamaConfig(num_attention_heads=3, num_key_value_heads=1, **SIZES))
    elif kind == "gpt2":
        sizes = {"vocab_size": 64, "n_embd": 48, "n_layer": 2, "n_head": 3, "n_positions": 96}
        lm = GPT2LMHeadModel(GPT2Config(bos_token_id=0, eos_token_id=0, **sizes))
    else:
        lm = Qwen2ForCausalLM(Qwen2Config(num_attention_heads=4, num_key_value_heads=2, **SIZES))
    with torch.no_grad():
        for parameter in lm.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.15)
    return lm.eval()


def requests(num_prompts=5, candidates=4):
    generator = torch.Generator().manual_seed(2)
    return [
        SampleRequest(
            f"p{n}",
            PromptInputs(torch.randint(0, 64, (3 + 2 * n, 1), generator=generator)),
            tuple(candidate_seed(7, f"p{n}#{k}") for k in range(candidates)),
        )
        for n in range(num_prompts)
    ]


def answers(settings, blocks, kind="llama"):
    sampler = LoadedLocalSampler(CausalLM(model(kind)), ENDS, settings)
    return {(a.prompt_id, a.index): (a.tokens.flatten().tolist(), a.finished) for block in blocks for a in sampler.sample(block)}


@pytest.mark.parametrize("kind", ["llama", "qwen2", "gpt2"])
@pytest.mark.parametrize(
    "settings",
    [
        LocalSampler(max_tokens=30),
        LocalSampler(max_tokens=30, restrict=False),
        LocalSampler(max_tokens=30, temperature=0.7, top_p=0.8, top_k=20),
        LocalSampler(max_tokens=30, temperature=0),
    ],
    ids=["plain", "unrestricted", "top-p-top-k", "greedy"],
)
def test_fast_decoder_and_fall_back_draw_the_same_tokens(kind, settings):
    fast = answers(replace(settings, decoder="fast"), [requests()], kind)
    assert fast == answers(replace(settings, decoder="transformers"), [requests()], kind)
    assert len({tuple(tokens) for tokens, _ in fast.values()}) > 4  # not all the same by accident


def test_candidates_do_not_hang_on_order_or_neighbours():
    settings = LocalSampler(max_tokens=30)
    together = answers(settings, [requests()])
    assert answers(settings, [requests()[::-1]]) == together
    assert answers(settings, [[request] for request in requests()]) == together
    alone = [[replace(request, seeds=(request.seeds[2],))] for request in requests()]
    assert [value for _, value in sorted(answers(settings, alone).items())] == [together[f"p{n}", 2] for n in range(5)]


def worker(settings):
    sampler = LoadedLocalSampler(CausalLM(model()), ENDS, settings)
    return lambda block: list(sampler.sample(block))


@pytest.mark.parametrize("workers", [1, 3])
def test_candidates_do_not_hang_on_the_number_of_workers(workers):
    settings = LocalSampler(max_tokens=30)
    blocks = list(cut_blocks(requests(), 8))
    found = [answer for block in map_blocks(functools.partial(worker, settings), blocks, workers) for answer in block]
    here = [answer for block in blocks for answer in worker(settings)(block)]
    assert [(a.prompt_id, a.index, a.seed, a.finished) for a in found] == [
        (a.prompt_id, a.index, a.seed, a.finished) for a in here
    ]
    assert all(torch.equal(a.tokens, b.tokens) for a, b in zip(found, here, strict=True))


@pytest.mark.parametrize("decoder", ["fast", "transformers"])
def test_finished_means_an_end_token_and_only_at_the_end(decoder):
    found = answers(LocalSampler(max_tokens=25, decoder=decoder), [requests(8, 8)])
    finished = [tokens for tokens, ended in found.values() if ended]
    cut = [tokens for tokens, ended in found.values() if not ended]
    assert finished
    assert cut
    assert all(tokens[-1] in END and not set(tokens[:-1]) & set(END) for tokens in finished)
    assert all(len(tokens) == 25 and not set(tokens) & set(END) for tokens in cut)
    assert {len(tokens) for tokens in finished} != {25}
    assert all(10 <= token < 50 or token in END for tokens, _ in found.values() for token in tokens)


def test_unrestricted_sampling_reaches_other_tokens():
    found = answers(LocalSampler(max_tokens=25, restrict=False), [requests()])
    assert any(token < 10 or token >= 54 for tokens, _ in found.values() for token in tokens)


def test_a_short_limit_is_a_prefix_of_a_long_one():
    long, short = (answers(LocalSampler(max_tokens=n), [requests()]) for n in (30, 6))
    assert all(tokens == long[key][0][:6] for key, (tokens, _) in short.items())


def test_draw_follows_the_distribution():
    logits = torch.log(torch.tensor([[0.1, 0.2, 0.0, 0.7]])).expand(5, -1)
    numbers = torch.tensor([0.0, 0.0999, 0.1001, 0.3001, 0.9999], dtype=torch.float64)
    assert draw(logits, numbers, LocalSampler()).tolist() == [0, 0, 1, 3, 3]
    assert draw(logits, numbers, LocalSampler(top_k=2)).tolist() == [1, 1, 1, 3, 3]
    assert draw(logits, numbers, LocalSampler(top_p=0.75)).tolist() == [1, 1, 1, 3, 3]
    assert draw(logits, numbers, LocalSampler(top_p=0.5)).tolist() == [3] * 5
    assert draw(logits, numbers, LocalSampler(temperature=0)).tolist() == [3] * 5
    # temperature 0.5 squares the probabilities: .01 .04 .49 of .54
    assert draw(logits, torch.tensor([0.018, 0.019, 0.092, 0.093, 0.5]).double(), LocalSampler(temperature=0.5)).tolist() == [
        0,
        1,
        1,
        3,
        3,
    ]


def by_sorting(logits, numbers, settings):
    """What `draw` does, column by column: equal probabilities are kept from the lowest column on."""
    found = []
    for row, number in zip(logits, numbers.tolist(), strict=True):
        probabilities = row.softmax(-1).tolist()
        order = sorted(range(len(probabilities)), key=lambda column: (-probabilities[column], column))
        order = order[: settings.top_k or len(order)]
        total, before, kept = sum(probabilities[column] for column in order), 0.0, set()
        for column in order:
            if before < settings.top_p * total:
                kept.add(column)
            before += probabilities[column]
        target, running = number * sum(probabilities[column] for column in kept), 0.0
        for column in sorted(kept):
            running += probabilities[column]
            if running > target:
                break
        found.append(column)
    return found


@pytest.mark.parametrize("columns", [255, 256, 257, 3000])
@pytest.mark.parametrize(
    "settings",
    [
        LocalSampler(),
        LocalSampler(top_k=50),
        LocalSampler(top_p=0.9),
        LocalSampler(top_p=0.9999),
        LocalSampler(top_k=1500, top_p=0.95),
    ],
    ids=["plain", "top-k", "top-p", "flat-top-p", "both"],
)
@pytest.mark.parametrize("ties", [False, True])
def test_draw_among_many_columns(columns, settings, ties):
    generator = torch.Generator().manual_seed(columns)
    logits = torch.randn(24, columns, generator=generator) * 0.8
    if ties:
        logits = (2 * logits).round() / 2
    numbers = torch.rand(24, generator=generator, dtype=torch.float64)
    assert draw(logits, numbers, settings).tolist() == by_sorting(logits, numbers, settings)


def test_draw_at_the_edges():
    logits = torch.full((3, 700), -torch.inf)
    logits[:, 300], logits[:, 310], logits[:, 650] = 0.0, 0.0, 0.0
    numbers = torch.tensor([0.0, 0.5, 1 - 2**-53], dtype=torch.float64)
    assert draw(logits, numbers, LocalSampler()).tolist() == [300, 310, 650]


def test_draw_frequencies():
    probabilities = torch.tensor([0.05, 0.15, 0.3, 0.5])
    numbers = torch.from_numpy(uniforms(11, 20000))
    columns = draw(probabilities.log().expand(20000, -1), numbers, LocalSampler())
    assert (torch.bincount(columns, minlength=4) / 20000 - probabilities).abs().max() < 0.012  # more than 3 standard errors


def test_draw_refuses_logits_that_are_not_finite():
    for settings in (LocalSampler(), LocalSampler(temperature=0)):
        with pytest.raises(ContractError, match="not finite"):
            draw(torch.tensor([[1.0, float("nan")]]), torch.zeros(1, dtype=torch.float64), settings)


def test_seeds_are_stable():
    assert candidate_seed(0, "a#0") == 2918114408253971
    assert len({candidate_seed(s, f"a#{k}") for s in range(3) for k in range(50)}) == 150
    assert candidate_seed(2**40, "x") < 2**53
    assert np.array_equal(uniforms(5, 8)[:3], uniforms(5, 3))


def test_blocks_keep_prompts_whole_and_in_order():
    blocks = list(cut_blocks(requests(5, 4), 10))
    assert [[request.prompt_id for request in block] for block in blocks] == [["p0", "p1"], ["p2", "p3"], ["p4"]]
    assert [len(block) for block in cut_blocks(requests(3, 4), 1)] == [1, 1, 1]
    assert list(cut_blocks([], 4)) == []


def test_allowed_ids_are_the_slots_and_the_ends():
    layout = TokenLayout((Slot(0, 0, 8, 2), Slot(1, 0, 4, 2)))
    found = FlatAnswers(layout, [1, 5]).allowed()
    assert [[ids.tolist() for ids in place] for place in found] == [[[1, 5, 8, 9]], [[4, 5]]]


def test_requests_are_taken_block_by_block_and_answers_come_in_order():
    taken = []

    def stream():
        for request in requests(6, 4):
            taken.append(request.prompt_id)
            yield request

    found = LoadedLocalSampler(CausalLM(model()), ENDS, LocalSampler(max_tokens=5, block_size=8)).sample(stream())
    first = next(found)
    assert (first.prompt_id, first.index, taken) == ("p0", 0, ["p0", "p1", "p2"])  # the third one begins the next block
    rest = [(answer.prompt_id, answer.index) for answer in found]
    assert [("p0", 0), *rest] == [(f"p{n}", k) for n in range(6) for k in range(4)]


def test_a_loaded_model_is_drawn_from_otherwise():
    sampler = LoadedLocalSampler(CausalLM(model()), ENDS, LocalSampler(max_tokens=12))
    before = [answer.tokens.tolist() for answer in sampler.sample(requests())]
    greedy = [answer.tokens.tolist() for answer in sampler.changed(temperature=0).sample(requests())]
    assert greedy != before
    assert [answer.tokens.tolist() for answer in sampler.sample(requests())] == before
    with pytest.raises(ConfigError, match="restrict cannot be changed once the model is loaded"):
        sampler.changed(restrict=False)


def test_nothing_to_do_and_empty_prompts():
    sampler = LoadedLocalSampler(CausalLM(model()), ENDS, LocalSampler(max_tokens=3))
    assert list(sampler.sample([])) == []
    assert list(sampler.sample([SampleRequest("p", PromptInputs(torch.tensor([[1]])), ())])) == []
    with pytest.raises(ContractError, match="prompt p: expected at least one token"):
        list(sampler.sample([SampleRequest("p", PromptInputs(torch.empty(0, 1, dtype=torch.int64)), (1,))]))


def test_other_models_fall_back_or_are_refused():
    sizes = {**SIZES, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1}
    mistral = MistralForCausalLM(MistralConfig(**sizes)).eval()
    settings = LocalSampler(max_tokens=5)
    assert len(list(LoadedLocalSampler(CausalLM(mistral), ENDS, settings).sample(requests(2, 2)))) == 4
    with pytest.raises(ComponentError, match=r"does not know MistralForCausalLM.*set `sampling.decoder: transformers`"):
        LoadedLocalSampler(CausalLM(mistral), ENDS, replace(settings, decoder="fast"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temperature": -0.1}, "temperature must be at least 0.0"),
        ({"temperature": float("nan")}, "temperature must be"),
        ({"top_p": 0.0}, "top_p must be above 0.0 and at most 1.0, found 0.0"),
        ({"top_k": -1}, "top_k must be at least 0"),
        ({"max_tokens": 0}, "max_tokens must be at least 1"),
        ({"block_size": 0}, "block_size must be at least 1"),
        ({"decoder": "slow"}, "decoder = 'slow' is none of auto, fast, transformers"),
    ],
)
def test_settings_out_of_range_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        LocalSampler(**changes)
