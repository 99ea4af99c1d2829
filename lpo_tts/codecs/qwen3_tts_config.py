"""What config.json of a Qwen3-TTS-Tokenizer-12Hz checkpoint says: sizes, and what this code takes for granted."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from lpo_tts.errors import ComponentError

MODEL_TYPE = "qwen3_tts_tokenizer_12hz"
ADVICE = "use Qwen/Qwen3-TTS-Tokenizer-12Hz, or the folder speech_tokenizer of a Qwen3-TTS model"


@dataclass(frozen=True)
class EncoderShape:
    """Sizes of the encoder, under the names and with the defaults of transformers' MimiConfig."""

    hidden_size: int = 512
    num_filters: int = 64
    num_residual_layers: int = 1
    upsampling_ratios: tuple[int, ...] = (8, 6, 5, 4)  # of Mimi's decoder; the encoder goes through them from the end
    kernel_size: int = 7
    last_kernel_size: int = 3
    residual_kernel_size: int = 3
    dilation_growth_rate: int = 2
    compress: int = 2
    codebook_size: int = 2048
    codebook_dim: int = 256
    vector_quantization_hidden_dimension: int = 256
    num_quantizers: int = 32
    num_hidden_layers: int = 8
    intermediate_size: int = 2048
    num_attention_heads: int = 8
    num_key_value_heads: int = 8
    head_dim: int = 0  # 0: hidden_size / num_attention_heads
    norm_eps: float = 1e-5
    rope_theta: float = 10000.0
    sliding_window: int = 250


@dataclass(frozen=True)
class DecoderShape:
    """Sizes of the decoder, under the names and with the defaults of the published configuration class."""

    codebook_dim: int
    codebook_size: int = 2048
    hidden_size: int = 1024
    latent_dim: int = 1024
    rope_theta: float = 10000.0
    num_attention_heads: int = 16
    num_key_value_heads: int = 16
    head_dim: int = 0  # 0: hidden_size / num_attention_heads
    sliding_window: int = 72
    intermediate_size: int = 3072
    rms_norm_eps: float = 1e-5
    num_hidden_layers: int = 8
    num_quantizers: int = 16
    upsample_rates: tuple[int, ...] = (8, 5, 4, 3)
    upsampling_ratios: tuple[int, ...] = (2, 2)
    decoder_dim: int = 1536


@dataclass(frozen=True)
class TokenizerShape:
    """The whole codec; rates in Hz, `hop` in samples per frame."""

    encoder: EncoderShape
    decoder: DecoderShape
    sample_rate: int
    hop: int


# Fields that would change the numbers, with the one value this code computes for.
FIXED: dict[str, dict[str, Any]] = {
    "": {"model_type": MODEL_TYPE},
    "encoder_config": {
        "attention_bias": False,
        "audio_channels": 1,
        "hidden_act": "gelu",
        "num_semantic_quantizers": 1,
        "pad_mode": "constant",
        "rope_scaling": None,
        "use_causal_conv": True,
        "use_conv_shortcut": False,
    },
    "decoder_config": {"attention_bias": False, "hidden_act": "silu", "rope_scaling": None, "num_semantic_quantizers": 1},
}

# Fields without a bearing on the codes or the audio: of training, of Mimi's own decoder, of streaming, or read by nobody.
IDLE: dict[str, tuple[str, ...]] = {
    "": ("encoder_config", "decoder_config"),
    "encoder_config": (
        *("attention_dropout", "initializer_range", "layer_scale_initial_scale", "max_position_embeddings", "normalize"),
        *("trim_right_ratio", "upsample_groups", "use_cache", "use_streaming", "model_type"),
    ),
    "decoder_config": (
        *("attention_dropout", "initializer_range", "layer_scale_initial_scale", "max_position_embeddings", "model_type"),
        *("semantic_codebook_size", "vector_quantization_hidden_dimension", "use_cache"),
    ),
}

RATES = ("encoder_valid_num_quantizers", "input_sample_rate", "output_sample_rate", "decode_upsample_rate")

