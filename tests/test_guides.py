"""The code on the pages of docs/extend runs as it stands there, and the recipes' lines name it."""

import re
import sys
import types
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from lpo_tts import testing
from lpo_tts.backbones.base import Backbone
from lpo_tts.backbones.flat import FlatBackbone
from lpo_tts.recipe import STRUCTURER
from lpo_tts.testing import check_backbone

PAGES = Path(__file__).parents[1] / "docs" / "extend"
RUN = ("codec", "recogniser", "speaker", "model", "comparer")
ELSEWHERE = {"metric", "rule", "loss", "corpus"}  # run by tests/metrics, tests/rules, tests/losses and tests/test_extend.py


def blocks(page, kind):
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def own_names(tree):
    """Every `module:Class` in a tree."""
    if isinstance(tree, dict):
        yield from (value for key, value in tree.items() if key == "name" and ":" in str(value))
        yield from (name for value in tree.values() for name in own_names(value))
    elif isinstance(tree, list):
        yield from (name for value in tree for name in own_names(value))


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN)
def test_every_block_of_code_runs(page, monkeypatch):
    monkeypatch.chdir(PAGES.parents[1])
    place = types.ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", place)  # where dataclasses and pickle look for what the page defines
    found = blocks(page, "python")
    assert len(found) >= 2, "the part itself, and its check"
    assert "check_" in found[-1]
    for block in found:
        exec(compile(block, page, "exec"), place.__dict__)


@pytest.mark.parametrize("page", RUN)
def test_the_recipes_lines_name_what_the_page_defines(page):
    code = "\n".join(blocks(page, "python"))
    names = [name for block in blocks(page, "yaml") for name in own_names(yaml.safe_load(block.replace(": ...", ": x")))]
    assert names
    for name in names:
        assert re.search(rf"^class {name.partition(':')[2]}\b", code, re.MULTILINE), name


def test_every_family_has_a_page_that_the_index_names():
    index = (PAGES / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\((\w+)\.md\)", index))
    assert named == {*RUN, *ELSEWHERE}
    checks = re.findall(r"lpo_tts\.testing\.(check_\w+)", index)
    assert all(callable(getattr(testing, name)) for name in checks)
    assert len(set(checks)) == 10, "every family but the corpora has a check"


@pytest.mark.slow
def test_a_new_model_is_one_block_of_yaml(tmp_path):
    """The block of model.md that has every key, on a tiny model that it describes: from texts to log-probs and samples."""
    tree = yaml.safe_load(blocks("model", "yaml")[1])["backbone"]
    assert set(tree) == {"name", *FlatBackbone.__dataclass_fields__} - {"attention"}
    size = 6
    marks = ["<|text|>", "<|voice|>", "<|speech|>", "<|end|>", "<|stop_0|>", "<|stop_1|>"]
    names = [*marks, *(f"<|{slot}_{code}|>" for slot in "abcdefg" for code in range(size))]
    alphabet = sorted({*pre_tokenizers.ByteLevel.alphabet()})
    inner = Tokenizer(models.BPE({letter: number for number, letter in enumerate(alphabet)}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner)
    tokenizer.add_tokens(names, special_tokens=True)
    tokenizer.save_pretrained(tmp_path)
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=256, initializer_range=0.3, **sizes)
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    described = STRUCTURER.structure(tree, Backbone)
    slots = tuple(replace(slot, size=size) for slot in described.slots)
    own = {"model": str(tmp_path), "revision": None, "adapter": None, "dtype": "float32"}
    check_backbone(replace(described, slots=slots, **own), [size] * 3, ["One word.", "Two more words!"], rates=[1, 2, 4])
