"""The flat backbone: prompts, answers and layouts of Llasa, NeuTTS, Orpheus and the mini base, with tiny tokenizers."""

import functools
import json
import shutil
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from lpo_tts import hf
from lpo_tts.backbones import REGISTRY
from lpo_tts.backbones.base import Backbone
from lpo_tts.backbones.flat import EndSettings, FlatBackbone, FlatTokenMap, SlotSettings
from lpo_tts.backbones.flat_answers import FlatAnswers
from lpo_tts.codes import Codes, TokenLayout
from lpo_tts.errors import ComponentError, ConfigError, ContractError
from lpo_tts.frontends.straight import StraightFrontEnd
from lpo_tts.recipe import STRUCTURER

WORDS = [
    "gate",
    "blue",
    "seven",
    "four",
    "Convert",
    "the",
    "text",
    "to",
    "speech",
    ":",
    "user",
    "assistant",
    "tara",
    "hello",
    "\n",
]
LLASA_MARKS = [
    f"<|{kind}_{end}|>"
    for kind in ("TEXT_GENERATION", "TEXT_UNDERSTANDING", "SPEECH_GENERATION", "SPEECH_UNDERSTANDING")
    for end in ("START", "END")
]
CHAT_MARKS = ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]

LLASA = FlatBackbone(
    model="llasa",
    template="<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n"
    "Convert the text to speech:<|TEXT_UNDERSTANDING_START|>{voice_text} {text}<|TEXT_UNDERSTANDING_END|>"
    "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    "<|SPEECH_GENERATION_START|>{voice}",
    slots=(SlotSettings("<|s_0|>", 64),),
    end=("<|SPEECH_GENERATION_END|>",),
)
NEUTTS = FlatBackbone(
    model="neutts",
    template="user: Convert the text to speech:<|TEXT_PROMPT_START|>{voice_text} {text}<|TEXT_PROMPT_END|>\nassistant:"
    "<|SPEECH_GENERATION_START|>{voice}",
    slots=(SlotSettings("<|speech_0|>", 64),),
    end=("<|SPEECH_GENERATION_END|>",),
)
SNAC = [(0, 0), (1, 0), (2, 0), (2, 1), (1, 1), (2, 2), (2, 3)]
ORPHEUS = FlatBackbone(
    model="orpheus",
    template="<custom_token_3><|begin_of_text|>tara: {text}<|eot_id|><custom_token_4><custom_token_5><custom_token_1>",
    slots=tuple(SlotSettings(f"<custom_token_{10 + 16 * k}>", 16, level, index) for k, (level, index) in enumerate(SNAC)),
    end=("<custom_token_2>", "<custom_token_6>"),
)
MINI = FlatBackbone(
    model="mini",
    template="<|text_start|>{text}<|text_end|><|voice_start|>{voice}<|speech_start|>",
    slots=(SlotSettings("<|code_0|>", 64),),
    end=("<|speech_end|>",),
    voice_frames=3,
)
TOKENS = {
    "llasa": [*CHAT_MARKS, *LLASA_MARKS, *(f"<|s_{n}|>" for n in range(64))],
    "neutts": [
        *(f"<|{name}|>" for name in ("TEXT_PROMPT_START", "TEXT_PROMPT_END", "SPEECH_GENERATION_START", "SPEECH_GENERATION_END")),
        *(f"<|speech_{n}|>" for n in range(64)),
    ],
    "orpheus": [*CHAT_MARKS, *(f"<custom_token_{n}>" for n in range(10 + 7 * 16))],
    "mini": [
        *(f"<|{name}|>" for name in ("text_start", "text_end", "voice_start", "speech_start", "speech_end")),
        *(f"<|code_{n}|>" for n in range(64)),
    ],
}


def tokenizer_of(tokens):
    vocabulary = {"<unk>": 0, "<pad>": 1, **{word: 2 + n for n, word in enumerate(WORDS)}}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>", pad_token="<pad>")
    tokenizer.add_tokens(list(tokens), special_tokens=True)
    return tokenizer


@functools.cache
def loaded(settings):
    return FlatTokenMap(settings, tokenizer_of(TOKENS[settings.model]))


def names(backbone, ids):
    return backbone.tokenizer.convert_ids_to_tokens(ids.squeeze(-1).tolist())


