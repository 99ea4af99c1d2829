"""What is published holds no path, password or secret of the machine, and no state of the training."""

import json
import os
from pathlib import Path

import pytest

from lpo_tts.errors import ArtefactError
from lpo_tts.exchange.publishing import copy_model, leaks, scrubbed


def test_settings_lose_what_is_of_this_machine():
    home = str(Path.home())
    tree = {
        "out": "/data/runs/one",
        "model": "/models/base",
        "manifest": "../corpus/manifest.jsonl",
        "codec": "recipes/mini/checkpoints/codec",
        "template": "<a>{text}</s>",
        "url": "https://me:secret@judge.example/v1",
        "command": ["/usr/bin/python", f"--root={home}/x", "-m"],
        "token_env": "HF_TOKEN",
        "api_key": "sk-1",
        "headers": {"Authorization": "Bearer x"},
        "unk_token": "<unk>",
        "value_key": "scores.mos",
        "max_tokens": 3,
    }
    assert scrubbed(tree, {"/models/base": "owner/base"}) == {
        "out": "one",
        "model": "owner/base",
        "manifest": "manifest.jsonl",
        "codec": "recipes/mini/checkpoints/codec",
        "template": "<a>{text}</s>",
        "url": "https://judge.example/v1",
        "command": ["python", "--root=.../x", "-m"],
        "token_env": "HF_TOKEN",
        "api_key": "removed",
        "headers": {"Authorization": "removed"},
        "unk_token": "<unk>",
        "value_key": "scores.mos",
        "max_tokens": 3,
    }


def make_checkpoint(folder):
    folder.mkdir()
    for name in (
        "model.safetensors",
        "tokenizer.json",
        "optimizer.pt",
        "training_args.bin",
        "trainer_state.json",
        "checkpoint.json",
    ):
        (folder / name).write_text("{}")
    (folder / "config.json").write_text(json.dumps({"_name_or_path": "/models/base", "vocab_size": 3}))
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "/models/base"}))


@pytest.mark.parametrize("link", [False, True])
def test_the_model_alone_is_copied(link, tmp_path):
    make_checkpoint(tmp_path / "one")
    (tmp_path / "two").mkdir()
    copy_model(tmp_path / "one", tmp_path / "two", {"/models/base": "owner/base"}, link=link)
    names = sorted(path.name for path in (tmp_path / "two").iterdir())
    assert names == ["adapter_config.json", "config.json", "model.safetensors", "tokenizer.json"]
    assert json.loads((tmp_path / "two" / "config.json").read_text()) == {"_name_or_path": "owner/base", "vocab_size": 3}
    assert json.loads((tmp_path / "two" / "adapter_config.json").read_text()) == {"base_model_name_or_path": "owner/base"}
    assert (os.stat(tmp_path / "two" / "model.safetensors").st_nlink > 1) == link


def test_a_folder_without_weights_is_refused(tmp_path):
    with pytest.raises(ArtefactError, match=r"expected a model with weights in \*\.safetensors, found none; train it first"):
        copy_model(tmp_path, tmp_path, {})


def test_a_path_that_is_left_is_found(tmp_path):
    (tmp_path / "README.md").write_text(f"see {Path.home()}/x")
    (tmp_path / "recipe.yaml").write_text("out: one")
    assert list(leaks(tmp_path)) == [f"README.md: {json.dumps(str(Path.home()))}"]
