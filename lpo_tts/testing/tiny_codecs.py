"""Tiny random codecs in the formats of the published ones: a folder each, which the members load as they load the real."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

SEMANTIC = {
    "model_type": "wav2vec2-bert",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "feature_projection_input_dim": 160,
    "conv_depthwise_kernel_size": 3,
    "output_hidden_size": 16,
}
ENCODEC_48KHZ = {
    "sampling_rate": 48000,
    "audio_channels": 2,
    "target_bandwidths": [3.0, 6.0, 12.0, 24.0],
    "normalize": True,
    "chunk_length_s": 1.0,
    "overlap": 0.01,
    "norm_type": "time_group_norm",
    "use_causal_conv": False,
}


def tiny_mini(folder: str | Path, seed: int = 3, **shape: Any) -> str:
    """Writes a mini codec (16 kHz, one codebook of 32) and returns the folder; `shape` are fields of `MiniCodecShape`."""
    from safetensors.torch import save_file

    from lpo_tts.codecs.mini import MiniCodecNetwork, MiniCodecShape, config_of

    sizes = {"num_mels": 16, "encoder_channels": 16, "decoder_channels": 16, "codebook_size": 32, "code_dim": 8, **shape}
    with _random(folder, seed) as place:
        network = MiniCodecNetwork(MiniCodecShape(**sizes))
        (place / "config.json").write_text(json.dumps(config_of(network.shape)))
        state = {name: value.contiguous() for name, value in network.state_dict().items()}
        save_file(state, place / "model.safetensors")
    return str(folder)


def tiny_encodec(folder: str | Path, seed: int = 5, **config: Any) -> str:
    """Writes an EnCodec (24 kHz mono, 1.5 to 24 kbit/s) and returns the folder; `config` are fields of `EncodecConfig`."""
    from transformers import EncodecConfig, EncodecModel

    width = config.get("hidden_size", 16)
    sizes = {"num_filters": 4, "hidden_size": width, "num_lstm_layers": 1, "codebook_size": 1024, "codebook_dim": width}
    with _random(folder, seed) as place:
        model = EncodecModel(EncodecConfig(**{**sizes, **config})).eval()
        rate = model.config.sampling_rate
        rest = model.encoder(0.1 * torch.randn(1, model.config.audio_channels, rate))
        for layer in model.quantizer.layers:
            layer.codebook.embed.copy_(_spread(rest, layer.codebook.embed.shape))
            rest = rest - layer.decode(layer.encode(rest))
        last = model.decoder.layers[-1]
        loud = last.norm.parameters() if hasattr(last, "norm") else [last.conv.parametrizations.weight.original0, last.conv.bias]
        _quieten(loud, model.decoder(model.quantizer.decode(torch.randint(model.config.codebook_size, (1, 1, 150)))))
        model.save_pretrained(place)
    return str(folder)


def tiny_encodec_48khz(folder: str | Path, seed: int = 5, **config: Any) -> str:
    """As `tiny_encodec`, of the 48 kHz kind: stereo, chunks of 1 s with 10 ms of overlap, a loudness scale per chunk."""
    return tiny_encodec(folder, seed, **{**ENCODEC_48KHZ, **config})


def tiny_snac(folder: str | Path, seed: int = 7, **config: Any) -> str:
    """Writes a SNAC (24 kHz, codebooks of 4096 at rates 1, 2, 4) and returns the folder; `config` are arguments of `SNAC`.

    The 32 and 44 kHz kinds have four levels and attention: `vq_strides=[8, 4, 2, 1], attn_window_size=32`.
    """
    from snac import SNAC

    sizes = {
        "sampling_rate": 24000,
        "encoder_dim": 4,
        "encoder_rates": [2, 4, 8, 8],
        "decoder_dim": 32,
        "decoder_rates": [8, 8, 4, 2],
        "attn_window_size": None,
        "codebook_size": 4096,
        "codebook_dim": 4,
        "vq_strides": [4, 2, 1],
        **config,
    }
    with _random(folder, seed) as place:
        model = SNAC(**sizes).eval()
        noise = 0.1 * torch.randn(1, 1, sizes["sampling_rate"])
        _centre([layer.in_proj for layer in model.quantizer.quantizers], lambda: model.encode(noise))
        (place / "config.json").write_text(json.dumps(sizes))
        torch.save(model.state_dict(), place / "pytorch_model.bin")
    return str(folder)


def tiny_dac(folder: str | Path, seed: int = 9, **config: Any) -> str:
    """Writes a DAC (44.1 kHz, 9 codebooks of 1024) and returns the folder; `config` are fields of `DacConfig`.

    The 16 and 24 kHz kinds are `sampling_rate=16000, downsampling_ratios=[2, 4, 5, 8], n_codebooks=12` and
    `sampling_rate=24000, downsampling_ratios=[2, 4, 5, 8], n_codebooks=32`.
    """
    from transformers import DacConfig, DacModel

    sizes = {"encoder_hidden_size": 4, "decoder_hidden_size": 32, "codebook_dim": 4, "sampling_rate": 44100, **config}
    with _random(folder, seed) as place:
        model = DacModel(DacConfig(**sizes)).eval()
        for name, weight in model.named_parameters():  # convolutions start so small that whatever is said comes out as silence
            if name.endswith("weight") and weight.dim() == 3:
                weight.normal_(std=weight[0].numel() ** -0.5)
        noise = 0.1 * torch.randn(1, 1, 80 * model.config.hop_length)
        _centre([layer.in_proj for layer in model.quantizer.quantizers], lambda: model.encode(noise))
        model.save_pretrained(place)
    return str(folder)


def tiny_mimi(folder: str | Path, seed: int = 11, **config: Any) -> str:
    """Writes a Mimi (24 kHz, 12.5 Hz, 32 codebooks of 2048) and returns the folder; `config` are fields of `MimiConfig`."""
    from transformers import MimiConfig, MimiModel

    sizes = {
        "hidden_size": 32,
        "num_filters": 4,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "intermediate_size": 32,
        "codebook_dim": 8,
        "vector_quantization_hidden_dimension": 8,
        "upsample_groups": 32,
        **config,
    }
    with _random(folder, seed) as place:
        model = MimiModel(MimiConfig(**sizes)).eval()
        latents = model.encoder(0.1 * torch.randn(1, 1, 4 * model.config.sampling_rate)).latents
        quantizer = model.quantizer
        for part in (quantizer.semantic_residual_vector_quantizer, quantizer.acoustic_residual_vector_quantizer):
            rest = part.input_proj(latents)
            for layer in part.layers:
                book = layer.codebook
                book.embed_sum.copy_(_spread(rest, book.embed_sum.shape))
                book.cluster_usage.fill_(1.0)
                rest = rest - layer.decode(layer.encode(rest))
        codes = torch.randint(model.config.codebook_size, (1, model.config.num_quantizers, 25))
        _quieten(_last_convolution(model).parameters(), model.decode(codes).audio_values)
        model.save_pretrained(place)
    return str(folder)


def tiny_xcodec2(folder: str | Path, seed: int = 0, **config: Any) -> str:
    """Writes an X-Codec2 (16 kHz, 65,536 codes) with its feature extractor and returns the folder; needs torchaudio.

    `config` are fields of `Xcodec2Config`; `quantization_levels=[4, 4]` gives 16 codes.
    """
    from transformers import Xcodec2Config, Xcodec2FeatureExtractor, Xcodec2Model

    return _speech_codec(folder, seed, Xcodec2Config, Xcodec2Model, Xcodec2FeatureExtractor, config)


def tiny_neucodec(folder: str | Path, seed: int = 0, **config: Any) -> str:
    """As `tiny_xcodec2`, of the NeuCodec kind: 16 kHz in, 24 kHz out; `config` are fields of `NeuCodecConfig`."""
    from transformers import NeuCodecConfig, NeuCodecFeatureExtractor, NeuCodecModel

    return _speech_codec(folder, seed, NeuCodecConfig, NeuCodecModel, NeuCodecFeatureExtractor, config)


def _speech_codec(
    folder: str | Path, seed: int, config_of: Any, model_of: Any, extractor_of: Any, changes: dict[str, Any]
) -> str:
    """What X-Codec2 and NeuCodec share: a semantic and an acoustic encoder, and a finite scalar quantiser."""
    sizes = {
        "hidden_size": 64,  # two values for each of the group norms' 32 groups: one would be none at a single frame
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "encoder_hidden_size": 4,
        "quantization_dim": 80,
        "semantic_model_config": dict(SEMANTIC),
        **changes,
    }
    with _random(folder, seed) as place:
        model, extractor = model_of(config_of(**sizes)).eval(), extractor_of()
        noise = (0.1 * torch.randn(32000)).numpy()
        inputs = extractor(audio=[noise], sampling_rate=16000, return_tensors="pt")
        into = model.quantizer.project_in
        seen = _outputs(into, lambda: model.encode(**inputs))[0]
        mean, std = seen.mean((0, 1)), seen.std((0, 1))
        into.weight.div_(std[:, None])
        into.bias.sub_(mean).div_(std)
        model.save_pretrained(place)
        extractor.save_pretrained(place)
    return str(folder)


@contextmanager
def _random(folder: str | Path, seed: int) -> Iterator[Path]:
    """The folder, made; within, weights come from the seed, and the caller's random state is left as it was."""
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        yield place


