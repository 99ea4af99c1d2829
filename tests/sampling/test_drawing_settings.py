"""Settings that change what is drawn, by hand and against transformers: whole frames, min_p, min_tokens, penalty, RAS."""

from dataclasses import replace

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, LogitsProcessorList
from transformers.generation import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from lpo_tts.backbones.flat_answers import FlatAnswers
from lpo_tts.codes import Slot, TokenLayout
from lpo_tts.errors import ConfigError
from lpo_tts.lm.base import PromptInputs
from lpo_tts.lm.causal import CausalLM
from lpo_tts.lm.choices import Choices
from lpo_tts.sampling.base import SampleRequest
from lpo_tts.sampling.drawing import draw
from lpo_tts.sampling.local import LoadedLocalSampler, LocalSampler
from lpo_tts.sampling.repetition import History, penalised, repeats

SIZE = 40
SNAC_LIKE = TokenLayout((Slot(0, 0, 4, 6), Slot(1, 0, 20, 5), Slot(1, 1, 10, 6)))
ANSWERS = FlatAnswers(SNAC_LIKE, (2, 30))


def lm(seed=3, scale=0.3):
    torch.manual_seed(seed)
    sizes = {"vocab_size": SIZE, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    return CausalLM(LlamaForCausalLM(LlamaConfig(**sizes, max_position_embeddings=128, initializer_range=scale)).eval())


def sampled(settings, model=None, seeds=range(40), prompt=(1, 0, 21), ends=ANSWERS):
    sampler = LoadedLocalSampler(model or lm(), ends, settings)
    request = SampleRequest("p", PromptInputs(torch.tensor(prompt).unsqueeze(-1)), tuple(seeds))
    return [answer.tokens.flatten().tolist() for answer in sampler.sample([request])]


def test_frames_are_whole_under_restrict():
    answers = sampled(LocalSampler(max_tokens=20))
    assert len({len(answer) % 3 for answer in answers if answer[-1] in ANSWERS.end_ids}) == 1
    for answer in answers:
        parsed = ANSWERS.parse(torch.tensor(answer).unsqueeze(-1))
        assert parsed.status in ("ok", "empty") or len(answer) == 20
    free = sampled(LocalSampler(max_tokens=20, restrict=False))
    assert any(ANSWERS.parse(torch.tensor(answer)).status not in ("ok", "empty") for answer in free)


@pytest.mark.parametrize("restrict", [True, False])
def test_no_end_before_min_tokens(restrict):
    short = sampled(LocalSampler(max_tokens=40, restrict=restrict))
    assert min(map(len, short)) < 9
    longer = sampled(LocalSampler(max_tokens=40, restrict=restrict, min_tokens=9))
    assert min(map(len, longer)) >= 10
    assert min(map(len, longer)) < 40


SETTINGS = [
    {"min_p": 0.3},
    {"min_p": 0.1, "top_k": 12, "temperature": 0.7},
    {"min_p": 0.2, "top_p": 0.9, "temperature": 1.3},
    {"top_k": 5},
    {"top_p": 0.6},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_what_may_be_drawn_is_what_transformers_keeps(settings):
    torch.manual_seed(1)
    logits = torch.randn(6, SIZE) * 2
    warpers = LogitsProcessorList([TemperatureLogitsWarper(settings.get("temperature", 1.0))])
    for name, warper in (("top_k", TopKLogitsWarper), ("top_p", TopPLogitsWarper), ("min_p", MinPLogitsWarper)):
        if name in settings:
            warpers.append(warper(settings[name]))
    expected = warpers(None, logits.clone()).softmax(-1).double()
    numbers = torch.linspace(0, 1, 2001, dtype=torch.float64)[:-1] + 1 / 4000
    for row in range(6):
        drawn = draw(logits[row : row + 1].expand(2000, -1), numbers, LocalSampler(**settings))
        share = torch.bincount(drawn, minlength=SIZE) / 2000
        assert torch.allclose(share.double(), expected[row], atol=1e-3)


@pytest.mark.parametrize("window", [0, 4])
def test_the_repetition_penalty_is_that_of_transformers(window):
    torch.manual_seed(2)
    prompts = [PromptInputs(torch.tensor([[5], [9], [5], [33]])), PromptInputs(torch.tensor([[7]]))]
    answers = torch.randint(0, SIZE, (4, 10, 1))
    history = History(prompts, [1, 3], answers)
    rows, step, logits = torch.tensor([0, 2, 3]), 6, torch.randn(3, SIZE) * 3
    found = penalised(logits, history.seen(rows, step, 0, window), LocalSampler(repetition_penalty=1.7))
    for number, row in enumerate(rows.tolist()):
        ids = torch.cat([prompts[min(row, 1)].tokens[:, 0], answers[row, :step, 0]])
        ids = ids[-window:] if window else ids
        expected = RepetitionPenaltyLogitsProcessor(1.7)(ids[None], logits[number : number + 1].clone())
        assert torch.equal(found[number], expected[0])


def test_a_penalised_candidate_is_what_transformers_generates():
    """Greedy with the penalty over prompt and answer, against `generate`."""
    model = lm(5)
    prompt = torch.tensor([[1, 8, 21, 12]])
    with torch.inference_mode():
        out = model.module.generate(
            prompt, do_sample=False, repetition_penalty=1.4, max_new_tokens=25, eos_token_id=[2, 30], pad_token_id=0
        )[0, 4:].tolist()
    settings = LocalSampler(temperature=0.0, repetition_penalty=1.4, max_tokens=25, restrict=False)
    assert sampled(settings, model, [0], prompt[0].tolist()) == [out]
    assert sampled(replace(settings, repetition_penalty=1.0), model, [0], prompt[0].tolist()) != [out]


def test_restricted_columns_are_penalised_by_their_ids():
    model = lm(6)
    settings = LocalSampler(temperature=0.0, repetition_penalty=100.0, max_tokens=12)
    answer = sampled(settings, model, [0])[0]
    for slot in range(3):  # with such a penalty a code comes again only when all of its place were there
        codes = answer[slot::3]
        seen = codes[: min(len(codes), SNAC_LIKE.slots[slot].size)]
        assert len(set(seen)) == len(seen)


def test_what_repeats_is_drawn_again():
    drawn, last = torch.tensor([4, 4, 4]), torch.tensor([[4, 1, 4, 2], [1, 4, 1, 2], [1, 2, 3, 5]])
    assert repeats(drawn, last, LocalSampler(ras_window=4, ras_share=0.5)).tolist() == [True, False, False]
    assert repeats(drawn, last, LocalSampler(ras_window=10, ras_share=0.1)).tolist() == [True, True, False]
    assert repeats(drawn, last[:, :0], LocalSampler(ras_window=4)).tolist() == [False, False, False]


def test_ras_leaves_the_truncated_distribution_only_where_a_token_repeats():
    model = lm(7)
    greedy = LocalSampler(top_k=1, max_tokens=30, restrict=False, min_tokens=29)
    loop = sampled(greedy, model, range(5))
    assert all(one == loop[0] for one in loop)
    broken = sampled(replace(greedy, ras_window=8, ras_share=0.1), model, range(5))
    assert len({tuple(one) for one in broken}) == 5
    for answer in broken:
        plain = sampled(replace(greedy, max_tokens=30), model, [0], (1, 0, 21))[0]
        first = next(k for k in range(30) if answer[k] != plain[k])
        assert plain[first] in plain[max(0, first - 8) : first]  # the first difference is where greedy repeated itself


def test_numbers_of_plain_draws_stay_what_they_are():
    """Drawing again takes numbers from behind, so a candidate in which nothing repeats is the same with RAS."""
    plain = sampled(LocalSampler(max_tokens=20, restrict=False))
    again = sampled(LocalSampler(max_tokens=20, restrict=False, ras_window=3, ras_share=1.0))
    loops = [any(one[k - 3 : k] == [one[k]] * 3 for k in range(3, len(one))) for one in plain]
    assert [one for one, looped in zip(again, loops, strict=True) if not looped] == [
        one for one, looped in zip(plain, loops, strict=True) if not looped
    ]


def test_merged_ends_are_drawn_with_the_sum_of_their_probabilities():
    model = lm(8)
    together = CausalLM(model.module, Choices(((4, 6), (20, 5), (10, 6)), (2, 30), merged=True))
    prompt = torch.tensor([[1], [0]])
    logits = model.module(input_ids=prompt.T).logits[0, -1].detach().softmax(-1)
    share = float(logits[2] + logits[30])
    ends = FlatAnswers(SNAC_LIKE, (2, 30), merged=True)
    answers = sampled(LocalSampler(max_tokens=1, restrict=False, block_size=4000), together, range(4000), (1, 0), ends)
    drawn = [answer[0] for answer in answers]
    assert 30 not in drawn
    assert drawn.count(2) / 4000 == pytest.approx(share, abs=0.02)
    # top_k counts the ends as one: the most probable outcome may be the end although each end alone is not
    best = sampled(LocalSampler(max_tokens=1, restrict=False, temperature=0.0), together, [0], (1, 0), ends)[0][0]
    rest = logits.clone()
    rest[[2, 30]] = 0
    assert best == (2 if share > float(rest.max()) else int(rest.argmax()))


def test_what_departs_from_the_models_own_distribution_is_named():
    assert LocalSampler(max_tokens=100, restrict=False).departures == ()
    found = LocalSampler(temperature=0.6, top_p=0.8, repetition_penalty=1.3, ras_window=10, min_tokens=3, min_p=0.1, top_k=5)
    assert found.departures == (
        "temperature=0.6",
        "top_k=5",
        "top_p=0.8",
        "min_p=0.1",
        "min_tokens=3",
        "repetition_penalty=1.3",
        "ras_window=10",
    )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"min_p": 1.0}, "min_p must be at least 0.0 and below 1.0, found 1.0"),
        ({"min_tokens": 10, "max_tokens": 10}, r"min_tokens must be below max_tokens \(10\), found 10"),
        ({"repetition_penalty": 0.0}, "repetition_penalty must be above 0.0"),
        ({"ras_share": 0.0}, "ras_share must be above 0.0"),
        ({"repetition_window": -1}, "repetition_window must be at least 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        LocalSampler(**settings)
