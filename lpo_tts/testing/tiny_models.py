"""Tiny random models in the formats of the published ones: their classes, config fields and special tokens, by recipe name.

The base vocabulary is byte level without merges and filled up to its published size, so that every special token has the id
that it has in the published model, wherever that is documented. Sizes (layers, widths) are tiny.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from lpo_tts.errors import ConfigError

SNAC_TOKENS = 7 * 4096 + 11  # `<custom_token_N>` that the SNAC family adds: 11 marks, and 7 slots of 4096 codes
BYTES = 256
HIDDEN = 16
# Of Llama 3.2 in its configs.
LLAMA_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
SIZES: dict[str, Any] = {
    "hidden_size": HIDDEN,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "initializer_range": 0.2,
}


@dataclass(frozen=True)
class TinyModel:
    """What a published model looks like from outside.

    Attributes:
        kind: transformers' prefix of its config and causal LM, such as `Llama`.
        base: entries of the base vocabulary, bytes and fillers.
        special: special tokens of the base model, in the order of their ids, from `base` on.
        added: tokens that the speech model adds, in order, behind those.
        config: fields of the config beside `SIZES` and the vocabulary's size.
        rows: embeddings; None = as many as there are tokens.
        begin: token that the tokenizer itself puts before a text, where it does.
        leading: special tokens that stand before the bytes, in order, from id 0 on.
    """

    kind: str
    base: int
    special: Sequence[str]
    added: Callable[[], Sequence[str]]
    config: dict[str, Any] = field(default_factory=dict)
    rows: int | None = None
    begin: str | None = None
    leading: Sequence[str] = ()


def names() -> list[str]:
    """The recipes that there is a tiny model for."""
    return sorted(MODELS)


def tiny_model(name: str, folder: str | Path, seed: int = 0, rows: int | None = None) -> str:
    """Writes the model of a recipe, with tokenizer and random weights, and returns the folder.

    Args:
        name: of the recipe.
        folder: where to.
        seed: of the weights.
        rows: embeddings; None = as many as the published model has.

    Raises:
        ConfigError: there is no tiny model of this name.
    """
    import transformers

    shape = _shape(name)
    tokenizer = _tokenizer(shape)
    tokenizer.save_pretrained(folder)
    rows = rows or shape.rows or len(tokenizer)
    config = getattr(transformers, f"{shape.kind}Config")(**SIZES | shape.config, vocab_size=rows)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = getattr(transformers, f"{shape.kind}ForCausalLM")(config)
        for weight_name, weight in model.named_parameters():
            if "norm" in weight_name:
                weight.uniform_(0.5, 1.5)  # norms that are not 1, so that a norm left out is noticed
    model.save_pretrained(folder)
    return str(folder)


def end_soon(model: Any, codes: Sequence[int], end: int, share: float = 0.1) -> None:
    """Changes a model in place so that about `share` of all steps end the answer; random weights would never end it.

    All embeddings get a part in common, which the end's row of the head answers to.

    Args:
        model: a causal LM of transformers.
        codes: token ids among which, and the end, an answer chooses where a frame begins.
        end: id of the token that ends an answer.
        share: probability of the end, on average over random answers.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        table, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
        table += 2 * torch.randn(table.shape[1]) * table.std()
        ids = torch.tensor(codes)
        said = ids[torch.randint(len(ids), (4, 32))]
        base = getattr(model, model.base_model_prefix)
        hidden = base(input_ids=said).last_hidden_state.flatten(0, 1)
        mean = hidden.mean(0)
        rest = (hidden @ head[ids].T).logsumexp(-1).mean()
        odds = torch.log(torch.tensor(share / (1 - share)))
        head[end] = mean * (rest + odds) / mean.dot(mean)


def _shape(name: str) -> TinyModel:
    if name not in MODELS:
        raise ConfigError(f"expected the name of a recipe with a tiny model ({', '.join(names())}), found {name!r}")
    return MODELS[name]


