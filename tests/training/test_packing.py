"""All ways to lay out a batch and to compute its log-probs give the same losses, gradients and training runs."""

import json
import logging

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    Lfm2Config,
    Lfm2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from lpo_tts.errors import ConfigError
from lpo_tts.lm import attention
from lpo_tts.lm.attention import install
from lpo_tts.lm.causal import CausalLM
from lpo_tts.losses import REGISTRY
from lpo_tts.losses.dpo import DPO
from lpo_tts.losses.kto import KTO
from lpo_tts.losses.lpo import LPOSTE
from lpo_tts.training.batch import collate, packed_tokens, split
from lpo_tts.training.examples import AnswerExample, PairExample
from lpo_tts.training.scoring import Scorer
from lpo_tts.training.trainer import LPOConfig, LPOTrainer

VOCABULARY = 60
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.15,
}
MODELS = {
    "llama": (LlamaForCausalLM, LlamaConfig, {"tie_word_embeddings": False}),
    "llama-tied": (LlamaForCausalLM, LlamaConfig, {"tie_word_embeddings": True}),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config, {}),
    "mistral": (MistralForCausalLM, MistralConfig, {"sliding_window": 64}),
}
WAYS = {  # head, collate's options; the first one is the plainest there is
    "padded full": ("full", {"pack": False}),
    "padded answers": ("answers", {"pack": False}),
    "padded fused": ("fused", {"pack": False}),
    "packed": ("fused", {"share": False}),
    "packed shared": ("fused", {}),
    "packed shared full": ("full", {}),
}


def made(name, seed=0):
    torch.manual_seed(seed)
    model, config, changes = MODELS[name]
    return model(config(**SIZES, **changes))


def pairs_of(sizes, seed=3, weights=False):
    """Pairs of prompts with so many pairs each; the first prompt's have one chosen answer."""
    g = torch.Generator().manual_seed(seed)

    def ids(low=2, high=14):
        return torch.randint(0, VOCABULARY, (int(torch.randint(low, high, (1,), generator=g)),), generator=g)

    pairs = []
    for number, size in enumerate(sizes):
        prompt, shared = ids(), ids()
        for k in range(size):
            chosen, rejected = shared if number == 0 else ids(), ids()
            several = {} if not weights or k % 2 else {"chosen_weights": torch.rand(len(chosen), generator=g) + 0.1}
            pairs.append(PairExample(f"{number}-{k}", prompt, chosen, rejected, **several))
    return pairs


def losses_and_gradients(model, other, loss, pairs, head, options):
    for one in (model, other):
        if options.get("pack", True):
            install(one)
        else:
            one.set_attn_implementation("sdpa")
    model.zero_grad()
    scored = Scorer(loss, head, "fp32", other).score(CausalLM(model), collate(pairs, **options))
    scored.losses.mean().backward()
    return scored, [weight.grad.clone() for weight in model.parameters()]


def check_same(found, expected, name):
    scored, grads = found
    assert torch.allclose(scored.losses, expected[0].losses, rtol=1e-4, atol=1e-5), name
    assert scored.metrics.keys() == expected[0].metrics.keys()
    for metric, values in expected[0].metrics.items():
        assert torch.allclose(scored.metrics[metric], values, rtol=1e-4, atol=1e-4), (name, metric)
    largest = max(grad.abs().max() for grad in expected[1])
    for one, other in zip(grads, expected[1], strict=True):
        assert (one - other).abs().max() < 1e-5 * max(largest, 1), name


@pytest.mark.parametrize("loss", ["lpo-ste", "dpo", "simpo"])
@pytest.mark.parametrize("name", MODELS)
def test_losses_and_all_gradients_are_equal(name, loss):
    pairs, loss = pairs_of([3, 2, 1]), REGISTRY.get(loss)()
    model, other = made(name), made(name, 1)
    found = {way: losses_and_gradients(model, other, loss, pairs, *how) for way, how in WAYS.items()}
    plain = found.pop("padded full")
    assert plain[0].losses.shape == (6,)
    assert max(grad.abs().max() for grad in plain[1]) > 1e-3
    for way, one in found.items():
        check_same(one, plain, way)