# What transformers' base class writes into every config.json, whatever the model.
GENERIC = frozenset(
    (
        *("_name_or_path", "add_cross_attention", "architectures", "attn_implementation", "bad_words_ids"),
        *("begin_suppress_tokens", "bos_token_id", "chunk_size_feed_forward", "cross_attention_hidden_size"),
        *("decoder_start_token_id", "diversity_penalty", "do_sample", "dtype", "early_stopping"),
        *("encoder_no_repeat_ngram_size", "eos_token_id", "exponential_decay_length_penalty", "finetuning_task"),
        *("forced_bos_token_id", "forced_eos_token_id", "id2label", "is_decoder", "is_encoder_decoder"),
        *("label2id", "length_penalty", "max_length", "min_length", "no_repeat_ngram_size", "num_beam_groups"),
        *("num_beams", "num_return_sequences", "output_attentions", "output_hidden_states", "output_scores"),
        *("pad_token_id", "prefix", "problem_type", "pruned_heads", "remove_invalid_values", "repetition_penalty"),
        *("return_dict", "return_dict_in_generate", "sep_token_id", "suppress_tokens", "task_specific_params"),
        *("temperature", "tf_legacy_loss", "tie_encoder_decoder", "tie_word_embeddings", "tokenizer_class"),
        *("top_k", "top_p", "torch_dtype", "torchscript", "transformers_version", "typical_p", "use_bfloat16"),
    )
)


def read_shape(config: Any, where: str) -> TokenizerShape:
    """The shape that a config.json holds.

    Args:
        config: what json made of the file.
        where: the file, for messages.

    Raises:
        ComponentError: another model, a field that would change the numbers, or sizes that do not fit each other.
    """
    if not isinstance(config, Mapping) or config.get("model_type") != MODEL_TYPE:
        found = config.get("model_type") if isinstance(config, Mapping) else config
        raise ComponentError(f"{where}: expected model_type {MODEL_TYPE!r}, found {found!r}; {ADVICE}")
    _check_fields(config, "", where, (*RATES, "encode_downsample_rate"))
    encoder = _section(config, "encoder_config", EncoderShape, where)
    decoder = _section(config, "decoder_config", DecoderShape, where)
    _check_sizes(encoder, decoder, where)
    hop = 2 * math.prod(encoder.upsampling_ratios)
    rate = config.get("input_sample_rate", 24000)
    expected = {
        "encoder_config.sampling_rate": (_nested(config, "encoder_config", "sampling_rate", rate), rate),
        "encoder_config._frame_rate": (_nested(config, "encoder_config", "_frame_rate", None), (None, rate / hop)),
        "encoder_config.frame_rate": (_nested(config, "encoder_config", "frame_rate", None), (None, rate / hop)),
        "output_sample_rate": (config.get("output_sample_rate", 24000), rate),
        "encode_downsample_rate": (config.get("encode_downsample_rate", 1920), hop),
        "decode_upsample_rate": (config.get("decode_upsample_rate", 1920), hop),
        "encoder_valid_num_quantizers": (config.get("encoder_valid_num_quantizers", 16), decoder.num_quantizers),
    }
    for name, (found, wanted) in expected.items():
        if found not in (wanted if isinstance(wanted, tuple) else (wanted,)):
            value = wanted[-1] if isinstance(wanted, tuple) else wanted
            raise ComponentError(f"{where}: expected {name} = {value} by its other fields, found {found!r}")
    return TokenizerShape(encoder, decoder, int(rate), hop)


Shape = TypeVar("Shape", EncoderShape, DecoderShape)