def codes_for(backbone, frames):
    generator = torch.Generator().manual_seed(0)
    layout = backbone.layout
    sizes = [next(slot.size for slot in layout.slots if slot.level == level) for level in range(layout.num_levels)]
    return Codes(tuple(torch.randint(0, size, (frames * layout.rate(k),), generator=generator) for k, size in enumerate(sizes)))


def test_registry():
    assert REGISTRY.get("flat") is FlatBackbone


def test_llasa_prompt_is_its_chat_template_without_the_date():
    ids = loaded(LLASA).prompt("blue seven", Codes((torch.tensor([5, 63]),)), "gate").tokens
    assert names(loaded(LLASA), ids) == [
        "<|begin_of_text|>", "<|start_header_id|>", "user", "<|end_header_id|>", "Convert", "the", "text", "to", "speech", ":",
        "<|TEXT_UNDERSTANDING_START|>", "gate", "blue", "seven", "<|TEXT_UNDERSTANDING_END|>", "<|eot_id|>",
        "<|start_header_id|>", "assistant", "<|end_header_id|>", "<|SPEECH_GENERATION_START|>", "<|s_5|>", "<|s_63|>",
    ]  # fmt: skip


def test_neutts_prompt():
    ids = loaded(NEUTTS).prompt("hello").tokens
    assert names(loaded(NEUTTS), ids) == [
        "user", ":", "Convert", "the", "text", "to", "speech", ":", "<|TEXT_PROMPT_START|>", "hello", "<|TEXT_PROMPT_END|>",
        "assistant", ":", "<|SPEECH_GENERATION_START|>",
    ]  # fmt: skip


def test_orpheus_prompt_and_interleaving():
    backbone = loaded(ORPHEUS)
    assert names(backbone, backbone.prompt("hello").tokens) == [
        "<custom_token_3>", "<|begin_of_text|>", "tara", ":", "hello", "<|eot_id|>",
        "<custom_token_4>", "<custom_token_5>", "<custom_token_1>",
    ]  # fmt: skip
    codes = Codes((torch.tensor([1]), torch.tensor([2, 3]), torch.tensor([4, 5, 6, 7])))
    expected = [f"<custom_token_{10 + 16 * k + code}>" for k, code in enumerate([1, 2, 4, 5, 3, 6, 7])]
    assert names(backbone, backbone.answer(codes)) == [*expected, "<custom_token_2>"]


def test_mini_prompt_uses_the_first_frames_of_the_voice():
    ids = loaded(MINI).prompt("gate four", Codes((torch.arange(10),))).tokens
    assert names(loaded(MINI), ids) == [
        "<|text_start|>", "gate", "four", "<|text_end|>", "<|voice_start|>",
        "<|code_0|>", "<|code_1|>", "<|code_2|>", "<|speech_start|>",
    ]  # fmt: skip
    assert ids.dtype == torch.int64


def test_without_voice_text_the_space_after_it_goes_too():
    backbone = loaded(LLASA)
    seen = []
    template = backbone._template
    template._tokenise, plain = seen.append, template._tokenise
    try:
        with pytest.raises(TypeError):
            backbone.prompt("four")
    finally:
        template._tokenise = plain
    assert "START|>four<|" in seen[0]


@pytest.mark.parametrize("settings", [LLASA, NEUTTS, ORPHEUS, MINI], ids=lambda s: s.model)
@pytest.mark.parametrize("frames", [1, 5])
def test_an_answer_is_parsed_to_its_codes(settings, frames):
    backbone = loaded(settings)
    codes = codes_for(backbone, frames)
    ids = backbone.answer(codes)
    for finished, tokens in ((True, ids), (False, ids[:-1])):
        answer = backbone.parse(tokens)
        assert (answer.status, answer.finished) == ("ok", finished)
        assert all(torch.equal(a, b) for a, b in zip(answer.codes.levels, codes.levels, strict=True))


def test_faulty_answers_keep_their_whole_frames():
    backbone = loaded(ORPHEUS)
    codes = codes_for(backbone, 3)
    ids = backbone.answer(codes)
    incomplete = backbone.parse(torch.cat([ids[:16], ids[-1:]]))
    assert incomplete.status == "the last frame is incomplete: 2 of 7 tokens"
    assert incomplete.finished
    assert incomplete.codes.num_frames == 2
    assert incomplete.codes.levels[2].tolist() == codes.levels[2][:8].tolist()
    wrong = ids.clone()
    wrong[9] = ids[8]
    answer = backbone.parse(wrong)
    assert answer.status.startswith(f"token {int(ids[8])} at position 9 is no code of slot 2 (ids ")
    assert answer.codes.num_frames == 1
    wrong[0] = backbone.end_ids[1]
    assert backbone.parse(wrong).codes is None
    twice = backbone.parse(torch.cat([ids, ids[-1:]]))
    assert twice.finished
    assert "at position 21 is no code of slot 0" in twice.status
    assert backbone.parse(ids[:3]).codes is None