@pytest.mark.parametrize("loss", ["lpo-ste", "dpo"])
def test_with_token_weights_too(loss):
    pairs, loss = pairs_of([3, 2, 1], weights=True), REGISTRY.get(loss)()
    model, other = made("llama"), made("llama", 1)
    found = {way: losses_and_gradients(model, other, loss, pairs, *how) for way, how in WAYS.items()}
    plain = found.pop("padded full")
    for way, one in found.items():
        check_same(one, plain, way)
    unweighted = losses_and_gradients(model, other, loss, pairs_of([3, 2, 1]), *WAYS["padded full"])
    assert not torch.allclose(plain[0].losses, unweighted[0].losses, atol=1e-3)


@pytest.mark.parametrize("loss", ["tdpo1", "epsilon-dpo", "ld-dpo", "wpo"])
def test_losses_on_tokens_and_distributions_too(loss):
    pairs, loss = pairs_of([3, 1]), REGISTRY.get(loss)()
    model, other = made("llama"), made("llama", 1)
    ways = ("padded fused", "packed", "packed shared")
    plain, *found = [losses_and_gradients(model, other, loss, pairs, *WAYS[way]) for way in ways]
    for way, one in zip(ways[1:], found, strict=True):
        check_same(one, plain, way)


def test_bf16_autocast_differs_by_rounding_alone():
    pairs, model, other = pairs_of([3, 2, 1]), made("llama"), made("llama", 1)
    exact = losses_and_gradients(model, other, DPO(), pairs, *WAYS["padded full"])[0]
    for way in ("padded fused", "packed shared"):
        head, options = WAYS[way]
        install(model)
        install(other)
        scored = Scorer(DPO(), head, "bf16", other).score(CausalLM(model), collate(pairs, **options))
        for metric in ("log_ratios/chosen", "log_ratios/rejected"):
            assert (scored.metrics[metric] - exact.metrics[metric]).abs().max() < 0.05, way


# Packs


@pytest.mark.parametrize("budget", [1, 20, 45, 80, 200, 10_000, None])
@pytest.mark.parametrize("share", [True, False])
def test_packs_hold_every_example_once_and_keep_to_the_budget(budget, share):
    pairs = pairs_of([3, 2, 1, 4, 1, 1, 2])
    packs = split(pairs, budget, share)
    assert sorted(pair.id for pack in packs for pair in pack) == sorted(pair.id for pair in pairs)
    assert all(packs)
    if budget is None or budget == 10_000:
        assert len(packs) == 1
        return
    assert len(packs) > 1
    for pack in packs:
        assert packed_tokens(pack, share) <= budget or len(pack) == 1
    for prompt in {pair.id[0] for pair in pairs} if share else ():
        group = [pair for pair in pairs if pair.id[0] == prompt]
        homes = {number for number, pack in enumerate(packs) for pair in pack if pair.id[0] == prompt}
        assert len(homes) == 1 or packed_tokens(group) > budget  # only what cannot stay together is parted


def test_packs_of_nothing_and_of_one():
    assert split([], 10) == [[]]
    pairs = pairs_of([1])
    assert split(pairs, 1) == [pairs]


def config(folder, **changes):
    defaults = {
        "output_dir": str(folder),
        "use_cpu": True,
        "max_steps": 4,
        "logging_steps": 1,
        "save_strategy": "no",
        "per_device_train_batch_size": 6,
        "learning_rate": 1e-3,
        "lr_scheduler_type": "constant",
        "max_answer_tokens": 100,
    }
    return LPOConfig(**{**defaults, **changes})


def rows_of(folder):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "tokens_per_second"} for row in rows]


def run(folder, pairs, loss="dpo", model="llama", **changes):
    trained = made(model)
    trainer = LPOTrainer(trained, args=config(folder, **changes), train_dataset=pairs, loss=loss)
    trainer.train()
    return trainer, rows_of(folder)


def check_same_runs(one, other, atol=1e-4):
    (first, rows), (second, others) = one, other
    assert len(rows) == len(others) == 4
    for row, expected in zip(rows, others, strict=True):
        if abs(expected["rewards/margins"]) < 1e-6:  # policy = reference: rounding alone says which side is ahead
            row, expected = ({k: v for k, v in one.items() if k != "rewards/accuracies"} for one in (row, expected))
        assert row == pytest.approx(expected, rel=1e-3, abs=1e-4)
    for mine, theirs in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.allclose(mine, theirs, atol=atol)


# SGD: Adam's first steps divide rounding errors by their own size
SGD = {"optim": "sgd", "learning_rate": 1e-2, "max_grad_norm": 1.0}