def _section(config: Mapping[str, Any], name: str, kind: type[Shape], where: str) -> Shape:
    values = config.get(name)
    if not isinstance(values, Mapping):
        raise ComponentError(f"{where}: expected a mapping {name}, found {values!r}")
    values = dict(values)
    rope = values.pop("rope_parameters", None)  # what newer versions of transformers write for rope_theta
    if rope is not None:
        if not isinstance(rope, Mapping) or rope.get("rope_type", "default") != "default":
            raise ComponentError(f"{where}: expected {name}.rope_parameters of rope_type 'default', found {rope!r}")
        values.setdefault("rope_theta", rope.get("rope_theta", 10000.0))
    known = [field.name for field in dataclasses.fields(kind)]
    rates = ("sampling_rate", "_frame_rate", "frame_rate") if kind is EncoderShape else ()
    _check_fields(values, name, where, (*known, *rates))
    shape = kind(**{field.name: _value(values, field, f"{where}: {name}.{field.name}") for field in dataclasses.fields(kind)})
    if shape.head_dim:
        return shape
    return dataclasses.replace(shape, head_dim=shape.hidden_size // shape.num_attention_heads)


def _check_fields(values: Mapping[str, Any], section: str, where: str, known: tuple[str, ...]) -> None:
    for name, value in values.items():
        full = f"{section}.{name}" if section else name
        if name in FIXED[section]:
            if value != FIXED[section][name]:
                raise ComponentError(f"{where}: expected {full} = {FIXED[section][name]!r}, found {value!r}")
        elif name not in known and name not in IDLE[section] and name not in GENERIC:
            raise ComponentError(
                f"{where}: expected no field {full}, found it as {value!r}: it may change the codes in a way that is not "
                f"known here; {ADVICE}"
            )


def _value(values: Mapping[str, Any], field: dataclasses.Field, where: str) -> Any:
    """A field of a section: a number above zero, or a tuple of them; the class's default where it is not given."""
    value = values.get(field.name)
    if value is None:
        if field.default is dataclasses.MISSING:
            raise ComponentError(f"{where}: expected a whole number, found no such field")
        return field.default
    if field.type is float:
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf:
            return float(value)
    elif field.type is int:
        if _is_count(value):
            return value
    elif isinstance(value, list) and value and all(_is_count(one) for one in value):
        return tuple(value)
    kind = {float: "a number above 0", int: "a whole number above 0"}.get(field.type, "a list of whole numbers above 0")
    raise ComponentError(f"{where}: expected {kind}, found {value!r}")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _nested(config: Mapping[str, Any], section: str, name: str, default: Any) -> Any:
    return config[section].get(name, default)


def _check_sizes(encoder: EncoderShape, decoder: DecoderShape, where: str) -> None:
    """Raises ComponentError for sizes that contradict each other."""
    dimension, width = encoder.vector_quantization_hidden_dimension, encoder.hidden_size
    hops = 2 * math.prod(encoder.upsampling_ratios), math.prod((*decoder.upsample_rates, *decoder.upsampling_ratios))
    facts = {
        f"the same codebook_size in both halves (encoder {encoder.codebook_size})": (
            encoder.codebook_size == decoder.codebook_size,
            decoder.codebook_size,
        ),
        f"encoder_config.codebook_dim = {dimension}": (encoder.codebook_dim == dimension, encoder.codebook_dim),
        f"encoder_config.vector_quantization_hidden_dimension other than hidden_size = {width}": (dimension != width, width),
        f"at least {decoder.num_quantizers} encoder_config.num_quantizers": (
            encoder.num_quantizers >= decoder.num_quantizers,
            encoder.num_quantizers,
        ),
        "decoder_config.num_quantizers of at least 2": (decoder.num_quantizers > 1, decoder.num_quantizers),
        "an even decoder_config.codebook_dim": (decoder.codebook_dim % 2 == 0, decoder.codebook_dim),
        f"upsampling in decoder_config by {hops[0]} samples, the encoder's frame": (hops[0] == hops[1], hops[1]),
    }
    for half, shape in (("encoder_config", encoder), ("decoder_config", decoder)):
        heads = shape.num_attention_heads % shape.num_key_value_heads == 0
        facts[f"{half}.num_attention_heads = a multiple of {shape.num_key_value_heads}"] = (heads, shape.num_attention_heads)
        facts[f"an even {half}.head_dim"] = (shape.head_dim % 2 == 0, shape.head_dim)
    for expected, (holds, found) in facts.items():
        if not holds:
            raise ComponentError(f"{where}: expected {expected}, found {found}")
