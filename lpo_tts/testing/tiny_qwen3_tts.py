"""A tiny checkpoint of random weights in the format of Qwen3-TTS-Tokenizer-12Hz, for tests without a download."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from lpo_tts.codecs.qwen3_tts import Qwen3TtsNetwork
from lpo_tts.codecs.qwen3_tts_config import read_shape

EXTRACTOR = {
    "feature_extractor_type": "EncodecFeatureExtractor",
    "feature_size": 1,
    "sampling_rate": 24000,
    "padding_side": "right",
    "padding_value": 0.0,
    "return_attention_mask": True,
}


def tiny_config(levels: int = 4, codebook_size: int = 32) -> dict:
    """What its config.json holds: the rates of the published checkpoint with few channels, layers and codes."""
    encoder = {
        "_frame_rate": 12.5,
        "attention_bias": False,
        "audio_channels": 1,
        "codebook_dim": 8,
        "codebook_size": codebook_size,
        "compress": 2,
        "dilation_growth_rate": 2,
        "head_dim": 4,
        "hidden_act": "gelu",
        "hidden_size": 16,
        "intermediate_size": 24,
        "kernel_size": 7,
        "last_kernel_size": 3,
        "norm_eps": 1e-5,
        "num_attention_heads": 4,
        "num_filters": 4,
        "num_hidden_layers": 2,
        "num_key_value_heads": 4,
        "num_quantizers": levels + 2,
        "num_residual_layers": 1,
        "num_semantic_quantizers": 1,
        "pad_mode": "constant",
        "residual_kernel_size": 3,
        "rope_theta": 10000.0,
        "sampling_rate": 24000,
        "sliding_window": 6,
        "upsample_groups": 16,
        "upsampling_ratios": [8, 6, 5, 4],
        "use_causal_conv": True,
        "use_conv_shortcut": False,
        "vector_quantization_hidden_dimension": 8,
    }
    decoder = {
        "attention_bias": False,
        "codebook_dim": 16,
        "codebook_size": codebook_size,
        "decoder_dim": 32,
        "head_dim": 6,
        "hidden_act": "silu",
        "hidden_size": 16,
        "intermediate_size": 24,
        "latent_dim": 20,
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "num_key_value_heads": 2,
        "num_quantizers": levels,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000,
        "sliding_window": 5,
        "upsample_rates": [8, 5, 4, 3],
        "upsampling_ratios": [2, 2],
    }
    return {
        "architectures": ["Qwen3TTSTokenizerV2Model"],
        "model_type": "qwen3_tts_tokenizer_12hz",
        "decode_upsample_rate": 1920,
        "encode_downsample_rate": 1920,
        "encoder_valid_num_quantizers": levels,
        "input_sample_rate": 24000,
        "output_sample_rate": 24000,
        "encoder_config": encoder,
        "decoder_config": decoder,
    }


def tiny_qwen3_tts_tokenizer(folder: str | Path, *, levels: int = 4, codebook_size: int = 32) -> Path:
    """Writes config.json, model.safetensors and preprocessor_config.json into a folder, the same at every call.

    Args:
        folder: where; made when it is not there.
        levels: codebooks of a frame.
        codebook_size: codes of each codebook.

    Returns:
        the folder.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = tiny_config(levels, codebook_size)
    with torch.device("meta"):
        network = Qwen3TtsNetwork(read_shape(config, "config.json"), encoder_window=False)
    generator = torch.Generator().manual_seed(12)
    state = {name: _random(name, tensor, generator) for name, tensor in network.state_dict().items()}
    for name in [name for name in state if name.endswith("_sum")]:  # a codebook is its sums over its counts
        usage = state[name.replace("embed_sum", "cluster_usage").replace("embedding_sum", "cluster_usage")]
        usage[0] = 0.0  # a code that was never met: its vector is its sum over the least count
        state[name] *= usage.clamp(min=1e-5)[:, None]
    (folder / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    (folder / "preprocessor_config.json").write_text(json.dumps(EXTRACTOR, indent=1), encoding="utf-8")
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def _random(name: str, tensor: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Random values that keep what goes through the layers of like size, and every parameter of weight."""
    noise = torch.randn(tensor.shape, generator=generator)
    kind = name.rsplit(".", 1)[-1]
    if kind == "initialized":
        return torch.ones(tensor.shape)
    if kind == "cluster_usage":
        return 0.5 + noise.abs()
    if kind in ("scale", "gamma") or ("norm" in name and kind == "weight"):
        return 0.7 + 0.2 * noise
    if kind in ("alpha", "beta"):
        return 0.3 * noise
    if kind == "bias":
        return 0.05 * noise
    if kind in ("embed_sum", "embedding_sum"):
        return noise * (1.5 if name.startswith("encoder") else 1.0)
    if len(tensor) == 1:  # the last convolution: waveforms around zero that seldom reach 1
        return 0.5 * (noise - noise.mean(-1, keepdim=True))
    gain = 0.5 if name.startswith("decoder.decoder") else 1.3  # snake activations only ever add
    return noise * (gain / tensor[0].numel() ** 0.5)
