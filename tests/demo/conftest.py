"""The app is a package of the repository's root; and a small run folder made by the real steps."""

import dataclasses
import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lpo_tts import audio, files
from lpo_tts.records import Utterance

ROOT = str(Path(__file__).parents[2])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

WORDS = ("gate", "room", "blue", "one", "two", "three")
SPECIAL = ("<|pad|>", "<|unk|>", "<|text_start|>", "<|text_end|>", "<|voice_start|>", "<|speech_start|>", "<|speech_end|>")
CODEBOOK = 8


def tokenizer():
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    codes = [f"<|code_{code}|>" for code in range(CODEBOOK)]
    names = [*SPECIAL, *WORDS, *codes]
    made = Tokenizer(models.WordLevel({name: index for index, name in enumerate(names)}, unk_token="<|unk|>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in SPECIAL])
    made.add_tokens([AddedToken(name, normalized=False) for name in codes])
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<|pad|>", unk_token="<|unk|>", eos_token="<|speech_end|>")


def language_model(seed):
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    sizes = {
        "vocab_size": len(SPECIAL) + len(WORDS) + CODEBOOK,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 1,
    }
    return LlamaForCausalLM(LlamaConfig(num_attention_heads=2, num_key_value_heads=1, head_dim=16, **sizes))


def models(folder):
    """Random networks of the real kinds: what they say is babble, how they are used is not."""
    from lpo_tts.asr.mini import MiniRecogniserNetwork, Shape
    from lpo_tts.codecs.mini import MiniCodecNetwork, MiniCodecShape, config_of

    torch.manual_seed(0)
    shape = MiniCodecShape(encoder_channels=8, decoder_channels=16, decoder_blocks=2, codebook_size=CODEBOOK, code_dim=4)
    (folder / "codec").mkdir(parents=True)
    save_file(MiniCodecNetwork(shape).state_dict(), folder / "codec" / "model.safetensors")
    (folder / "codec" / "config.json").write_text(json.dumps(config_of(shape)))
    for name in ("asr", "asr-judge"):
        MiniRecogniserNetwork(Shape(channels=8, hidden=8)).save(folder / name)
    language_model(1).save_pretrained(folder / "base")
    tokenizer().save_pretrained(folder / "base")


def corpus(folder):
    """Four recordings of two speakers in each of two splits."""
    rows = []
    for split in ("train", "test"):
        for k in range(4):
            name = f"{split}-{k}"
            wave = 0.1 * torch.sin(torch.arange(16000 + 800 * k) * (0.05 + 0.02 * k))
            audio.write(folder / f"{name}.wav", wave, 16000)
            text = f"{WORDS[k % 2]} {WORDS[3 + k % 3]} {WORDS[2]}"
            seconds = wave.numel() / 16000
            row = Utterance(id=name, audio=f"{name}.wav", text=text, duration=seconds, speaker=f"s{k % 2}", split=split)
            rows.append(dataclasses.replace(row, text=f"{text} {WORDS[3 + k // 2]}"))
    files.write_rows(folder / "manifest.jsonl", rows)


def tree(folder):
    """A recipe as YAML would give it."""
    sampling = {"temperature": 1.0, "max_tokens": 40}
    wer, judge = (
        {"name": "wer", "recogniser": {"name": "mini", "model": str(folder / "models" / name)}} for name in ("asr", "asr-judge")
    )
    return {
        "name": "tiny",
        "out": str(folder / "run"),
        "device": "cpu",
        "backbone": {
            "name": "flat",
            "model": str(folder / "models" / "base"),
            "template": "<|text_start|>{text}<|text_end|><|voice_start|>{voice}<|speech_start|>",
            "slots": [{"first": "<|code_0|>", "size": CODEBOOK}],
            "end": ["<|speech_end|>"],
            "voice_frames": 10,
        },
        "codec": {"name": "mini", "model": str(folder / "models" / "codec")},
        "prompts": {"manifest": str(folder / "corpus" / "manifest.jsonl")},
        "sample": {"num_candidates": 6, "sampling": sampling},
        "score": {"metrics": {"wer": wer, "length": {"name": "duration"}}, "max_unscorable": 0.5},
        "pair": {
            "rules": [{"rule": {"name": "best_worst", "metric": "length", "second_metric": None}, "min_gap": 0.01}],
            "dev_share": 0.0,
        },
        "synthesize": {"num_seeds": 2, "sampling": sampling, "floor_prompts": 0},
        "evaluate": {
            "judges": {
                "heard": {"metric": judge, "role": "judge", "label": "held-out recogniser"},
            },
            "num_resamples": 1000,
        },
    }


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    """A run folder with judgements; the aligned model is another random one, since training has tests of its own."""
    from lpo_tts import pipeline
    from lpo_tts import recipe as recipes
    from lpo_tts.steps import reporting, sources

    folder = tmp_path_factory.mktemp("tiny")
    models(folder / "models")
    corpus(folder / "corpus")
    recipe = recipes.structure(tree(folder))
    pipeline.run(recipe, until="pair")
    language_model(2).save_pretrained(recipe.checkpoint("aligned"))
    pipeline.run(recipe, only="synthesize")
    run = recipe.run()
    reporting.judge(run, sources.of_run(run, ("base", "aligned")))
    return recipe.out
