"""A world small enough to run every step in a second: a random LM over the shipped codec, ears that hash what they hear."""

import shutil
import sys
from pathlib import Path

import pytest
import torch
import yaml

from lpo_tts import artefacts, audio
from lpo_tts.records import Utterance

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(Path(__file__).parent))  # for `ears`, named by the recipe as module:Class


def write_model(folder: Path) -> None:
    """A tiny Llama that has learnt one thing only: to end an answer after some ten random codes."""
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = ["one", "two", "three", "four"]
    special = ["<|unk|>", "<|text_start|>", "<|text_end|>", "<|voice_start|>", "<|speech_start|>", "<|speech_end|>"]
    special += [f"<|code_{code}|>" for code in range(1024)]
    tokenizer = Tokenizer(models.WordLevel({"<|unk|>": 0} | {word: 1 + i for i, word in enumerate(words)}, unk_token="<|unk|>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in special])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<|unk|>")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=256,
        tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(config)
    end, first = fast.convert_tokens_to_ids("<|speech_end|>"), fast.convert_tokens_to_ids("<|code_0|>")
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(25):
        ids = torch.randint(first, first + 1024, (16, 24))
        ids[torch.rand(ids.shape) < 0.1] = end
        optimiser.zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        optimiser.step()
    model.save_pretrained(folder)
    fast.save_pretrained(folder)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Folder with the model, a corpus of tones, and recipe.yaml."""
    folder = tmp_path_factory.mktemp("tiny")
    write_model(folder / "model")
    rows = []
    texts = ["one two", "two three four", "three", "four four one", "one three two", "two one"]
    for number in range(18):
        split = ("train", "train", "test")[number % 3]
        seconds = 0.4 + 0.05 * (number % 5)
        wave = 0.1 * torch.sin(torch.arange(int(16000 * seconds)) * (0.05 + 0.01 * number))
        audio.write(folder / "corpus" / f"{number}.wav", wave, 16000)
        rows.append(
            Utterance(
                id=f"u{number:02d}",
                audio=f"{number}.wav",
                text=texts[number % 5],
                duration=seconds,
                speaker=f"s{number % 2}",
                split=split,
                tags={"voice": "seen" if number % 2 else "held-out"},
            )
        )
    artefacts.write_rows(folder / "corpus" / "manifest.jsonl", rows)
    slots = [{"first": "<|code_0|>", "size": 1024}]
    template = "<|text_start|>{text}<|text_end|><|voice_start|>{voice}<|speech_start|>"
    sampling = {"max_tokens": 24, "block_size": 8}
    recipe = {
        "name": "tiny",
        "out": str(folder / "out"),
        "device": "cpu",
        "engine": {"name": "local", "workers": 0},
        "backbone": {
            "name": "flat",
            "model": str(folder / "model"),
            "template": template,
            "slots": slots,
            "end": ["<|speech_end|>"],
            "voice_frames": 8,
        },
        "codec": {"name": "mini", "model": str(ROOT / "recipes" / "mini" / "checkpoints" / "codec")},
        "prompts": {"manifest": str(folder / "corpus" / "manifest.jsonl")},
        "sample": {"num_candidates": 4, "sampling": sampling},
        "score": {
            "metrics": {
                "wer": {"name": "wer", "recogniser": {"name": "ears:HashRecogniser"}},
                "similarity": {"name": "similarity", "encoder": {"name": "ears:HashEncoder"}},
            }
        },
        "pair": {"rules": [{"rule": {"name": "best_worst"}, "min_gap": 0.1, "pairs_per_prompt": 2}], "dev_share": 0.3},
        "train": {
            "batch_size": 4,
            "learning_rate": 1e-3,
            "precision": "fp32",
            "attention": "eager",
            "epochs": 2,
            "save_steps": 2,
        },
        "synthesize": {"num_seeds": 2, "sampling": sampling, "floor_prompts": 2},
        "evaluate": {
            "num_resamples": 1000,
            "judges": {
                "judge": {
                    "label": "other ears",
                    "role": "judge",
                    "metric": {"name": "wer", "recogniser": {"name": "ears:HashRecogniser", "salt": "other"}},
                },
                "voice": {
                    "label": "other voices",
                    "role": "judge",
                    "metric": {"name": "similarity", "encoder": {"name": "ears:HashEncoder", "salt": "other"}},
                },
            },
        },
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    return folder


@pytest.fixture(scope="session")
def finished(tiny, tmp_path_factory):
    """The run folder of the tiny recipe after all steps, which tests may read and copy; beside its corpus."""
    from lpo_tts import cli

    out = tmp_path_factory.mktemp("finished") / "out"
    shutil.copytree(tiny / "corpus", out.parent / "corpus")
    manifest = out.parent / "corpus" / "manifest.jsonl"
    assert cli.main(["run", str(tiny / "recipe.yaml"), f"out={out}", f"prompts.manifest={manifest}", "--quiet"]) == 0
    return out
