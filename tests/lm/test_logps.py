"""Log-probs of answers: which logit scores which token, worked out by hand."""

import math

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from lpo_tts.errors import ComponentError
from lpo_tts.lm.attention import install
from lpo_tts.lm.logps import Wanted, answer_logps, frozen_rows, weighted
from lpo_tts.lm.models import autocast, why_not_fused
from lpo_tts.logprobs import ListLogps, Logps
from lpo_tts.training.arranging import arrange, sides, split_pairs
from lpo_tts.training.batch import collate
from lpo_tts.training.examples import AnswerExample, ListExample, PairExample

LAYOUTS = [
    pytest.param({"pack": False}, id="padded"),
    pytest.param({"share": False}, id="packed"),
    pytest.param({}, id="shared"),
]
HEADS = ["fused", "answers", "full"]


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

    def forward(self, input_ids, use_cache, position_ids=None, packed_layout=None, attention_mask=None):
        logits = self.head(torch.nn.functional.one_hot(input_ids, 5).float())
        self.rows = logits[..., 0].numel() if logits.dim() == 3 else logits.numel()
        return type("Output", (), {"logits": logits})


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("head", HEADS)
def test_five_tokens_by_hand(layout, head):
    """log p of the successor is log(6 / 10), of any other token log(1 / 10)."""
    yes, no = math.log(0.6), math.log(0.1)
    pairs = [
        PairExample("a", [0, 1], [2, 3, 4], [2, 4]),  # chosen 1>2 2>3 3>4: all successors; rejected 1>2 yes, 2>4 no
        PairExample("b", [3], [3], [4, 0, 0, 2]),  # chosen 3>3 no; rejected 3>4 4>0 yes, 0>0 0>2 no
        PairExample("c", [0, 1], [2, 3, 4], [0, 1, 1]),  # a's chosen answer again; rejected 1>0 no, 0>1 yes, 1>1 no
    ]
    model = Successor()
    batch = collate(pairs, **layout)
    every = answer_logps(model, batch, Wanted(tokens=True, head=head))
    logps = split_pairs(every)
    assert logps.chosen.total.tolist() == pytest.approx([3 * yes, no, 3 * yes])
    assert logps.rejected.total.tolist() == pytest.approx([yes + no, 2 * yes + 2 * no, yes + 2 * no])
    assert logps.chosen.num_tokens.tolist() == [3, 1, 3]
    assert logps.rejected.num_tokens.tolist() == [2, 4, 3]
    assert logps.rejected.mean[:2].tolist() == pytest.approx([(yes + no) / 2, (yes + no) / 2])
    assert logps.rejected.tokens.tolist() == [
        pytest.approx([yes, no, 0, 0]),
        pytest.approx([yes, yes, no, no]),
        pytest.approx([no, yes, no, 0]),
    ]
    # but for "full" the head saw the answer places alone (rounded up), not every place
    assert model.rows == (batch["tokens"].numel() if head == "full" else len(batch["positions"]))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_token_weights_by_hand(layout):
    yes, no = math.log(0.6), math.log(0.1)
    pairs = [
        PairExample("a", [0, 1], [2, 3, 3], [2, 4], chosen_weights=[0, 0.5, 2]),
        PairExample("b", [0, 1], [2, 3, 3], [4], chosen_weights=[1, 0, 0]),  # the same answer, other weights
    ]
    logps = answer_logps(Successor(), collate(pairs, **layout))
    assert logps.total.tolist() == pytest.approx([0.5 * yes + 2 * no, yes + no, yes, no])
    assert logps.num_tokens.tolist() == [2.5, 2, 1, 1]
    assert logps.mean.tolist() == pytest.approx([(0.5 * yes + 2 * no) / 2.5, (yes + no) / 2, yes, no])


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
    logits = model(torch.cat([prompt, answer]).T).logits[0].double()
    return sum(
        torch.log_softmax(logits[len(prompt) + t - 1], -1)[token].item() for t, token in enumerate(answer.flatten().tolist())
    )


def ready(model, layout):
    """The model, taking packed rows where the layout is packed."""
    if layout.get("pack", True):
        install(model)
    return model


@torch.no_grad()
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("head", HEADS)
def test_a_batch_equals_one_sequence_at_a_time(attention, layout, head):
    model, pairs = llama(attn_implementation=attention).eval(), pairs_of(5)
    expected = [by_hand(model, p.prompt_ids, answer) for p in pairs for answer in p.answers]
    logps = answer_logps(ready(model, layout), collate(pairs, **layout), Wanted(head=head))
    assert logps.total.tolist() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_bf16_autocast_sums_in_float32_and_has_gradients(layout):
    model, batch = ready(llama(), layout), collate(pairs_of(6), **layout)
    exact = answer_logps(model, batch)
    with autocast(model, "bf16"):
        logps = answer_logps(model, batch)
    assert logps.total.dtype == torch.float32
    assert (logps.mean - exact.mean).abs().max() < 0.1
    assert not torch.equal(logps.mean, exact.mean)
    logps.mean.sum().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in model.parameters())


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("head", HEADS)
def test_gradients_equal_those_of_all_logits(layout, head):
    model, pairs = llama(), pairs_of(4)
    total = 0
    for pair in pairs:
        for answer in pair.answers:
            logits = model(torch.cat([pair.prompt_ids, answer]).T).logits[0, len(pair.prompt_ids) - 1 : -1]
            total = total + torch.log_softmax(logits, -1).gather(1, answer).sum()
    total.backward()
    plain = [weight.grad.clone() for weight in model.parameters()]
    model.zero_grad()
    answer_logps(ready(model, layout), collate(pairs, **layout), Wanted(head=head)).total.sum().backward()
    for expected, weight in zip(plain, model.parameters(), strict=True):
        assert torch.allclose(weight.grad, expected, atol=2e-4)


