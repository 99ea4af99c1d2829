"""Samplers as a family: `local` is meant where a recipe names none; what every member promises of its answers."""

import dataclasses
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from lpo_tts.backbones.flat import FlatBackbone, SlotSettings
from lpo_tts.config import Structurer
from lpo_tts.errors import ConfigError, ContractError
from lpo_tts.lm.base import PromptInputs
from lpo_tts.sampling import REGISTRY
from lpo_tts.sampling.base import Drawing, Sampler, SampleRequest, candidate_seed
from lpo_tts.sampling.local import LocalSampler
from lpo_tts.steps.sample import SampleSettings
from lpo_tts.steps.synthesize import SynthesizeSettings

STRUCTURER = Structurer({Sampler: REGISTRY})


@pytest.mark.parametrize("settings", [SampleSettings, SynthesizeSettings])
def test_local_is_the_default(settings):
    assert settings().sampling == LocalSampler()
    for section in ({"top_k": 20}, {"name": "local", "top_k": 20}):
        found = STRUCTURER.structure({"sampling": section}, settings)
        assert found.sampling == LocalSampler(top_k=20)
        plain = STRUCTURER.unstructure(found)
        assert (plain["sampling"]["name"], plain["sampling"]["top_k"]) == ("local", 20)
        assert STRUCTURER.structure(plain, settings) == found
    with pytest.raises(ConfigError, match=r"sampling: no member named 'lokal'; did you mean local\?"):
        STRUCTURER.structure({"sampling": {"name": "lokal"}}, settings)
    with pytest.raises(ConfigError, match="unknown key; did you mean top_k"):
        STRUCTURER.structure({"sampling": {"topk": 1}}, settings)


def test_the_unit_of_resuming_is_a_decode_batch_unless_said():
    assert SampleSettings().part_size is None
    assert LocalSampler(block_size=32).part_size == 32
    with pytest.raises(ConfigError, match="part_size must be at least 1"):
        SampleSettings(part_size=0)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    """A tiny model of two codes per frame and two ends, with its tokenizer."""
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("family")
    tokenizer = Tokenizer(models.WordLevel({"?": 0, "one": 1, "two": 2}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    names = ["<say>", *(f"<{slot}{code}>" for slot in "ab" for code in range(6)), "<end>", "<stop>"]
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in names])
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="?").save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=32, max_position_embeddings=64, **sizes)).save_pretrained(folder)
    slots = (SlotSettings("<a0>", 6), SlotSettings("<b0>", 6, level=1))
    return FlatBackbone(str(folder), "{text}<say>", slots, ("<end>", "<stop>"))


@pytest.mark.slow
@pytest.mark.parametrize("name", REGISTRY)
def test_what_every_member_promises(name, backbone, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent / "fake"))  # where `vllm` is
    settings = REGISTRY.get(name)(max_tokens=13)
    assert {field.name for field in dataclasses.fields(Drawing)} <= {field.name for field in dataclasses.fields(settings)}
    assert (settings.part_size >= 1, settings.departures) == (True, ())
    token_map, loaded = backbone.token_map(), settings.load(backbone)
    prompts = {"one": 6, "two two one": 3, "two": 0, "one two": 5}
    asked = [
        SampleRequest(text, token_map.prompt(text), tuple(candidate_seed(3, f"{text}#{k}") for k in range(count)))
        for text, count in prompts.items()
    ]
    found = list(loaded.sample(iter(asked)))
    assert [(one.prompt_id, one.index, one.seed) for one in found] == [
        (request.prompt_id, index, seed) for request in asked for index, seed in enumerate(request.seeds)
    ]
    for one in found:
        parsed = token_map.parse(one.tokens)
        assert one.tokens.shape == (len(one.tokens), 1)
        assert one.tokens.dtype == torch.int64
        assert parsed.finished == one.finished
        assert one.finished or len(one.tokens) == 13
        assert not token_map.ends(one.tokens[:-1]).any()
        assert parsed.status in ("ok", "empty") or not one.finished
    assert {one.finished for one in found} == {True, False}

    drawn = {(one.prompt_id, one.seed): one.tokens.tolist() for one in found}
    assert len({str(tokens) for tokens in drawn.values()}) > 7
    backwards = [dataclasses.replace(request, seeds=request.seeds[::-1]) for request in asked[::-1]]
    assert drawn == {(one.prompt_id, one.seed): one.tokens.tolist() for one in loaded.sample(backwards)}
    later = loaded.changed(min_tokens=10, temperature=0.8, top_p=0.9, top_k=9, min_p=0.01, repetition_penalty=1.1)
    assert all(len(one.tokens) > 10 for one in later.sample(asked))
    assert {(one.prompt_id, one.seed): one.tokens.tolist() for one in loaded.sample(asked)} == drawn

    for tokens, message in ((token_map.prompt("one").tokens[:0], "at least one token"), (torch.ones(60, 1).long(), "exceed")):
        with pytest.raises(ContractError, match=message):
            list(loaded.sample([SampleRequest("p", PromptInputs(tokens), (1,))]))
    with pytest.raises(ConfigError, match="restrict cannot be changed"):
        loaded.changed(restrict=False)