def _tokenizer(shape: TinyModel) -> Any:
    """Bytes in the order of GPT-2's vocabulary (`!` = 0, space = 220), fillers, special tokens, added ones."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    entries = [*shape.leading, *alphabet]
    entries += [f"[filler {number}]" for number in range(len(entries), shape.base)]
    inner = Tokenizer(models.BPE(vocab={entry: number for number, entry in enumerate(entries)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)  # type: ignore[assignment]
    inner.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    inner.add_special_tokens([AddedToken(one, special=True, normalized=False) for one in (*shape.leading, *shape.special)])
    inner.add_tokens([AddedToken(one, normalized=False) for one in shape.added()])
    if shape.begin is not None:
        begin = (shape.begin, inner.token_to_id(shape.begin))
        inner.post_processor = processors.TemplateProcessing(  # type: ignore[assignment]
            single=f"{shape.begin} $A", pair=f"{shape.begin} $A $B", special_tokens=[begin]
        )
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token=shape.begin)


def _numbered(pattern: str, count: int) -> list[str]:
    return [pattern.format(number) for number in range(count)]


def _llama_special() -> list[str]:
    """The 256 special tokens of Llama 3.2, ids 128000 to 128255."""
    reserved = iter(_numbered("<|reserved_special_token_{}|>", 248))
    named = {
        0: "<|begin_of_text|>",
        1: "<|end_of_text|>",
        4: "<|finetune_right_pad_id|>",
        6: "<|start_header_id|>",
        7: "<|end_header_id|>",
        8: "<|eom_id|>",
        9: "<|eot_id|>",
        10: "<|python_tag|>",
    }
    return [named[number] if number in named else next(reserved) for number in range(256)]


QWEN2 = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")  # 151643 to 151645
QWEN25 = (
    *QWEN2,
    *("<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>", "<|quad_start|>", "<|quad_end|>"),
    *("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"),
    *("<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>"),
    *("<|repo_name|>", "<|file_sep|>"),
)  # to 151664
QWEN3 = (*QWEN25, "<tool_response>", "</tool_response>", "<think>", "</think>")  # to 151668
LFM2 = (
    *("<|pad|>", "<|startoftext|>", "<|endoftext|>", "<|fim_pre|>", "<|fim_mid|>", "<|fim_suf|>"),
    *("<|im_start|>", "<|im_end|>"),
)
GLM4 = (
    *("<|endoftext|>", "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>", "<|system|>", "<|user|>", "<|assistant|>"),
    *("<|observation|>", "<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>"),
)  # 59246 to 59259
NEUTTS_MARKS = (
    *("<|SPEECH_GENERATION_START|>", "<|SPEECH_GENERATION_END|>", "<|TEXT_PROMPT_START|>", "<|TEXT_PROMPT_END|>"),
    *("<|TEXT_REPLACE|>", "<|SPEECH_REPLACE|>"),
)
EMOTIONS = tuple(f"<|{name}|>" for name in ("ANGRY", "DISGUSTED", "FEARFUL", "HAPPY", "SAD", "SURPRISED"))
LLASA_MARKS = tuple(
    f"<|{kind}_{side}|>"
    for kind in ("TEXT_GENERATION", "TEXT_UNDERSTANDING", "SPEECH_GENERATION", "SPEECH_UNDERSTANDING")
    for side in ("START", "END")
)
UNITTS_MARKS = (
    *("<|beginofaudio|>", "<|endofaudio|>", "<|sil|>", "<|inter_audio_begin|>", "<|inter_audio_end|>"),
    *("<|cot_begin|>", "<|cot_end|>", "<|unused600|>"),
)
# Eleven voices; their order is not documented, nor are the last three names.
VEENA_VOICES = tuple(
    f"<spk_{name}>"
    for name in ("kavya", "agastya", "maitri", "vinaya", "apsara", "soumya", "charu", "ishana", "ninth", "tenth", "eleventh")
)


def _snac_added() -> list[str]:
    return _numbered("<custom_token_{}>", SNAC_TOKENS)


def _llama(added: Callable[[], Sequence[str]], rows: int | None = None) -> TinyModel:
    """Llama 3.2, whose 1B and 3B models tie their embeddings."""
    config = {"rope_parameters": LLAMA_ROPE, "tie_word_embeddings": True, "rms_norm_eps": 1e-5, "max_position_embeddings": 131072}
    config |= {"bos_token_id": 128000, "eos_token_id": 128001}
    return TinyModel("Llama", 128000, _llama_special(), added, config, rows, begin="<|begin_of_text|>")


def _neutts(kind: str, marks: Sequence[str]) -> TinyModel:
    """Names are documented, ids are not: marks first, then the codes."""
    config = {"tie_word_embeddings": True, "max_position_embeddings": 2048, "bos_token_id": None, "eos_token_id": 151643}
    return TinyModel(kind, 151643, QWEN2, lambda: [*marks, *_numbered("<|speech_{}|>", 65536)], config)


def _cosyvoice3_added() -> list[str]:
    """As convert_cosyvoice3_to_hf.py adds them: marks of the text, 260 phonemes (here without their names), codes."""
    marks = [*COSYVOICE3_MARKS, *_numbered("[phoneme {}]", 260)]
    codes = _numbered("<|s_{}|>", 6561 + 200)
    codes[6561:6565] = ["<|sos|>", "<|eos1|>", "<|task_id|>", "<|fill|>"]
    return [*marks, *codes]


COSYVOICE3_MARKS = (
    *("<|endofprompt|>", "[breath]", "<strong>", "</strong>", "[noise]", "[laughter]", "[cough]", "[clucking]", "[accent]"),
    *("[quick_breath]", "<laughter>", "</laughter>", "[hissing]", "[sigh]", "[vocalized-noise]", "[lipsmack]", "[mn]"),
    "<|endofsystem|>",
)
UNITTS_FIRST = 152064  # rows of Qwen2.5-7B: behind its 151,665 tokens come 399 unused ones

MODELS: dict[str, TinyModel] = {
    "orpheus-3b": _llama(_snac_added, rows=156940),
    "orpheus-3b-pretrained": _llama(_snac_added, rows=156940),
    "maya1": _llama(_snac_added, rows=156940),
    "veena": _llama(lambda: [*_snac_added(), "<custom_token_28683>", *VEENA_VOICES], rows=156951),
    "vyvotts-qwen3": TinyModel(
        "Qwen3",
        151643,
        QWEN3,
        _snac_added,
        {"head_dim": 12, "tie_word_embeddings": True, "max_position_embeddings": 40960, "eos_token_id": 151645},
    ),
    "vyvotts-lfm2": TinyModel(
        "Lfm2",
        64400,
        (),
        _snac_added,
        {"layer_types": ["conv", "full_attention"], "conv_L_cache": 3, "block_auto_adjust_ff_dim": False, "norm_eps": 1e-5},
        begin="<|startoftext|>",
        leading=LFM2,
    ),
    "llasa-1b": _llama(lambda: [*LLASA_MARKS, *_numbered("<|s_{}|>", 65536)]),
    "neutts-air": _neutts("Qwen2", NEUTTS_MARKS),
    "neutts-nano": _neutts("Llama", NEUTTS_MARKS),
    "neutts-2e": _neutts("Llama", (*NEUTTS_MARKS, *EMOTIONS)),
    "unitts": TinyModel(
        "Qwen2",
        151643,
        QWEN25,
        lambda: [
            *_numbered("<|unused{}|>", UNITTS_FIRST - 151665),
            *(f"<|g0r0_{UNITTS_FIRST + code}|>" for code in range(32768)),
            *UNITTS_MARKS,
        ],
        {"tie_word_embeddings": False, "max_position_embeddings": 32768, "rms_norm_eps": 1e-6, "eos_token_id": 151645},
    ),
    "cosyvoice3": TinyModel(
        "Qwen2",
        151643,
        QWEN2,
        _cosyvoice3_added,
        {"tie_word_embeddings": False, "max_position_embeddings": 32768, "rms_norm_eps": 1e-6},
        rows=158720,  # 158685 tokens, padded to a multiple of 128
    ),
    "glm-tts": TinyModel(
        "Llama",
        59246,
        GLM4,
        lambda: ["<|begin_of_audio|>", "<|end_of_audio|>", *_numbered("<|audio_{}|>", 32768)],
        {"tie_word_embeddings": False, "eos_token_id": 59253, "bos_token_id": None},
    ),
    "encodec-lm": TinyModel(
        "Llama",
        BYTES,
        ("<|text_start|>", "<|text_end|>", "<|voice_start|>", "<|speech_start|>", "<|speech_end|>"),
        lambda: [*_numbered("<|c0_{}|>", 1024), *_numbered("<|c1_{}|>", 1024)],
        {"tie_word_embeddings": True, "bos_token_id": None, "eos_token_id": None},
    ),
}
