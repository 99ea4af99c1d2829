"""The contract of backbones, over every member: a new one is a line in MEMBERS."""

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from lpo_tts.backbones.flat import FlatBackbone, SlotSettings
from lpo_tts.testing import check_backbone

sys.path.insert(0, str(Path(__file__).parents[1]))
import multistream as ms

WORDS = ["gate", "blue", "seven", "four"]
SNAC = [(0, 0), (1, 0), (2, 0), (2, 1), (1, 1), (2, 2), (2, 3)]


def flat(folder, tokens, build, **settings):
    """A flat backbone with a random model and these special tokens."""
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0} | {word: 1 + n for n, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in tokens])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")
    torch.manual_seed(0)
    model = build(len(fast))
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.normal_(0, 0.2)
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return FlatBackbone(model=str(folder), **settings)


SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}


def one_slot(folder, build):
    backbone = flat(
        folder,
        ["<|voice|>", "<|speech|>", "<|end|>", *(f"<|s_{n}|>" for n in range(24))],
        build,
        template="{text}<|voice|>{voice}<|speech|>",
        slots=(SlotSettings("<|s_0|>", 24),),
        end=("<|end|>",),
    )
    return SimpleNamespace(backbone=backbone, sizes=(24,), rates=None)


def seven_slots(folder, build):
    backbone = flat(
        folder,
        ["<a>", "<end_0>", "<end_1>", *(f"<c_{n}>" for n in range(7 * 5))],
        build,
        template="<a>{text}",
        slots=tuple(SlotSettings(f"<c_{5 * k}>", 5, level, index) for k, (level, index) in enumerate(SNAC)),
        end=("<end_0>", "<end_1>"),
    )
    return SimpleNamespace(backbone=backbone, sizes=(5, 5, 5), rates=(1, 2, 4))


def changed(case, **changes):
    return SimpleNamespace(backbone=replace(case.backbone, **changes), sizes=case.sizes, rates=case.rates)


def llama(size):
    return LlamaForCausalLM(LlamaConfig(vocab_size=size, max_position_embeddings=128, **SIZES))


def qwen2(size):
    return Qwen2ForCausalLM(Qwen2Config(vocab_size=size, max_position_embeddings=128, tie_word_embeddings=True, **SIZES))


def gpt2(size):
    return GPT2LMHeadModel(GPT2Config(vocab_size=size, n_positions=128, n_embd=32, n_layer=2, n_head=2))


def stacked(name, folder):
    return SimpleNamespace(backbone=ms.backbone(name, folder), sizes=(ms.CODES,) * ms.BOOKS, rates=None)


MEMBERS = {
    "flat, one slot": lambda folder: one_slot(folder, llama),
    "flat, seven slots": lambda folder: seven_slots(folder, qwen2),
    "flat, ends as one outcome": lambda folder: changed(seven_slots(folder, llama), merge_ends=True),
    "flat, normalised over its codes": lambda folder: changed(one_slot(folder, qwen2), restrict_logps=True),
    "flat, both": lambda folder: changed(seven_slots(folder, qwen2), merge_ends=True, restrict_logps=True),
    "flat, both, a model of another kind": lambda folder: changed(
        seven_slots(folder, gpt2), merge_ends=True, restrict_logps=True
    ),
    "flat, a model of another kind": lambda folder: one_slot(folder, gpt2),
    "delay": lambda folder: stacked("delay", folder),
    "depth": lambda folder: stacked("depth", folder),
}
TEXTS = {"delay": ["one four", "two", "three two one"], "depth": ["one four", "two", "three two one"]}


@pytest.mark.parametrize("name", MEMBERS)
def test_a_member_does_what_backbones_promise(name, tmp_path):
    case = MEMBERS[name](tmp_path)
    texts = TEXTS.get(name, ["gate four", "blue", "seven blue gate"])
    check_backbone(case.backbone, case.sizes, texts, rates=case.rates)


def test_a_broken_promise_is_named(tmp_path, monkeypatch):
    from lpo_tts.backbones.flat_answers import FlatAnswers
    from lpo_tts.lm.causal import OneStreamDecoding

    case = MEMBERS["flat, one slot"](tmp_path)

    def check():
        check_backbone(replace(case.backbone), case.sizes, ["gate four", "blue"])

    with monkeypatch.context() as patch:
        patch.setattr(FlatAnswers, "ends", lambda self, step: step[:, 0] < 0)
        with pytest.raises(AssertionError, match="ends: expected the last step alone to end"):
            check()
    with monkeypatch.context() as patch:
        patch.setattr(FlatAnswers, "check", lambda self, codec: None)
        with pytest.raises(AssertionError, match="a codec with another codebook must be refused"):
            check()
    with monkeypatch.context() as patch:
        plain = OneStreamDecoding.step

        def drifting(self, draw):
            self._logits = self._logits + torch.arange(self._logits.shape[1]) / 100
            return plain(self, draw)

        patch.setattr(OneStreamDecoding, "step", drifting)
        with pytest.raises(AssertionError, match=r"fed step by step is .* nats apart from the whole"):
            check()
    check()
