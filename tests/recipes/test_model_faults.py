"""Recipes of published models with a codec, a vocabulary or weights that do not fit them: a clear error each."""

import dataclasses
import json
import sys
from pathlib import Path

import pytest

from lpo_tts.errors import ComponentError, ContractError
from lpo_tts.testing.tiny_models import names, tiny_model

sys.path.insert(0, str(Path(__file__).parent))
from by_hand import sizes_of

pytestmark = pytest.mark.slow  # writing and reading a vocabulary of 200,000 takes seconds

every_model = pytest.mark.parametrize("name", names())


@every_model
def test_a_codec_of_another_kind_is_refused(on_tiny_model, name):
    @dataclasses.dataclass
    class Books:
        codebook_sizes: tuple

    token_map = on_tiny_model(name).token_map()
    sizes = tuple(size for _, size in sizes_of(on_tiny_model(name)))
    token_map.check(Books(sizes))
    for wrong in ((1024,) * 8, (*sizes[:-1], sizes[-1] - 1)):
        with pytest.raises(ContractError, match=r"name the codec the model was trained with") as caught:
            token_map.check(Books(wrong))
        assert str(sizes) in str(caught.value)
        assert str(wrong) in str(caught.value)


def changed(backbone, folder, change):
    """The backbone with a tokenizer whose file was changed."""
    source = Path(backbone.model)
    tree = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    change(tree)
    for name in ("tokenizer_config.json", "config.json", "model.safetensors"):
        (folder / name).write_bytes((source / name).read_bytes())
    (folder / "tokenizer.json").write_text(json.dumps(tree), encoding="utf-8")
    return dataclasses.replace(backbone, model=str(folder))


@every_model
def test_a_gap_among_the_codes_is_refused(on_tiny_model, tmp_path, name):
    backbone = on_tiny_model(name)
    first = backbone.slots[-1].first

    def swap(tree):
        added = {one["content"]: one for one in tree["added_tokens"]}
        one, last = added[first], added[backbone.slots[-1].last]
        one["content"], last["content"] = last["content"], one["content"]

    with pytest.raises(ComponentError, match="expected contiguous ids") as caught:
        changed(backbone, tmp_path, swap).token_map()
    assert first in str(caught.value)


@every_model
def test_a_missing_end_is_refused(on_tiny_model, tmp_path, name):
    backbone = on_tiny_model(name)
    end = backbone.end[0]

    def drop(tree):
        next(one for one in tree["added_tokens"] if one["content"] == end)["content"] = "<|other|>"

    with pytest.raises(ComponentError, match="expected the token") as caught:
        changed(backbone, tmp_path, drop).token_map()
    assert end in str(caught.value)


@every_model
def test_an_end_among_the_codes_is_refused(on_tiny_model, name):
    backbone = on_tiny_model(name)
    with pytest.raises(ComponentError, match="lies among the codes of") as caught:
        dataclasses.replace(backbone, end=(backbone.slots[0].first,)).token_map()
    assert backbone.slots[0].first in str(caught.value)


@every_model
def test_too_few_embeddings_are_refused(on_tiny_model, tmp_path, name):
    backbone = on_tiny_model(name)
    highest = backbone.token_map().highest
    small = tiny_model(name, tmp_path / "small", rows=highest)
    with pytest.raises(ComponentError, match=f"expected an embedding for token {highest}, found {highest} embeddings"):
        backbone.load(model=small)