@pytest.mark.parametrize("loss", ["lpo-ste", "tdpo1"])
@pytest.mark.slow
def test_a_small_token_budget_trains_the_same(tmp_path, loss, monkeypatch):
    pairs = pairs_of([3, 2, 1, 4, 2])
    whole = run(tmp_path / "whole", pairs, loss, token_budget=None, **SGD)
    steps = []
    inner = LPOTrainer.compute_loss
    monkeypatch.setattr(LPOTrainer, "compute_loss", lambda self, *a, **k: (steps.append(1), inner(self, *a, **k))[1])
    small = run(tmp_path / "small", pairs, loss, token_budget=40, **SGD)
    assert len(steps) > 8  # several passes a step
    check_same_runs(small, whole)


@pytest.mark.slow
def test_every_layout_trains_the_same(tmp_path):
    pairs = pairs_of([3, 2, 1, 4, 2])
    options = {"length_window": 1, **SGD}  # the order of examples is the packed one's then
    plain = run(tmp_path / "padded", pairs, pack=False, head="full", **options)
    check_same_runs(run(tmp_path / "packed", pairs, share_prompts=False, **options), plain)
    check_same_runs(run(tmp_path / "shared", pairs, **options), plain)
    check_same_runs(run(tmp_path / "answers", pairs, head="answers", token_budget=90, **options), plain)


# Models that cannot be packed


def blind(query, key, value, layout, scale):
    """A packed path that takes the row for one sequence."""
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    return scaled_dot_product_attention(query, key, value, is_causal=True, scale=scale)


LABELLED = [AnswerExample(pair.id, pair.prompt_ids, pair.chosen_ids, k % 2 == 0) for k, pair in enumerate(pairs_of([1] * 7, 8))]