def _spread(latents: Tensor, shape: torch.Size) -> Tensor:
    """Code vectors (size, dim) spread as the latents (1, dim, frames) are, so that codes differ: new ones are all zeros."""
    return torch.randn(shape) * latents[0].std(-1) + latents[0].mean(-1)


def _centre(projections: list[Any], encode: Callable[[], object]) -> None:
    """Moves the latents of every level to zero mean: new weights point all sounds the same way, which is one code."""
    for projection in projections:  # in order: what a level takes away decides what the next one sees
        projection.bias.sub_(_outputs(projection, encode)[0].mean((0, 2)))


def _quieten(last: Iterable[Tensor], wave: Tensor) -> None:
    """Scales the last, linear layer so that a wave has a level of speech, 0.1 of full scale: random decoders may shout."""
    for parameter in last:
        parameter.mul_(0.1 / wave.std())


def _last_convolution(model: torch.nn.Module) -> torch.nn.Module:
    return [one for one in model.modules() if isinstance(one, torch.nn.Conv1d) and one.out_channels == 1][-1]


def _outputs(module: torch.nn.Module, run: Callable[[], object]) -> list[Tensor]:
    """What a module returns while `run` runs."""
    seen: list[Tensor] = []
    hook = module.register_forward_hook(lambda _module, _given, output: seen.append(output))
    run()
    hook.remove()
    return seen