def test_the_head_is_left_as_it_was():
    model = llama()
    for head in HEADS:
        answer_logps(model, collate(pairs_of(2), pack=False), Wanted(head=head))
        assert model(torch.zeros(1, 7, dtype=torch.int64)).logits.shape == (1, 7, 50)

    def broken(**kwargs):
        raise KeyError("torn")

    model.model.forward = broken
    for head in HEADS:
        with pytest.raises(KeyError, match="torn"):
            answer_logps(model, collate(pairs_of(2), pack=False), Wanted(head=head))
    del model.model.forward
    assert model(torch.zeros(1, 7, dtype=torch.int64)).logits.shape == (1, 7, 50)
    assert not model.lm_head._forward_pre_hooks


def test_wrapped_models_work():
    model = llama()
    wrapped = torch.nn.Module()
    wrapped.module, wrapped.forward = model, model.forward
    batch = collate(pairs_of(3), pack=False)
    assert torch.equal(answer_logps(wrapped, batch).total, answer_logps(model, batch).total)


def test_a_model_without_a_head_is_refused():
    with pytest.raises(ComponentError, match="Linear has no LM head"):
        answer_logps(torch.nn.Linear(2, 2), collate(pairs_of(1)))


@torch.no_grad()
def test_hidden_states_are_those_that_predict_the_answers():
    model, pairs = llama(), pairs_of(3)
    batch = collate(pairs, pack=False)
    logps = answer_logps(model, batch, wanted=Wanted(hidden=True))
    frozen, rows = frozen_rows(model, batch)
    for row, (pair, answer) in enumerate((p, a) for p in pairs for a in p.answers):
        states = model.model(torch.cat([pair.prompt_ids, answer]).T).last_hidden_state[0, len(pair.prompt_ids) - 1 : -1]
        assert torch.allclose(logps.hidden[row, : len(answer)], states, atol=1e-5)
        assert not logps.hidden[row, len(answer) :].any()
    assert torch.equal(frozen.hidden, logps.hidden)
    assert torch.equal(frozen.total, logps.total)
    assert rows.hidden.shape == (len(batch["positions"]), 32)
    assert rows.weight is model.lm_head.weight


def test_answers_are_arranged_as_the_loss_takes_them():
    logps = Logps(torch.arange(6.0), torch.arange(6) + 1)
    assert arrange(logps, {}, "pair").rejected.total.tolist() == [1, 3, 5]
    lists = arrange(logps, {"sizes": (2, 4)}, "list")
    assert isinstance(lists, ListLogps)
    assert (lists.sizes, lists.answers.total.tolist()) == ((2, 4), [0, 1, 2, 3, 4, 5])
    labelled = arrange(logps, {"desirable": torch.tensor([True, False, False, True, True, False])}, "unpaired")
    assert labelled.chosen.total.tolist() == [0, 3, 4]
    assert labelled.rejected.num_tokens.tolist() == [2, 3, 6]
    mixed = collate([AnswerExample("x", [1], [2], False), PairExample("a", [1], [3], [4])])
    found = arrange(Logps(torch.arange(3.0), torch.ones(3)), mixed, "unpaired")
    assert (found.chosen.total.tolist(), found.rejected.total.tolist()) == ([1], [0, 2])
    assert collate([ListExample("l", [1], ([2], [3], [4]))])["sizes"] == (3,)
    rows = torch.arange(6).unsqueeze(1)
    assert [side.flatten().tolist() for side in sides(rows, {})] == [[0, 2, 4], [1, 3, 5]]
    assert [side.flatten().tolist() for side in sides(rows[:3], mixed)] == [[1], [0, 2]]


def test_weighing_kept_log_probs_equals_weighing_the_policys():
    model, pairs = llama(), [PairExample("a", [1, 2], [3, 4, 5], [6, 7], chosen_weights=[0, 1, 0.25])]
    direct = answer_logps(model, collate(pairs, pack=False))
    batch = collate(pairs, pack=False)
    weights = batch.pop("weights")
    kept = answer_logps(model, batch, wanted=Wanted(tokens=True))
    again = weighted(kept, weights)
    assert torch.equal(again.total, direct.total)
    assert torch.equal(again.num_tokens, direct.num_tokens)
    assert weighted(kept, None) is kept


def test_heads_that_cannot_be_fused_are_told_apart():
    model = llama()
    assert why_not_fused(model) is None
    model.config.logit_scale = 1.0
    assert why_not_fused(model) is None
    model.config.final_logit_softcapping = 30.0
    assert why_not_fused(model) == "it changes its logits after the head (final_logit_softcapping)"
    model.lm_head = torch.nn.Sequential(torch.nn.Linear(32, 50))
    assert why_not_fused(model) == "its LM head is a Sequential, not a plain Linear"


def test_an_adapter_on_the_head_is_not_left_out():
    peft = pytest.importorskip("peft")
    pairs = pairs_of(2)
    adapted = peft.get_peft_model(llama(), peft.LoraConfig(r=2, target_modules=["lm_head"], init_lora_weights=False))
    assert why_not_fused(adapted) == "its LM head is a peft Linear, not a plain Linear"
    with torch.no_grad():
        found = split_pairs(answer_logps(adapted, collate(pairs, pack=False), Wanted(head="answers")))
        for row, pair in enumerate(pairs):
            assert float(found.chosen.total[row]) == pytest.approx(by_hand(adapted, pair.prompt_ids, pair.chosen_ids), abs=1e-4)