@pytest.mark.parametrize(
    ("examples", "loss", "changes"),
    [
        pytest.param(pairs_of([3, 2, 1]), LPOSTE(), {}, id="shared"),
        pytest.param(pairs_of([1] * 6), LPOSTE(), {"share_prompts": False}, id="not shared", marks=pytest.mark.slow),
        pytest.param(LABELLED, KTO(), {}, id="one answer per prompt", marks=pytest.mark.slow),
    ],
)
def test_a_model_that_ignores_the_layout_is_noticed(tmp_path, monkeypatch, caplog, examples, loss, changes):
    changes |= {"max_steps": 2, "length_window": 1, **SGD}
    expected = run(tmp_path / "padded", examples, loss, pack=False, **changes)
    assert not caplog.records
    monkeypatch.setattr(attention, "packed_attention", blind)
    with caplog.at_level(logging.WARNING):
        trainer, rows = run(tmp_path / "packed", examples, loss, **changes)
    assert "pack: false instead of true, since LlamaForCausalLM gives other log-probs to packed answers than to plain ones" in (
        caplog.text
    )
    assert trainer.args.pack is False
    for row, other in zip(rows, expected[1], strict=True):
        assert row == pytest.approx(other, rel=1e-4, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bloom", "mamba"])
def test_a_model_that_takes_no_layout_is_trained_on_padded_rows(tmp_path, caplog, name):
    torch.manual_seed(0)
    sizes = {"vocab_size": VOCABULARY, "hidden_size": 16, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    if name == "bloom":
        model = BloomForCausalLM(BloomConfig(**sizes, n_layer=1, n_head=2))
    else:
        model = MambaForCausalLM(MambaConfig(**sizes, num_hidden_layers=1))
    with caplog.at_level(logging.WARNING):
        trainer = LPOTrainer(model, args=config(tmp_path, max_steps=1), train_dataset=pairs_of([3, 2, 1]), loss="dpo")
        trainer.train()
    reason = "does not take packed answers (ValueError: " if name == "bloom" else "has layers of kind"
    assert f"pack: false instead of true, since {type(model).__name__} {reason}" in caplog.text
    assert trainer.args.pack is False
    assert rows_of(tmp_path)[0]["loss"] == pytest.approx(0.693147, abs=1e-4)


def test_dropout_of_every_kind_is_off(tmp_path):
    """OPT hands its probabilities to functional dropout; the first batch's check would notice them."""
    torch.manual_seed(0)
    sizes = {"vocab_size": VOCABULARY, "hidden_size": 16, "ffn_dim": 32, "word_embed_proj_dim": 16, "num_hidden_layers": 1}
    model = OPTForCausalLM(
        OPTConfig(**sizes, num_attention_heads=2, dropout=0.3, layerdrop=0.3, attention_dropout=0.3, pad_token_id=1)
    )
    trainer = LPOTrainer(model, args=config(tmp_path, max_steps=1), train_dataset=pairs_of([3, 2, 1]), loss="dpo")
    trainer.train()
    assert rows_of(tmp_path)[0]["loss"] == pytest.approx(0.693147, abs=1e-5)
    assert trainer.args.pack is True


@pytest.mark.slow
def test_a_sound_model_stays_packed(tmp_path, caplog):
    for name in MODELS:
        with caplog.at_level(logging.WARNING):
            trainer, rows = run(tmp_path / name, pairs_of([3, 2, 1]), model=name, max_steps=1)
        assert trainer.args.pack is True
        assert rows[0]["loss"] == pytest.approx(0.693147, abs=1e-4)
    assert not caplog.records


def test_weights_may_all_lie_at_the_end_of_long_answers(tmp_path, caplog):
    generator = torch.Generator().manual_seed(3)
    late = torch.zeros(60)
    late[-2:] = 1.0
    pairs = [
        PairExample(
            str(number),
            torch.randint(5, 40, (4,), generator=generator),
            torch.randint(5, 40, (60,), generator=generator),
            torch.randint(5, 40, (60,), generator=generator),
            chosen_weights=late,
            rejected_weights=late,
        )
        for number in range(3)
    ]
    with caplog.at_level(logging.WARNING):
        trainer, rows = run(tmp_path, pairs, max_steps=1)
    assert trainer.args.pack is True
    assert rows[0]["loss"] == pytest.approx(0.693147, abs=1e-4)


def test_a_model_that_caps_its_logits_keeps_its_own_head(tmp_path, caplog):
    torch.manual_seed(0)
    sizes = {**SIZES, "head_dim": 8, "initializer_range": 0.5}
    model = Gemma2ForCausalLM(Gemma2Config(**sizes, final_logit_softcapping=2.0, attn_logit_softcapping=None))
    pairs = pairs_of([3, 2, 1])
    with caplog.at_level(logging.WARNING):
        trainer = LPOTrainer(model, args=config(tmp_path, max_steps=1), train_dataset=pairs, loss="dpo")
    message = "head: answers instead of fused, since Gemma2ForCausalLM has no plain head: it changes its logits after the head"
    assert f"{message} (final_logit_softcapping)" in caplog.text
    assert trainer.scorer.head == "answers"
    with torch.no_grad():
        expected = []
        for pair in pairs:
            logits = model(torch.cat([pair.prompt_ids, pair.chosen_ids]).T).logits[0, len(pair.prompt_ids) - 1 : -1]
            assert logits.abs().max() < 2  # capped
            expected.append(logits.log_softmax(-1).gather(1, pair.chosen_ids).sum().item())
    trainer.train()
    assert trainer.args.pack is True
    assert rows_of(tmp_path)[0]["logps/chosen"] == pytest.approx(sum(expected) / 6, abs=1e-3)


def test_a_loss_over_logits_is_refused_where_logits_are_capped(tmp_path):
    model = made("llama")
    model.config.final_logit_softcapping = 2.0
    message = (
        r"TDPO1 takes distributions .* of LlamaForCausalLM, it changes its logits after the head \(final_logit_softcapping\)"
    )
    with pytest.raises(ConfigError, match=message):
        LPOTrainer(model, args=config(tmp_path), train_dataset=pairs_of([2]), loss="tdpo1")


def test_a_model_with_convolutions_is_trained_on_padded_rows(tmp_path, caplog):
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_key_value_heads": 1}
    shape = Lfm2Config(
        vocab_size=VOCABULARY,
        num_hidden_layers=2,
        layer_types=["conv", "full_attention"],
        block_auto_adjust_ff_dim=False,
        **sizes,
    )
    with caplog.at_level(logging.WARNING):
        trainer = LPOTrainer(
            Lfm2ForCausalLM(shape), args=config(tmp_path, max_steps=1), train_dataset=pairs_of([3, 2, 1]), loss="dpo"
        )
        trainer.train()
    assert "pack: false instead of true, since Lfm2ForCausalLM has layers of kind conv" in caplog.text
    assert trainer.args.pack is False
