"""Recipes of published models on tiny models in their formats: prompts by hand, ids, codes, log-probs, bad input."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from lpo_tts import recipe
from lpo_tts.codes import Codes
from lpo_tts.config import read_yaml
from lpo_tts.errors import ComponentError, ConfigError, ContractError
from lpo_tts.lm.logps import Wanted
from lpo_tts.testing import check_backbone
from lpo_tts.testing.tiny_models import end_soon, names, tiny_model
from lpo_tts.training.batch import collate
from lpo_tts.training.examples import AnswerExample

ROOT = Path(__file__).resolve().parents[2]
VECTORS = Path(__file__).parent / "vectors"
NAMES = names()
SNAC = [name for name in NAMES if name.startswith(("orpheus", "maya", "veena", "vyvo"))]
VOICES_OF_ITS_OWN = [name for name in SNAC if name != "orpheus-3b-pretrained"]

every_model = pytest.mark.parametrize("name", NAMES)
slow = pytest.mark.slow  # writing and reading a vocabulary of 200,000 takes seconds


def spelt(text, first=0):
    """Ids of a text in a vocabulary of bytes in GPT-2's order: `!` to `~` first, then two runs above 127, then the rest."""
    ids = []
    for byte in text.encode():
        if 33 <= byte <= 126:
            ids.append(first + byte - 33)
        elif 161 <= byte <= 172:
            ids.append(first + byte - 161 + 94)
        elif byte >= 174:
            ids.append(first + byte - 174 + 106)
        elif byte <= 32:
            ids.append(first + 188 + byte)
        else:
            ids.append(first + (255 if byte == 173 else 221 + byte - 127))
    return ids


def voice_of(sizes):
    """Two frames: codes 1, 2, ... of each level, and the last code of each level last."""
    levels = []
    for level, (rate, size) in enumerate(sizes):
        codes = torch.arange(1, 2 * rate + 1) + 10 * level
        codes[-1] = size - 1
        levels.append(codes)
    return Codes(tuple(levels))


SNAC_SIZES = [(1, 4096), (2, 4096), (4, 4096)]


def snac_voice(marks):
    """The ids of `voice_of(SNAC_SIZES)` behind the marks: slot k begins 10 + 4096 k behind custom token 0."""
    first = marks + 10
    slots = [[1, 11, 21, 22, 12, 23, 24], [4095, 13, 25, 26, 4095, 27, 4095]]
    return [first + 4096 * slot + code for frame in slots for slot, code in enumerate(frame)]


# Llama's marks: 128000 begins a text, 128009 ends it; custom token 0 is 128256.
ORPHEUS_END = [128009, 128260, 128261, 128257]
LLASA_HEAD = [128000, 128006, *spelt("user"), 128007, *spelt("\n\nConvert the text to speech:"), 128258]
LLASA_TAIL = [128259, 128009, 128006, *spelt("assistant"), 128007, *spelt("\n\n"), 128260]
NEUTTS_HEAD = [*spelt("user: Convert the text to speech:"), 151648]  # TEXT_PROMPT_START
NEUTTS_TAIL = [151649, *spelt("\nassistant:"), 151646]  # TEXT_PROMPT_END, SPEECH_GENERATION_START
MAYA = (
    '<description="Realistic female voice in the 30s with an american accent. '
    'Normal pitch, warm timbre, conversational pacing."> '
)
UNITTS = {
    "before": [
        151644,  # <|im_start|>
        *spelt(
            "system\n### 你输出的音色要求：\n"
            "当处于必须进行语音回复的情形下，你应该以如下示例音频的声音种类来予以回复，示例音频的声音如下：\n"
            "示例音频对应的文字:Oh\n示例音频："
        ),
        184835,  # <|inter_audio_begin|>
    ],
    "behind": [
        184836,  # <|inter_audio_end|>
        *spelt("\n\n### 你的输出模式：\n你的输出模式：【语音或者音频】\n### 用户输入模式：\n【文本】是用户当前的输入模式。"),
        *(151645, 151643, 151644),  # <|im_end|>, <|endoftext|>, <|im_start|>
        *spelt("user\n你要把【Hi.】这句话转为语音。"),
        *(151645, 151643, 151644),
        *spelt("assistant\n"),
        184832,  # <|beginofaudio|>
    ],
}
COSYVOICE3 = [158485, *spelt("You are a helpful assistant."), 151646]  # <|sos|>, ..., <|endofprompt|>

