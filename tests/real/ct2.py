"""An English-only Whisper as CTranslate2 stores it (float16) to a folder of transformers."""

import json
import shutil
import struct
from pathlib import Path

import numpy as np
import torch

TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """Name to array of a model.bin: version, kind, revision, count, then name, rank, shape, type and bytes of each."""
    weights = {}
    with path.open("rb") as file:

        def number(form: str) -> int:
            return struct.unpack(f"<{form}", file.read(struct.calcsize(form)))[0]

        def text() -> str:
            return file.read(number("H")).rstrip(b"\0").decode()

        number("I"), text(), number("I")
        for _ in range(number("I")):
            name = text()
            shape = [number("I") for _ in range(number("B"))]
            kind = TYPES[number("B")]
            weights[name] = np.frombuffer(file.read(number("I")), kind).reshape(shape)
    return weights


def num_layers(weights: dict[str, np.ndarray], side: str) -> int:
    """Layers of the encoder or the decoder."""
    return sum(name.startswith(f"{side}/layer_") and name.endswith("/ffn/linear_0/weight") for name in weights)


def rename(weights: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Weights under the names of transformers; queries, keys and values are stored as one matrix."""
    state: dict[str, torch.Tensor] = {}

    def put(new: str, old: str, rows: slice = slice(None)) -> None:
        for theirs, ours in (("weight", "weight"), ("bias", "bias"), ("gamma", "weight"), ("beta", "bias")):
            if f"{old}/{theirs}" in weights:
                state[f"{new}.{ours}"] = torch.from_numpy(weights[f"{old}/{theirs}"][rows].astype(np.float32))

    width = len(weights["encoder/layer_norm/gamma"])
    for side in ("encoder", "decoder"):
        positions = weights[f"{side}/position_encodings/encodings"]
        state[f"model.{side}.embed_positions.weight"] = torch.from_numpy(positions.astype(np.float32))
        put(f"model.{side}.layer_norm", f"{side}/layer_norm")
        for layer in range(num_layers(weights, side)):
            new, old = f"model.{side}.layers.{layer}", f"{side}/layer_{layer}"
            for part, name in enumerate(("q_proj", "k_proj", "v_proj")):
                rows = slice(part * width, (part + 1) * width)
                put(f"{new}.self_attn.{name}", f"{old}/self_attention/linear_0", rows)
                if side == "decoder" and part:
                    rows = slice((part - 1) * width, part * width)
                    put(f"{new}.encoder_attn.{name}", f"{old}/attention/linear_1", rows)
            put(f"{new}.self_attn.out_proj", f"{old}/self_attention/linear_1")
            put(f"{new}.self_attn_layer_norm", f"{old}/self_attention/layer_norm")
            if side == "decoder":
                put(f"{new}.encoder_attn.q_proj", f"{old}/attention/linear_0")
                put(f"{new}.encoder_attn.out_proj", f"{old}/attention/linear_2")
                put(f"{new}.encoder_attn_layer_norm", f"{old}/attention/layer_norm")
            put(f"{new}.fc1", f"{old}/ffn/linear_0")
            put(f"{new}.fc2", f"{old}/ffn/linear_1")
            put(f"{new}.final_layer_norm", f"{old}/ffn/layer_norm")
    for name in ("conv1", "conv2"):
        put(f"model.encoder.{name}", f"encoder/{name}")
    put("model.decoder.embed_tokens", "decoder/embeddings")
    return {name: value for name, value in state.items() if not name.endswith("k_proj.bias")}  # keys have none, stored as 0


def convert(source: Path, target: Path) -> Path:
    """Writes the folder of transformers and returns it."""
    from transformers import GenerationConfig, WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

    weights = read_weights(source / "model.bin")
    state = rename(weights)
    meta = json.loads((source / "config.json").read_text(encoding="utf-8"))
    tokenizer = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    ids = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    end, start = ids["<|endoftext|>"], ids["<|startoftranscript|>"]
    names = {"bos_token_id": end, "eos_token_id": end, "pad_token_id": end, "decoder_start_token_id": start}
    vocabulary, width = state["model.decoder.embed_tokens.weight"].shape
    config = WhisperConfig(
        vocab_size=vocabulary,
        d_model=width,
        encoder_layers=num_layers(weights, "encoder"),
        decoder_layers=num_layers(weights, "decoder"),
        encoder_attention_heads=width // 64,
        decoder_attention_heads=width // 64,
        encoder_ffn_dim=4 * width,
        decoder_ffn_dim=4 * width,
        **names,
    )
    model = WhisperForConditionalGeneration(config)
    missing, unexpected = model.load_state_dict(state, strict=False)
    if set(missing) - {"proj_out.weight"} or unexpected:
        raise ValueError(f"{source}: expected the weights of Whisper, found also {unexpected}, and no {missing}")
    model.tie_weights()
    model.generation_config = GenerationConfig(
        **names,
        begin_suppress_tokens=meta["suppress_ids_begin"],
        suppress_tokens=meta["suppress_ids"],
        max_length=448,
        no_timestamps_token_id=ids["<|notimestamps|>"],
        prev_sot_token_id=ids["<|startofprev|>"],
        return_timestamps=False,
        is_multilingual=False,
    )
    model.save_pretrained(target)
    WhisperFeatureExtractor(feature_size=80).save_pretrained(target)
    shutil.copy(source / "tokenizer.json", target / "tokenizer.json")
    special = {f"{name}_token": "<|endoftext|>" for name in ("bos", "eos", "pad", "unk")}
    settings = {"tokenizer_class": "WhisperTokenizer", **special, "errors": "replace", "add_prefix_space": False}
    (target / "tokenizer_config.json").write_text(json.dumps(settings))
    (target / "vocab.json").write_text(json.dumps(tokenizer["model"]["vocab"]))
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in tokenizer["model"]["merges"]]
    (target / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")
    return target
