"""Log-probs of answers: which logit scores which token, worked out by hand."""

import math

import pytest
import torch

from lpo_tts.audio import import_torchaudio

import_torchaudio()
from transformers import LlamaConfig, LlamaForCausalLM  # noqa: E402

from lpo_tts.errors import ComponentError  # noqa: E402
from lpo_tts.training.batch import PairExample, collate  # noqa: E402
from lpo_tts.training.logps import answer_logps, autocast, split_pairs  # noqa: E402


class Successor(torch.nn.Module):
    """A model of five tokens: after token t the logit of t + 1 (mod 5) is `weight`, all others 0."""

    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(5, 5, bias=False)
        self.rows = 0
        with torch.no_grad():
            self.head.weight.copy_(math.log(6) * torch.eye(5).roll(1, 0))

    def get_output_embeddings(self):
        return self.head

    def forward(self, input_ids, use_cache):
        logits = self.head(torch.nn.functional.one_hot(input_ids, 5).float())
        self.rows = logits.numel() // 5
        return type("Output", (), {"logits": logits})


def test_five_tokens_by_hand():
    """log p of the successor is log(6 / 10), of any other token log(1 / 10)."""
    yes, no = math.log(0.6), math.log(0.1)
    pairs = [
        PairExample("a", [0, 1], [2, 3, 4], [2, 4]),  # chosen 1>2 2>3 3>4: all successors; rejected 1>2 yes, 2>4 no
        PairExample("b", [3], [3], [4, 0, 0, 2]),  # chosen 3>3 no; rejected 3>4 4>0 yes, 0>0 0>2 no
    ]
    model = Successor()
    batch = collate(pairs)
    logps = split_pairs(answer_logps(model, batch))
    assert logps.chosen.total.tolist() == pytest.approx([3 * yes, no])
    assert logps.rejected.total.tolist() == pytest.approx([yes + no, 2 * yes + 2 * no])
    assert logps.chosen.num_tokens.tolist() == [3, 1]
    assert logps.rejected.num_tokens.tolist() == [2, 4]
    assert logps.rejected.mean.tolist() == pytest.approx([(yes + no) / 2, (yes + no) / 2])
    assert model.rows == len(batch["positions"])  # the head saw the answer places alone (rounded up), not 4 x 32


def llama(**changes):
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=50,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            initializer_range=0.3,
            **changes,
        )
    )


def pairs_of(count, seed=3):
    g = torch.Generator().manual_seed(seed)

    def ids():
        return torch.randint(0, 50, (int(torch.randint(1, 12, (1,), generator=g)),), generator=g)

    return [PairExample(str(i), ids(), ids(), ids()) for i in range(count)]


def by_hand(model, prompt, answer):
    logits = model(torch.cat([prompt, answer])[None]).logits[0].double()
    return sum(torch.log_softmax(logits[len(prompt) + t - 1], -1)[token].item() for t, token in enumerate(answer.tolist()))


@torch.no_grad()
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_padded_batch_equals_one_sequence_at_a_time(attention):
    model, pairs = llama(attn_implementation=attention).eval(), pairs_of(5)
    logps = split_pairs(answer_logps(model, collate(pairs)))
    for i, pair in enumerate(pairs):
        assert logps.chosen.total[i].item() == pytest.approx(by_hand(model, pair.prompt_ids, pair.chosen_ids), abs=1e-4)
        assert logps.rejected.total[i].item() == pytest.approx(by_hand(model, pair.prompt_ids, pair.rejected_ids), abs=1e-4)


def test_bf16_autocast_sums_in_float32_and_has_gradients():
    model, batch = llama(), collate(pairs_of(6))
    exact = answer_logps(model, batch)
    with autocast(model, "bf16"):
        logps = answer_logps(model, batch)
    assert logps.total.dtype == torch.float32
    assert (logps.mean - exact.mean).abs().max() < 0.1
    logps.mean.sum().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in model.parameters())


def test_gradients_equal_those_of_all_logits():
    model, pairs = llama(), pairs_of(4)
    answer_logps(model, collate(pairs)).total.sum().backward()
    ours = [weight.grad.clone() for weight in model.parameters()]
    model.zero_grad()
    total = 0
    for pair in pairs:
        for answer in (pair.chosen_ids, pair.rejected_ids):
            logits = model(torch.cat([pair.prompt_ids, answer])[None]).logits[0, len(pair.prompt_ids) - 1 : -1]
            total = total + torch.log_softmax(logits, -1).gather(1, answer[:, None]).sum()
    total.backward()
    for mine, weight in zip(ours, model.parameters(), strict=True):
        assert torch.allclose(mine, weight.grad, atol=2e-4)


def test_the_head_is_left_as_it_was():
    model = llama()
    answer_logps(model, collate(pairs_of(2)))
    assert model(torch.zeros(1, 7, dtype=torch.int64)).logits.shape == (1, 7, 50)


def test_wrapped_models_work():
    model = llama()
    wrapped = torch.nn.Module()
    wrapped.module, wrapped.forward = model, model.forward
    batch = collate(pairs_of(3))
    assert torch.equal(answer_logps(wrapped, batch).total, answer_logps(model, batch).total)


def test_a_model_without_a_head_is_refused():
    with pytest.raises(ComponentError, match="Linear has no LM head"):
        answer_logps(torch.nn.Linear(2, 2), collate(pairs_of(1)))
