"""Log-probs and draws where the outcomes of a step are not all tokens: merged ends, restricted places; by hand and by loops."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from lpo_tts.errors import ContractError
from lpo_tts.lm.attention import install
from lpo_tts.lm.base import PromptInputs
from lpo_tts.lm.causal import CausalLM
from lpo_tts.lm.choices import Choices
from lpo_tts.lm.head import token_logps
from lpo_tts.lm.logps import Wanted, _fused_among
from lpo_tts.lm.models import model_hash
from lpo_tts.training.batch import collate
from lpo_tts.training.examples import PairExample

SLOTS, ENDS = ((4, 6), (20, 5), (10, 6)), (2, 3, 30)
SIZE = 40


def llama():
    torch.manual_seed(3)
    sizes = {"vocab_size": SIZE, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(**sizes, max_position_embeddings=64, initializer_range=0.3)).eval()


def gpt2():
    torch.manual_seed(4)
    return GPT2LMHeadModel(GPT2Config(vocab_size=SIZE, n_embd=32, n_layer=2, n_head=2, n_positions=64)).eval()


def answer(*frames, end=2):
    ids = [code + SLOTS[slot][0] for frame in frames for slot, code in enumerate(frame)]
    return ids if end is None else [*ids, end]


PAIRS = [
    PairExample("a", [1, 0], answer((0, 1, 2), (5, 4, 5)), answer((3, 0, 0), end=30)),
    PairExample("b", [1, 0, 33], answer((2, 2, 2), (1, 1, 1), end=None), answer((4, 3, 2), end=3)),
    PairExample("c", [1], [4, 20], answer(end=3)),  # cut within a frame; ended at once
]


def slowly(model, prompt, ids, choices):
    """A loop over steps: the definition, with explicit sums of probabilities."""
    found = []
    for step, token in enumerate(ids):
        logits = model(input_ids=torch.tensor([[*prompt, *ids[:step]]])).logits[0, -1].double().detach()
        place = step % len(choices.slots)
        first, size = choices.slots[place]
        may = set(range(first, first + size)) | (set(choices.ends) if place == 0 else set())
        pool = sorted(may) if choices.restricted else range(SIZE)
        mine = choices.ends if choices.merged and token in choices.ends else [token]
        total = sum(math.exp(float(logits[k])) for k in pool)
        found.append(math.log(sum(math.exp(float(logits[k])) for k in mine) / total))
    return found


@pytest.mark.parametrize(
    ("make", "layout"),
    [(llama, {"pack": False}), (llama, {"share": False}), (llama, {}), (gpt2, {"pack": False})],
    ids=["padded", "packed", "shared", "another kind of model"],
)
@pytest.mark.parametrize("head", ["fused", "answers", "full"])
@pytest.mark.parametrize(("merged", "restricted"), [(True, False), (False, True), (True, True)])
def test_log_probs_are_those_of_a_loop(make, head, layout, merged, restricted):
    model, choices = make(), Choices(SLOTS, ENDS, merged, restricted)
    rows = [(pair.prompt_ids, ids) for pair in PAIRS for ids in pair.answers]
    expected = [slowly(model, prompt.flatten().tolist(), ids.flatten().tolist(), choices) for prompt, ids in rows]

    if layout.get("pack", True):
        install(model)
    lm = CausalLM(model, choices)
    logps = lm.logps(collate(PAIRS, counted=lm.counted, **layout), Wanted(tokens=True, head=head))
    for row, values in enumerate(expected):
        assert logps.tokens[row, : len(values)].tolist() == pytest.approx(values, abs=2e-5)
    assert logps.total.tolist() == pytest.approx([sum(values) for values in expected], abs=1e-4)
    logps.total.sum().backward()
    assert all(torch.isfinite(weight.grad).all() for weight in model.parameters() if weight.grad is not None)


@pytest.mark.parametrize(("merged", "restricted"), [(True, False), (False, True), (True, True)])
def test_gradients_of_the_fused_head_are_those_of_whole_logits(merged, restricted):
    found = {}
    for head in ("fused", "full"):
        model = llama()
        lm = CausalLM(model, Choices(SLOTS, ENDS, merged, restricted))
        logps = lm.logps(collate(PAIRS, pack=False, counted=lm.counted), Wanted(head=head))
        (logps.total * torch.arange(1, 7)).sum().backward()
        found[head] = {name: weight.grad for name, weight in model.named_parameters()}
    for name, grad in found["full"].items():
        assert torch.allclose(found["fused"][name], grad, atol=2e-5), name


@pytest.mark.parametrize("tied", [False, True])
def test_gradients_add_up_in_place_as_autograd_adds_them(tied):
    found = {}
    for accumulate in (False, True):
        model = llama()
        if tied:
            model.lm_head.weight = model.model.embed_tokens.weight
        lm = CausalLM(model, Choices(SLOTS, ENDS, merged=True, restricted=True))
        batch = collate(PAIRS, pack=False, counted=lm.counted)
        for factor in (1.0, -0.5, 2.0):  # the first one makes the gradient, the others add to it
            (lm.logps(batch, Wanted(accumulate=accumulate)).total * factor * torch.arange(1, 7)).sum().backward()
        found[accumulate] = {name: weight.grad for name, weight in model.named_parameters()}
    for name, grad in found[False].items():
        assert torch.allclose(found[True][name], grad, atol=2e-5), name


def test_a_softmax_over_ranges_and_its_gradient():
    torch.manual_seed(0)
    hidden, weight, bias = torch.randn(5, 8, requires_grad=True), torch.randn(30, 8, requires_grad=True), torch.randn(30)
    bias.requires_grad_()
    targets, ids = torch.tensor([3, 21, 4, 22, 9]), [3, 4, 5, 6, 7, 8, 9, 21, 22]
    values = token_logps(hidden, weight, bias, targets, 4, ranges=[(3, 10), (21, 23)])
    logits = hidden @ weight[ids].t() + bias[ids]
    expected = logits.log_softmax(-1)[range(5), [ids.index(t) for t in targets.tolist()]]
    assert torch.allclose(values, expected, atol=1e-5)
    factors = torch.arange(1.0, 6)
    mine = torch.autograd.grad((values * factors).sum(), (hidden, weight, bias))
    theirs = torch.autograd.grad((expected * factors).sum(), (hidden, weight, bias))
    for one, two in zip(mine, theirs, strict=True):
        assert torch.allclose(one, two, atol=1e-5)
    weight.grad = torch.ones_like(weight)
    token_logps(hidden, weight, bias, targets, 4, ranges=[(3, 10), (21, 23)], accumulate=True).mul(factors).sum().backward()
    assert torch.allclose(weight.grad, 1 + mine[1], atol=1e-5)


def test_merged_ends_are_not_rounded_to_the_type_of_products():
    torch.manual_seed(1)
    head = torch.nn.Linear(32, SIZE)
    rows, targets = 8 * torch.randn(4, 32), torch.tensor([2, 30, 7, 3])
    found = {}
    with torch.autocast("cpu", torch.bfloat16):
        for merged in (False, True):
            choices = Choices(SLOTS, ENDS, merged)
            found[merged] = _fused_among(rows, head, targets, torch.zeros(4, dtype=torch.int64), choices, False)
    exact = (rows.bfloat16().double() @ head.weight.bfloat16().double().t() + head.bias).detach()
    gained = exact[:, list(ENDS)].logsumexp(-1) - exact.gather(1, targets[:, None])[:, 0]
    gained[2] = 0  # a code
    assert (found[True] - found[False]).tolist() == pytest.approx(gained.tolist(), abs=1e-4)


@pytest.mark.parametrize("gap", [-300.0, -80.0, 80.0, 300.0])
def test_ranges_may_be_as_far_apart_as_they_like(gap):
    """The first range, an end alone, gives the shift: what comes behind may stand far above or below it."""
    torch.manual_seed(0)
    hidden = torch.ones(3, 4, requires_grad=True)
    weight = 0.1 * torch.randn(20, 4)
    weight[2] += gap / 4
    weight.requires_grad_()
    targets, ids = torch.tensor([2, 5, 9]), [2, *range(5, 12)]
    values = token_logps(hidden, weight, None, targets, 3, ranges=[(2, 3), (5, 12)])
    expected = (hidden @ weight[ids].t()).log_softmax(-1)[range(3), [ids.index(t) for t in targets.tolist()]]
    assert torch.allclose(values, expected, atol=1e-4)
    mine, theirs = (torch.autograd.grad(one.sum(), (hidden, weight)) for one in (values, expected))
    assert all(torch.allclose(one, other, atol=1e-4, rtol=1e-4) for one, other in zip(mine, theirs, strict=True))


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), min_size=1, max_size=3),
    st.lists(st.integers(0, 45), min_size=1, max_size=12, unique=True),
)
def test_ranges_hold_codes_and_ends_once_each(slots, ends):
    choices = Choices(tuple(slots), tuple(ends))
    for place, (first, size) in enumerate(slots):
        expected = {*range(first, first + size), *(ends if place == 0 else ())}
        assert choices.ids(place).tolist() == sorted(expected)
        assert all(one[1] < other[0] for one, other in itertools.pairwise(choices.ranges[place]))
    ids = torch.arange(50)
    assert choices.is_end(ids).tolist() == [int(one) in ends for one in ids]


def test_what_may_stand_where():
    choices = Choices(SLOTS, ENDS)
    assert choices.ranges == (((2, 10), (30, 31)), ((20, 25),), ((10, 16),))
    assert choices.ids(0).tolist() == [2, 3, 4, 5, 6, 7, 8, 9, 30]
    assert choices.is_end(torch.tensor([[2], [4], [30]])).tolist() == [[True], [False], [True]]
    many = Choices(SLOTS, tuple(range(100, 300)))
    assert many.is_end(torch.tensor([99, 100, 299, 300])).tolist() == [False, True, True, False]


@pytest.mark.parametrize(
    ("ids", "words"),
    [([4, 21, 10, 20], "token 20 at step 3"), ([4, 2], "token 2 at step 1"), ([0], "token 0 at step 0")],
)
def test_an_answer_without_a_probability_is_refused(ids, words):
    tokens = torch.tensor(ids).unsqueeze(-1)
    lm = CausalLM(llama(), Choices(SLOTS, ENDS, restricted=True))
    with pytest.raises(ContractError, match=rf"{words} of an answer cannot stand there, .*restrict_logps"):
        lm.counted(tokens)
    assert CausalLM(llama(), Choices(SLOTS, ENDS, merged=True)).counted(tokens) is None


@pytest.mark.parametrize("name", ["fast", "transformers"])
@pytest.mark.parametrize("drawn_among", ["places", "all"])
def test_steps_have_the_distribution_of_the_choices(name, drawn_among):
    choices = Choices(SLOTS, ENDS, merged=True, restricted=True)
    lm = CausalLM(llama(), choices)
    allowed = [(choices.ids(place),) for place in range(3)] if drawn_among == "places" else None
    ids = [4, 20, 10, 2]
    expected = slowly(lm.module, [1, 0], ids, choices)
    seen = []

    def draw(stream, logits):
        step = len(seen)
        column = ids[step] if allowed is None else allowed[step % 3][0].tolist().index(ids[step])
        assert logits.shape[1] == (SIZE if allowed is None else len(allowed[step % 3][0]))
        seen.append(float(logits.log_softmax(-1)[0, column]))
        return torch.tensor([column])

    with torch.inference_mode():
        state = lm.decoder(name, allowed).begin([PromptInputs(torch.tensor([[1], [0]]))], [1], 5)
        assert [int(state.step(draw)) for _ in ids] == ids
    assert seen == pytest.approx(expected, abs=1e-5)


def test_losses_over_whole_distributions_say_why_not():
    assert CausalLM(llama()).why_not_whole() is None
    assert "merge_ends or restrict_logps" in CausalLM(llama(), Choices(SLOTS, ENDS, merged=True)).why_not_whole()


def test_log_probs_of_other_choices_have_another_fingerprint():
    model = llama()
    plain = CausalLM(model).fingerprint()
    assert CausalLM(model, Choices(SLOTS, ENDS)).fingerprint() == plain == model_hash(model)
    other = [Choices(SLOTS, ENDS, merged=True), Choices(SLOTS, ENDS, restricted=True), Choices(SLOTS, ENDS[:2], merged=True)]
    assert len({plain, *(CausalLM(model, one).fingerprint() for one in other)}) == 4
