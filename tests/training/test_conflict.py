"""The measured window of r2 tells what a small step does to chosen and rejected answers."""

import math

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from lpo_tts.errors import ContractError
from lpo_tts.training.attention import install
from lpo_tts.training.batch import collate
from lpo_tts.training.conflict import Conflict, lines, measure
from lpo_tts.training.examples import PairExample
from lpo_tts.training.logps import answer_logps, split_pairs


def tiny():
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=40, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2)
    return LlamaForCausalLM(config)


def alike(count):
    """Pairs whose answers share all but a few tokens, so that their gradients are much alike."""
    generator = torch.Generator().manual_seed(1)
    pairs = []
    for number in range(count):
        prompt, chosen = (torch.randint(0, 40, (size,), generator=generator) for size in (6, 20))
        rejected = chosen.clone()
        rejected[::5] = torch.randint(0, 40, (4,), generator=generator)
        pairs.append(PairExample(f"p{number}", prompt, chosen, rejected))
    return pairs


def means(model, pairs):
    logps = split_pairs(answer_logps(model, collate(pairs)))
    return logps.chosen.mean.mean(), logps.rejected.mean.mean()


@pytest.mark.parametrize(("place", "chosen_rises", "rejected_falls"), [(0.9, True, False), (0.5, True, True), (1.1, False, True)])
def test_a_small_step_does_what_the_window_says(place, chosen_rises, rejected_falls):
    """`place` 0 to 1 goes through the window on a log scale; 0.9 means 0.9 times its lower end, 1.1 times its upper end."""
    model, pairs = tiny(), alike(8)
    install(model)
    whole, alone = measure(model, pairs, 4)
    assert len(alone) == 2
    low, high = whole.window
    assert 0.3 < whole.cosine < 1
    r2 = {0.9: 0.9 * low, 0.5: math.sqrt(low * high), 1.1: 1.1 * high}[place]
    before = [value.item() for value in means(model, pairs)]
    chosen, rejected = means(model, pairs)
    grads = torch.autograd.grad(chosen - r2 * rejected, list(model.parameters()))
    with torch.no_grad():
        for weight, grad in zip(model.parameters(), grads, strict=True):
            weight += 1e-4 * grad
    after = [value.item() for value in means(model, pairs)]
    assert (after[0] > before[0]) == chosen_rises
    assert (after[1] < before[1]) == rejected_falls


def test_the_recommendation_lies_in_the_window():
    for cosine in (0.1, 0.5, 0.99):
        one = Conflict(cosine, 1.4)
        assert one.window[0] < one.r2 < one.window[1]
    free = Conflict(-0.2, 0.7)
    assert free.window == (0, math.inf)
    assert free.r2 == 0.7
    assert lines(free, [free], 4)[-1] == "a good r2 (with r1 = 1): 0.70"


def test_the_model_is_left_alone_and_too_few_pairs_are_refused():
    model, pairs = tiny(), alike(4)
    before = [weight.detach().clone() for weight in model.parameters()]
    measure(model, pairs, 2)
    assert all(weight.grad is None for weight in model.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    with pytest.raises(ContractError, match="4 pairs do not make one batch of 5"):
        measure(model, pairs, 5)