def test_empty_answers():
    backbone = loaded(MINI)
    for tokens, finished in ((torch.empty(0), False), (torch.tensor([[backbone.end_ids[0]]]), True)):
        answer = backbone.parse(tokens)
        assert (answer.codes, answer.status, answer.finished) == (None, "empty", finished)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("  ", "expected a text to speak, found an empty one"),
        ("gate zebra four", "the word 'zebra' is not in the vocabulary of mini"),
        ("gate <|code_3|>", "holds the special token <|code_3|>"),
    ],
)
def test_texts_that_cannot_be_spoken(text, message):
    with pytest.raises(ContractError) as caught:
        loaded(MINI).prompt(text)
    assert message in str(caught.value)


def test_a_voice_of_another_codec_is_refused():
    with pytest.raises(ContractError, match=r"code 64 lies outside codebook 0 \(size 64\)"):
        loaded(MINI).prompt("gate", Codes((torch.tensor([64]),)))


def altered(settings, **changes):
    return FlatBackbone(**{**{name: getattr(settings, name) for name in settings.__dataclass_fields__}, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"template": "<|text_strat|>{text}"}, "expected the token <|text_strat|> (template)"),
        ({"end": ("<|ende|>",)}, "expected the token <|ende|> (end)"),
        ({"slots": (SlotSettings("<|code_0|>", 65),)}, "expected the token <|code_64|> (slots)"),
        ({"slots": (SlotSettings("<|audio_0|>", 64),)}, "expected the token <|audio_0|> (slots) in the vocabulary of"),
        ({"end": ("<|code_7|>",)}, "the end token <|code_7|> (29) lies among the codes of <|code_0|>"),
        ({"slots": (SlotSettings("<|speech_end|>", 66),)}, "expected 66 codes from <|speech_end|> (21) on, found 65 tokens"),
    ],
)
def test_a_tokenizer_that_does_not_fit_is_refused(changes, message):
    with pytest.raises(ComponentError) as caught:
        FlatTokenMap(altered(MINI, **changes), tokenizer_of(TOKENS["mini"]))
    assert message in str(caught.value)


