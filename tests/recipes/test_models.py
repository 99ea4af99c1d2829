"""Recipes of published models on tiny models in their formats: prompts by hand, ids, codes, log-probs."""

import dataclasses
import json
import sys
from pathlib import Path

import pytest
import torch

from lpo_tts import recipe
from lpo_tts.codes import Codes
from lpo_tts.config import read_yaml
from lpo_tts.errors import ConfigError
from lpo_tts.frontends.espeak import EspeakFrontEnd
from lpo_tts.lm.logps import Wanted
from lpo_tts.testing import check_backbone
from lpo_tts.testing.tiny_models import end_soon, names, tiny_model
from lpo_tts.training.batch import collate
from lpo_tts.training.examples import AnswerExample

sys.path.insert(0, str(Path(__file__).parent))
from by_hand import IDS, PROMPTS, SNAC_SIZES, sizes_of, voice_of

ROOT = Path(__file__).resolve().parents[2]
VECTORS = Path(__file__).parent / "vectors"
NAMES = names()
NO_CLONING = ("orpheus-3b", "maya1", "veena", "vyvotts-qwen3", "vyvotts-lfm2")  # they have voices of their own

every_model = pytest.mark.parametrize("name", NAMES)
slow = pytest.mark.slow  # writing and reading a vocabulary of 200,000 takes seconds


def test_every_recipe_has_a_tiny_model_and_a_prompt_by_hand():
    files = sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml"))
    assert files == NAMES == sorted(PROMPTS)


@every_model
def test_a_recipe_says_what_there_is_to_know(name):
    about = recipe.load(ROOT / "recipes" / f"{name}.yaml").about
    for key, value in dataclasses.asdict(about).items():
        assert value, f"{name}: about.{key} is empty"
    if name != "encodec-lm":
        assert "computed" in about.gpu_sampling
        assert "computed" in about.gpu_training
        assert "No published weights were" in about.verified


@every_model
def test_pairs_are_sampled_from_the_models_own_distribution(name):
    assert recipe.load(ROOT / "recipes" / f"{name}.yaml").sample.sampling.departures == ()


def test_judges_are_the_same_in_every_recipe():
    found = {}
    for name in NAMES:
        tree = read_yaml(ROOT / "recipes" / f"{name}.yaml")
        chinese = "zh" if name in ("unitts", "glm-tts") else "en"
        for key, judge in {**tree["score"]["metrics"], **tree["evaluate"]["judges"]}.items():
            assert found.setdefault((chinese, key), judge) == judge, f"{name}: {key}"
        alike = "two metrics" if "similarity" in tree["score"]["metrics"] else "one metric"
        assert found.setdefault(alike, tree["pair"]) == tree["pair"], f"{name}: pair"


@slow
@pytest.mark.parametrize("name", [name for name in NAMES if PROMPTS[name][0] is not None])
def test_a_prompt_without_a_voice(on_tiny_model, name):
    tokens = on_tiny_model(name).token_map().prompt("Hi.").tokens
    assert tokens.flatten().tolist() == PROMPTS[name][0]


@slow
@pytest.mark.parametrize("name", [name for name in NAMES if PROMPTS[name][1] is not None])
def test_a_prompt_that_clones_a_voice(on_tiny_model, name):
    backbone = on_tiny_model(name)
    tokens = backbone.token_map().prompt("Hi.", voice_of(sizes_of(backbone)), "Oh").tokens
    assert tokens.flatten().tolist() == PROMPTS[name][1]


@slow
@pytest.mark.parametrize("name", NO_CLONING)
def test_a_voice_is_left_out_where_the_model_has_its_own(on_tiny_model, name):
    token_map = on_tiny_model(name).token_map()
    assert token_map.prompt("Hi.", voice_of(SNAC_SIZES), "Oh").tokens.flatten().tolist() == PROMPTS[name][0]
    assert recipe.load(ROOT / "recipes" / f"{name}.yaml").prompts.voice == "none"


@slow
@pytest.mark.parametrize("name", IDS)
def test_ids_are_the_documented_ones(on_tiny_model, name):
    token_map = on_tiny_model(name).token_map()
    assert ([slot.first_id for slot in token_map.layout.slots], list(token_map.end_ids)) == IDS[name]


@slow
@every_model
def test_codes_become_tokens_and_codes_again(on_tiny_model, name):
    backbone = on_tiny_model(name)
    token_map, sizes = backbone.token_map(), sizes_of(backbone)
    torch.manual_seed(0)
    random = Codes(tuple(torch.randint(size, (5 * rate,)) for rate, size in sizes))
    for codes in (random, voice_of(sizes)):
        tokens = token_map.answer(codes)
        answer = token_map.parse(tokens)
        assert (answer.status, answer.finished, len(tokens)) == ("ok", True, codes.num_frames * token_map.num_slots + 1)
        assert all(torch.equal(a, b) for a, b in zip(answer.codes.levels, codes.levels, strict=True))