# What "Hi." becomes: without a voice, and with one in which "Oh" is said; None where the model has no such prompt.
PROMPTS = {
    "orpheus-3b": ([128259, 128000, *spelt("tara: Hi."), *ORPHEUS_END], None),
    "orpheus-3b-pretrained": (
        [128259, 128000, 39, 72, 13, *ORPHEUS_END],
        [
            *[128259, 128000, 46, 71, *ORPHEUS_END, *snac_voice(128256), 128258, 128262],
            *[128259, 128000, 39, 72, 13, *ORPHEUS_END],
        ],
    ),
    "maya1": ([128259, 128000, *spelt(MAYA + "Hi."), *ORPHEUS_END], None),
    "veena": ([128259, 156940, 220, 39, 72, 13, 128260, 128261, 128257], None),
    "vyvotts-qwen3": ([151672, 39, 72, 13, 151645, 151673, 151674, 151670], None),
    "vyvotts-lfm2": ([64403, 1, 47, 80, 21, 7, 64404, 64405, 64401], None),
    "llasa-1b": (
        [*LLASA_HEAD, 39, 72, 13, *LLASA_TAIL],
        [*LLASA_HEAD, 46, 71, 220, 39, 72, 13, *LLASA_TAIL, 128264 + 1, 128264 + 65535],
    ),
    "neutts-air": (
        [*NEUTTS_HEAD, *spelt("hˈaɪ."), *NEUTTS_TAIL],
        [*NEUTTS_HEAD, *spelt("ˈoʊ hˈaɪ."), *NEUTTS_TAIL, 151652 + 1, 151652 + 65535],
    ),
    "neutts-nano": (
        [*NEUTTS_HEAD, *spelt("hˈaɪ."), *NEUTTS_TAIL],
        [*NEUTTS_HEAD, *spelt("ˈoʊ hˈaɪ."), *NEUTTS_TAIL, 151652 + 1, 151652 + 65535],
    ),
    "neutts-2e": (
        [151648, 39, 72, 13, 151649, 151646],
        [151648, 46, 71, 220, 39, 72, 13, 151649, 151646, 151658 + 1, 151658 + 65535],
    ),
    "unitts": (None, [*UNITTS["before"], 152064 + 1, 152064 + 32767, *UNITTS["behind"]]),
    "cosyvoice3": (
        [*COSYVOICE3, 39, 72, 13, 158487],
        [*COSYVOICE3, 46, 71, 39, 72, 13, 158487, 151924 + 1, 151924 + 6560],
    ),
    "glm-tts": (
        [39, 72, 13, 59260],
        [46, 71, 220, 39, 72, 13, 59260, 59262 + 1, 59262 + 32767],
    ),
    "encodec-lm": (
        [256, 39, 72, 13, 257, 258, 259],
        [256, 39, 72, 13, 257, 258, 261 + 1, 1285 + 11, 261 + 1023, 1285 + 1023, 259],
    ),
}
# Documented ids: of the first code of every slot, and of the ends in order.
IDS = {
    **dict.fromkeys(("orpheus-3b", "orpheus-3b-pretrained", "maya1"), ([128266 + 4096 * slot for slot in range(7)], [128258])),
    "veena": ([128266 + 4096 * slot for slot in range(7)], [128258, 128262]),
    "vyvotts-qwen3": ([151679 + 4096 * slot for slot in range(7)], [151671]),
    "vyvotts-lfm2": ([64410 + 4096 * slot for slot in range(7)], [64402]),
    "llasa-1b": ([128264], [128261]),
    "unitts": ([152064], [184833, 151645, 151643]),
    "cosyvoice3": ([151924], [158486, 158485, 158487, 158488, *range(158489, 158685)]),
    "glm-tts": ([59262], [59253]),
}


def sizes_of(backbone):
    """(codes a frame, size) of every level."""
    layout = backbone.token_map().layout
    return [(layout.rate(level), next(s.size for s in layout.slots if s.level == level)) for level in range(layout.num_levels)]