def test_ids_with_a_gap_are_refused():
    tokens = TOKENS["mini"][:5] + [f"<|code_{n}|>" for n in range(63)] + ["<|between|>", "<|code_63|>"]
    with pytest.raises(
        ComponentError, match=r"expected contiguous ids, <\|code_63\|> = <\|code_0\|> \+ 63; found .* = 22, .* = 86"
    ):
        FlatTokenMap(MINI, tokenizer_of(tokens))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"template": "{text} {speaker}"}, r"unknown field \{speaker\}; there are \{text\}"),
        ({"template": "{voice}"}, "expected {text} once"),
        ({"template": "{text"}, "write literal braces as"),
        ({"end": ()}, "at least one token"),
        ({"voice_frames": 0}, "voice_frames must be at least 1, found 0"),
        ({"dtype": "float8"}, "dtype = 'float8' is none of float32, bfloat16, float16"),
        ({"attention": "kernels-community/flash-attn"}, "attention: expected eager, sdpa or another of transformers' own"),
        ({"revision": "../x"}, "revision: expected a commit, tag or branch"),
        ({"slots": ()}, "slots: .* at least one slot"),
        ({"slots": (SlotSettings("<|s_0|>", 4, level=1),)}, "slots: token layout, level 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        altered(MINI, **changes)


def codec_of(*sizes):
    return SimpleNamespace(codebook_sizes=sizes)


def test_check_codec():
    loaded(MINI).check(codec_of(64))
    loaded(ORPHEUS).check(codec_of(16, 16, 16))
    with pytest.raises(ContractError, match=r"1 codebook\(s\) of sizes \(65536,\), the codec has sizes \(1024, 1024\)"):
        FlatAnswers(TokenLayout.flat(0, 65536), (65536,)).check(codec_of(1024, 1024))


def save(folder, vocabulary_size, seed=0):
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary_size,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return str(folder)


def test_load_from_folders(tmp_path):
    tokenizer = tokenizer_of(TOKENS["mini"])
    tokenizer.save_pretrained(tmp_path / "base")
    settings = altered(MINI, model=save(tmp_path / "base", len(tokenizer)), attention="eager")
    base, token_map = settings.load().module, settings.token_map()
    assert base.dtype == torch.float32
    assert not base.training
    assert torch.equal(token_map.prompt("gate four").tokens, loaded(MINI).prompt("gate four").tokens)
    assert token_map.end_ids == loaded(MINI).end_ids
    aligned = settings.load(model=save(tmp_path / "aligned", len(tokenizer), seed=1), dtype=torch.bfloat16).module
    assert aligned.dtype == torch.bfloat16
    weights = [lm.get_input_embeddings().weight.float() for lm in (base, aligned)]
    assert (weights[0] - weights[1]).abs().max() > 0.01
    with pytest.raises(ComponentError, match=r"expected an embedding for token 85, found 85 embeddings"):
        settings.load(model=save(tmp_path / "small", 85))
    with pytest.raises(ComponentError, match=r"no such folder: .*nowhere"):
        settings.load(model=str(tmp_path / "nowhere"))
    with pytest.raises(ComponentError, match="expected a folder with a checkpoint, found a file"):
        altered(MINI, model=str(tmp_path / "aligned" / "config.json")).load()
    with pytest.raises(ComponentError, match="expected a tokenizer of transformers"):
        altered(MINI, model=str(tmp_path / "aligned")).load()
    (tmp_path / "small" / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(ComponentError, match=r"small: expected a causal language model of transformers .* cannot load it"):
        settings.load(model=str(tmp_path / "small"))


def test_an_aligned_checkpoint_takes_no_revision_of_the_base(tmp_path, monkeypatch):
    tokenizer = tokenizer_of(TOKENS["mini"])
    asked = {}

    def tokenizer_from(source, **options):
        asked[source] = options
        return tokenizer

    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", tokenizer_from)
    aligned = save(tmp_path / "aligned", len(tokenizer))
    settings = altered(MINI, model="owner/base", revision="0123abc")
    assert settings.load(model=aligned).vocabulary == (len(tokenizer),)
    assert asked == {"owner/base": {"revision": "0123abc", "trust_remote_code": False}}


def test_code_that_lies_beside_a_checkpoint_is_refused_without_a_question(tmp_path, monkeypatch):
    tokenizer = tokenizer_of(TOKENS["mini"])
    tokenizer.save_pretrained(tmp_path / "base")
    save(tmp_path / "base", len(tokenizer))
    config = {"model_type": "stranger", "auto_map": {"AutoConfig": "thief.Config", "AutoModelForCausalLM": "thief.Model"}}
    (tmp_path / "base" / "config.json").write_text(json.dumps(config))
    (tmp_path / "base" / "thief.py").write_text(f"import os\nos.mkdir({str(tmp_path / 'made')!r})\n")
    monkeypatch.setattr("builtins.input", lambda _: "y")  # what transformers would ask
    with pytest.raises(ComponentError, match="base: expected a"):
        altered(MINI, model=str(tmp_path / "base")).load()
    assert not (tmp_path / "made").exists()


def test_without_a_voice_the_plain_template_counts():
    settings = altered(MINI, plain_template="<|text_start|>user {text}<|speech_start|>")
    token_map = FlatTokenMap(settings, tokenizer_of(TOKENS["mini"]))
    assert names(token_map, token_map.prompt("gate").tokens) == ["<|text_start|>", "user", "gate", "<|speech_start|>"]
    voice = Codes((torch.tensor([3]),))
    assert torch.equal(token_map.prompt("gate", voice).tokens, loaded(MINI).prompt("gate", voice).tokens)
    with pytest.raises(ConfigError, match=r"plain_template: expected \{text\} once"):
        altered(MINI, plain_template="gate")


def test_what_a_cut_parts_goes_through_the_tokenizer_apart():
    """A byte-pair vocabulary joins "a" and "b" where they meet, but not over a cut."""
    inner = Tokenizer(models.BPE({"a": 0, "b": 1, "ab": 2, "<v>": 3, "<s>": 4, "<e>": 5}, [("a", "b")]))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner)
    tokenizer.add_tokens(["<v>", "<s>", "<e>"], special_tokens=True)
    found = {}
    for between in ("", "{cut}"):
        settings = FlatBackbone("bpe", f"{{voice_text}}{between}{{text}}<v>{{voice}}", (SlotSettings("<s>", 1),), ("<e>",))
        token_map = FlatTokenMap(settings, tokenizer)
        found[between] = token_map.prompt("b", Codes((torch.tensor([0, 0]),)), "a").tokens.flatten().tolist()
    assert found == {"": [2, 3, 4, 4], "{cut}": [0, 1, 3, 4, 4]}


def test_a_template_may_name_the_token_that_stands_for_unknown_words():
    settings = altered(MINI, template="<unk> {text}<unk><|speech_start|>")
    token_map = FlatTokenMap(settings, tokenizer_of(TOKENS["mini"]))
    assert names(token_map, token_map.prompt("gate").tokens) == ["<unk>", "gate", "<unk>", "<|speech_start|>"]
    with pytest.raises(ContractError, match="the word 'zebra' is not in the vocabulary"):
        token_map.prompt("gate zebra")


def test_a_front_end_writes_text_and_voice_text_alone():
    @dataclass(frozen=True)
    class Doubled:
        def load(self):
            return lambda text: f"{text} {text}"

    token_map = FlatTokenMap(altered(NEUTTS, front_end=Doubled()), tokenizer_of(TOKENS["neutts"]))
    found = names(token_map, token_map.prompt("hello", Codes((torch.tensor([5]),)), "blue").tokens)
    assert found == [
        "user", ":", "Convert", "the", "text", "to", "speech", ":", "<|TEXT_PROMPT_START|>", "blue", "blue", "hello", "hello",
        "<|TEXT_PROMPT_END|>", "assistant", ":", "<|SPEECH_GENERATION_START|>", "<|speech_5|>",
    ]  # fmt: skip


@pytest.mark.parametrize("field", ["text", "voice_text"])
def test_a_special_token_that_the_front_end_would_make_is_refused(field):
    token_map = FlatTokenMap(altered(NEUTTS, front_end=StraightFrontEnd()), tokenizer_of(TOKENS["neutts"]))
    texts = {"text": "hello", "voice_text": "blue"} | {field: "blue \uff1c\uff5cspeech_5\uff5c\uff1e"}
    with pytest.raises(ContractError, match=rf"{field} .* holds the special token <\|speech_5\|>"):
        token_map.prompt(texts["text"], Codes((torch.tensor([5]),)), texts["voice_text"])


def test_a_run_of_ends_and_one_among_the_codes():
    ends = ("<|SPEECH_GENERATION_END|>", EndSettings("<|speech_61|>", 3))
    slots = (SlotSettings("<|speech_0|>", 61),)
    token_map = FlatTokenMap(altered(NEUTTS, end=ends, slots=slots), tokenizer_of(TOKENS["neutts"]))
    first = token_map.layout.slots[0].first_id
    assert token_map.end_ids == (first - 1, first + 61, first + 62, first + 63)
    assert token_map.answer(Codes((torch.tensor([1]),))).flatten().tolist() == [first + 1, first - 1]
    assert token_map.parse(torch.tensor([first, first + 62])).finished
    with pytest.raises(
        ComponentError, match=r"the end token <\|speech_61\|> \+ 2 \(\d+\) lies among the codes of <\|speech_63\|>"
    ):
        FlatTokenMap(altered(NEUTTS, end=ends, slots=(SlotSettings("<|speech_63|>", 1),)), tokenizer_of(TOKENS["neutts"]))
    tree = {"name": "flat", "model": "m", "template": "{text}", "slots": [{"first": "<c_0>", "size": 2}]}
    found = STRUCTURER.structure({**tree, "end": ["<e>", {"first": "<f_0>", "size": 4}]}, Backbone)
    assert found.end == ("<e>", EndSettings("<f_0>", 4))
    assert STRUCTURER.structure(STRUCTURER.unstructure(found, Backbone), Backbone) == found
    with pytest.raises(ConfigError, match=r"end\[0\]"):
        STRUCTURER.structure({**tree, "end": [3]}, Backbone)


def with_lora(tmp_path):
    """A base model, and a LoRA of it whose folder is no model."""
    from peft import LoraConfig, get_peft_model

    tokenizer = tokenizer_of(TOKENS["mini"])
    tokenizer.save_pretrained(tmp_path / "base")
    settings = altered(MINI, model=save(tmp_path / "base", len(tokenizer)))
    torch.manual_seed(0)
    adapted = get_peft_model(
        settings.load().module, LoraConfig(r=2, target_modules=["q_proj", "o_proj"], init_lora_weights=False)
    )
    adapted.save_pretrained(tmp_path / "lora")
    return settings, adapted


def test_a_lora_is_merged_when_the_model_is_loaded(tmp_path):
    settings, adapted = with_lora(tmp_path)
    merged = altered(settings, adapter=str(tmp_path / "lora")).load().module
    ids = torch.tensor([[3, 4, 5]])
    assert torch.allclose(merged(input_ids=ids).logits, adapted(input_ids=ids).logits, atol=1e-5)
    assert not any("lora" in name for name, _ in merged.named_parameters())
    narrow = altered(settings, adapter=str(tmp_path / "lora"), dtype="bfloat16").load().module
    base = altered(settings, dtype="bfloat16").load().module.float()
    name = "model.layers.0.self_attn.q_proj"
    added = adapted.get_submodule(f"base_model.model.{name}").get_delta_weight("default")
    expected = base.get_submodule(name).weight + added
    assert torch.equal(narrow.get_submodule(name).weight, expected.bfloat16())
    plain = altered(settings, adapter=str(tmp_path / "lora")).load(model=settings.model + "/.").module
    assert not torch.allclose(plain(input_ids=ids).logits, merged(input_ids=ids).logits, atol=1e-3)
    with pytest.raises(ComponentError, match="no such folder"):
        altered(settings, adapter=str(tmp_path / "nowhere")).load()
    with pytest.raises(ComponentError, match=r"base: expected a LoRA of peft"):
        altered(settings, adapter=settings.model).load()


def test_a_lora_given_as_the_model_is_refused_with_advice(tmp_path):
    settings, _ = with_lora(tmp_path)
    lora = tmp_path / "lora"
    advice = rf"lora: expected a whole model, found a LoRA adapter of .*base; write `model: .*base` and `adapter: {lora}`"
    for load in (lambda: altered(settings, model=str(lora)).load(), lambda: settings.load(model=str(lora))):
        with pytest.raises(ComponentError, match=advice):
            load()


def test_a_lora_beside_a_model_is_not_laid_over_it_unasked(tmp_path):
    settings, _ = with_lora(tmp_path)
    for path in (tmp_path / "lora").glob("adapter*"):
        shutil.copy(path, settings.model)
    for load in (altered(settings, model=settings.model).token_map, lambda: settings.load(model=settings.model)):
        with pytest.raises(ComponentError, match=r"expected a model alone, found a LoRA adapter .* beside it"):
            load()


def test_a_lora_from_a_hub_is_refused_when_it_lies_over_a_model(tmp_path):
    settings, _ = with_lora(tmp_path)
    model = settings.load().module
    model.load_adapter(str(tmp_path / "lora"))  # what transformers does where a repository holds an adapter
    with pytest.raises(ComponentError, match=r"owner/lora: expected a whole model, found a repository with a LoRA adapter"):
        hf.refuse_adapted(model, "owner/lora")


class Opens:
    """What a hostile pickle does when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_a_pickled_checkpoint_runs_no_code(tmp_path):
    tokenizer = tokenizer_of(TOKENS["mini"])
    tokenizer.save_pretrained(tmp_path / "base")
    settings = altered(MINI, model=save(tmp_path / "base", len(tokenizer)))
    weights = settings.load().module.state_dict()
    (tmp_path / "base" / "model.safetensors").unlink()
    torch.save(weights, tmp_path / "base" / "pytorch_model.bin")
    again = settings.load().module.state_dict()
    assert all(torch.equal(again[name], value) for name, value in weights.items())
    torch.save({"weight": Opens(str(tmp_path / "opened"))}, tmp_path / "base" / "pytorch_model.bin")
    with pytest.raises(ComponentError, match=r"base: expected a causal language model .* holds more than tensors") as caught:
        settings.load()
    assert "weights_only" not in str(caught.value)  # torch's advice to read it nevertheless is none of ours
    assert not (tmp_path / "opened").exists()