@slow
@every_model
def test_log_probs_are_those_of_a_loop(on_tiny_model, name):
    backbone = on_tiny_model(name)
    token_map, lm = backbone.token_map(), backbone.load()
    sizes = sizes_of(backbone)
    voice = None if PROMPTS[name][1] is None else voice_of(sizes)
    prompt = token_map.prompt("Hi.", voice, "Oh" if voice else "").tokens
    torch.manual_seed(1)
    answers = [token_map.answer(Codes(tuple(torch.randint(size, (frames * rate,)) for rate, size in sizes))) for frames in (3, 2)]
    if len(token_map.end_ids) > 1:
        answers[1][-1] = token_map.end_ids[-1]  # another end than the one that training writes
    examples = [AnswerExample(str(n), prompt, answer, True) for n, answer in enumerate(answers)]
    packs = backbone_packs(name)
    if packs:
        lm.take_packs()
    with torch.inference_mode():
        found = lm.logps(collate(examples, pack=packs, counted=lm.counted), Wanted(tokens=True)).tokens
    lm = backbone.load()
    for row, answer in enumerate(answers):
        expected = by_hand(backbone, lm.module, prompt.flatten().tolist(), answer.flatten().tolist())
        torch.testing.assert_close(found[row, : len(answer)].double(), expected, atol=2e-4, rtol=1e-5)


def backbone_packs(name):
    """Whether the recipe packs answers."""
    return recipe.load(ROOT / "recipes" / f"{name}.yaml").train.pack


def by_hand(backbone, model, prompt, answer):
    """Log-probs of an answer, one token after the other, from the settings of the recipe alone."""
    token_map = backbone.token_map()
    slots, ends = token_map.layout.slots, list(token_map.end_ids)
    found = []
    for step, token in enumerate(answer):
        with torch.inference_mode():
            scores = model(input_ids=torch.tensor([[*prompt, *answer[:step]]])).logits[0, -1].double()
        slot = slots[step % len(slots)]
        outcomes = list(range(len(scores)))
        if backbone.restrict_logps:
            outcomes = [*range(slot.first_id, slot.first_id + slot.size), *(ends if step % len(slots) == 0 else [])]
        whole = scores[outcomes].logsumexp(0)
        what = scores[ends].logsumexp(0) if backbone.merge_ends and token in ends else scores[token]
        found.append(what - whole)
    return torch.stack(found)


@slow
@pytest.mark.parametrize("name", ["encodec-lm", "cosyvoice3", "vyvotts-lfm2"])  # two slots; merged ends; convolutions
def test_the_contract_of_backbones(on_tiny_model, name):
    backbone = on_tiny_model(name)
    sizes, frames = sizes_of(backbone), 0 if PROMPTS[name][1] is None else 3
    rates = [rate for rate, _ in sizes]
    check_backbone(backbone, [size for _, size in sizes], ["Hi.", "Oh, no!"], rates=rates, voice_frames=frames)


def official():
    """Prompts that the authors' own programs made on the same tokenizers: `tests/recipes/vectors/README.md` says how."""
    for name in ("neutts.json", "repositories.json"):
        yield from json.loads((VECTORS / name).read_text(encoding="utf-8"))["prompts"]


@slow
@pytest.mark.parametrize("name", sorted({vector["recipe"] for vector in official()}))
def test_prompts_are_those_of_the_authors_programs(on_tiny_model, name):
    backbone = on_tiny_model(name)
    seen = 0
    for vector in (one for one in official() if one["recipe"] == name):
        template = backbone.template
        if vector.get("emotion"):
            mark = f"<|{vector['emotion'].upper()}|>"
            template = template.replace("{voice_text} {text}", f"{{voice_text}}{mark}{{text}}")
        token_map = dataclasses.replace(backbone, template=template).token_map()
        voice = None if vector["codes"] is None else Codes((torch.tensor(vector["codes"]),))
        tokens = token_map.prompt(vector["text"], voice, vector["voice_text"]).tokens
        assert tokens.flatten().tolist() == vector["ids"], vector["text"]
        seen += 1
    assert seen >= 2


@pytest.mark.parametrize(("language", "drop"), [("de", ""), ("es", ""), ("fr-fr", "-")])
def test_phones_are_those_of_the_package_neutts(language, drop):
    vector = json.loads((VECTORS / "neutts.json").read_text(encoding="utf-8"))["phones"][language]
    assert EspeakFrontEnd(language, drop=drop).load()(vector["text"]) == vector["phones"]


def test_a_tiny_model_of_no_recipe_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="found 'fruits'"):
        tiny_model("fruits", tmp_path)


@slow
def test_answers_of_a_tiny_model_end_soon(on_tiny_model):
    backbone = on_tiny_model("encodec-lm")
    model, token_map = backbone.load().module, backbone.token_map()
    slot, end = token_map.layout.slots[0], token_map.end_ids[0]
    end_soon(model, range(slot.first_id, slot.first_id + slot.size), end, share=0.2)
    torch.manual_seed(0)
    said = torch.randint(slot.first_id, slot.first_id + slot.size, (16, 20))
    with torch.inference_mode():
        scores = model(input_ids=said).logits
    chosen = scores[..., [*range(slot.first_id, slot.first_id + slot.size), end]].softmax(-1)[..., -1]
    assert 0.05 < float(chosen.mean()) < 0.5