def test_every_recipe_has_a_tiny_model_and_a_prompt_by_hand():
    files = sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml"))
    assert files == NAMES == sorted(PROMPTS)


@every_model
def test_a_recipe_says_what_there_is_to_know(name):
    about = recipe.load(ROOT / "recipes" / f"{name}.yaml").about
    for key, value in dataclasses.asdict(about).items():
        assert value, f"{name}: about.{key} is empty"
    if name != "encodec-lm":
        assert "computed" in about.gpu_sampling and "computed" in about.gpu_training
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
        assert found.setdefault("pair", tree["pair"]) == tree["pair"], f"{name}: pair"


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
@pytest.mark.parametrize("name", VOICES_OF_ITS_OWN)
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
    codes = Codes(tuple(torch.randint(size, (5 * rate,)) for rate, size in sizes))
    for codes in (codes, voice_of(sizes)):
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
    answers = [
        token_map.answer(Codes(tuple(torch.randint(size, (frames * rate,)) for rate, size in sizes))) for frames in (3, 2)
    ]
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
@every_model
def test_the_contract_of_backbones(on_tiny_model, name):
    backbone = on_tiny_model(name)
    sizes, frames = sizes_of(backbone), 0 if PROMPTS[name][1] is None else 3
    rates = [rate for rate, _ in sizes]
    check_backbone(backbone, [size for _, size in sizes], ["Hi.", "Oh, no!"], rates=rates, voice_frames=frames)


@slow
@pytest.mark.parametrize("name", ["neutts-air", "neutts-nano", "neutts-2e"])
def test_prompts_are_those_of_the_package_neutts(on_tiny_model, name):
    backbone = on_tiny_model(name)
    vectors = json.loads((VECTORS / "neutts.json").read_text(encoding="utf-8"))["prompts"]
    seen = 0
    for vector in (one for one in vectors if one["recipe"] == name):
        template = backbone.template
        if vector["emotion"] is not None:
            mark = f"<|{vector['emotion'].upper()}|>"
            template = template.replace("{voice_text} {text}", f"{{voice_text}}{mark}{{text}}")
        token_map = dataclasses.replace(backbone, template=template).token_map()
        tokens = token_map.prompt(vector["text"], Codes((torch.tensor(vector["codes"]),)), vector["voice_text"]).tokens
        assert tokens.flatten().tolist() == vector["ids"]
        seen += 1
    assert seen >= 2


@slow
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
        assert str(sizes) in str(caught.value) and str(wrong) in str(caught.value)


def changed(backbone, folder, change):
    """The backbone with a tokenizer whose file was changed."""
    source = Path(backbone.model)
    tree = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    change(tree)
    for name in ("tokenizer_config.json", "config.json", "model.safetensors"):
        (folder / name).write_bytes((source / name).read_bytes())
    (folder / "tokenizer.json").write_text(json.dumps(tree), encoding="utf-8")
    return dataclasses.replace(backbone, model=str(folder))


@slow
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


@slow
@every_model
def test_a_missing_end_is_refused(on_tiny_model, tmp_path, name):
    backbone = on_tiny_model(name)
    end = backbone.end[0]

    def drop(tree):
        next(one for one in tree["added_tokens"] if one["content"] == end)["content"] = "<|other|>"

    with pytest.raises(ComponentError, match="expected the token") as caught:
        changed(backbone, tmp_path, drop).token_map()
    assert end in str(caught.value)


@slow
@every_model
def test_an_end_among_the_codes_is_refused(on_tiny_model, name):
    backbone = on_tiny_model(name)
    with pytest.raises(ComponentError, match="lies among the codes of") as caught:
        dataclasses.replace(backbone, end=(backbone.slots[0].first,)).token_map()
    assert backbone.slots[0].first in str(caught.value)


@slow
@every_model
def test_too_few_embeddings_are_refused(on_tiny_model, tmp_path, name):
    backbone = on_tiny_model(name)
    highest = backbone.token_map().highest
    small = tiny_model(name, tmp_path / "small", rows=highest)
    with pytest.raises(ComponentError, match=f"expected an embedding for token {highest}, found {highest} embeddings"):
        backbone.load(model=small)


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
