"""The Qwen3-TTS tokenizer on a tiny checkpoint: the published package's numbers, every length, and what is refused."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from lpo_tts.codecs import REGISTRY
from lpo_tts.codecs.qwen3_tts import LoadedQwen3TtsCodec, Qwen3TtsCodec, Qwen3TtsNetwork
from lpo_tts.codecs.qwen3_tts_config import DecoderShape, read_shape
from lpo_tts.codecs.qwen3_tts_decoder import frames_heard
from lpo_tts.codecs.qwen3_tts_layers import BLOCK, Attention, rotations
from lpo_tts.codes import Codes
from lpo_tts.errors import ComponentError, ConfigError
from lpo_tts.testing.tiny_qwen3_tts import tiny_qwen3_tts_tokenizer

VECTORS = json.loads((Path(__file__).parent / "vectors" / "qwen3_tts.json").read_text(encoding="utf-8"))
PUBLISHED = json.loads((Path(__file__).parent / "vectors" / "qwen3_tts_config.json").read_text(encoding="utf-8"))
HOP = 1920


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_qwen3_tts_tokenizer(tmp_path_factory.mktemp("qwen3-tts"))


@pytest.fixture(scope="module")
def codec(folder):
    return Qwen3TtsCodec(str(folder)).load()


def noise(length, seed=0):
    return 0.1 * torch.randn(length, generator=torch.Generator().manual_seed(seed))


def some_codes(frames, seed=0, levels=4, size=32):
    return Codes(tuple(torch.randint(size, (levels, frames), generator=torch.Generator().manual_seed(seed))))


def stacked(codes):
    return torch.stack(codes.levels)


def test_is_registered_and_says_what_it_is(codec):
    assert REGISTRY.get("qwen3-tts") is Qwen3TtsCodec
    assert (codec.input_sample_rate, codec.sample_rate, codec.frame_rate) == (24000, 24000, 12.5)
    assert codec.codebook_sizes == (32,) * 4
    published = read_shape(PUBLISHED, "config.json")
    said = Qwen3TtsCodec.about["tokens_per_second"]
    assert said == published.sample_rate / published.hop * published.decoder.num_quantizers


def test_the_published_config_gives_the_tensors_of_the_published_checkpoint():
    with torch.device("meta"):
        network = Qwen3TtsNetwork(read_shape(PUBLISHED, "config.json"), encoder_window=False)
    tensors = network.state_dict()
    assert sum(name.startswith("decoder.") for name in tensors) == 271
    assert sum(name.startswith("encoder.") for name in tensors) == 225
    assert tensors["encoder.quantizer.acoustic_residual_vector_quantizer.layers.30.codebook.embed_sum"].shape == (2048, 256)
    assert tensors["decoder.quantizer.rvq_rest.vq.layers.14._codebook.embedding_sum"].shape == (2048, 256)
    assert tensors["decoder.decoder.6.conv.weight"].shape == (1, 96, 7)


@pytest.mark.parametrize("case", VECTORS["encode"], ids=lambda case: f"{case['num_samples']} samples")
def test_codes_are_those_of_the_published_package(codec, case):
    codes = codec.encode([noise(case["num_samples"], case["seed"])])[0]
    assert stacked(codes).tolist() == case["levels"]


@pytest.mark.parametrize("case", VECTORS["decode"], ids=lambda case: f"{case['num_frames']} frames")
def test_waveforms_are_those_of_the_published_package(codec, case):
    wave = codec.decode([some_codes(case["num_frames"], case["seed"])])[0]
    assert wave.numel() == case["num_samples"] == case["num_frames"] * HOP
    torch.testing.assert_close(wave[:: case["every"]], torch.tensor(case["samples"]), atol=5e-6, rtol=0)


def test_with_a_window_the_codes_are_those_of_mimi(folder, codec):
    from transformers import MimiConfig, MimiModel

    config = json.loads((folder / "config.json").read_text())["encoder_config"]
    mimi = MimiModel(MimiConfig(**config, decoder_config=None)).eval()
    state = {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        if name.startswith("encoder."):
            inner = name.removeprefix("encoder.")
            inner = inner.replace("encoder.layers", "encoder_seanet.layers") if inner.startswith("encoder.") else inner
            state[inner if inner.startswith("quantizer.") else f"encoder.{inner}"] = tensor
    mimi.load_state_dict(state)
    audio = noise(100_001)
    windowed = stacked(Qwen3TtsCodec(str(folder), encoder_window=True).load().encode([audio])[0])
    with torch.inference_mode():
        expected = mimi.encode(audio[None, None], num_quantizers=4).audio_codes[0]
    assert torch.equal(windowed, expected)
    assert not torch.equal(windowed, stacked(codec.encode([audio])[0]))


@pytest.mark.slow
@settings(max_examples=12, deadline=None, derandomize=True)  # two equally near codes are rare, yet would fail it by chance
@given(st.lists(st.integers(1, 5 * HOP + 3), min_size=1, max_size=5), st.integers(1, 4), st.integers(1, 7))
def test_every_length_has_its_frames_whoever_shares_the_batch(codec, lengths, batch_size, chunk):
    whole, codec = codec, LoadedQwen3TtsCodec(codec.network, batch_size, chunk)
    audio = [noise(length, seed) for seed, length in enumerate(lengths)]
    codes = codec.encode(audio)
    assert [item.num_frames for item in codes] == [-(-length // HOP) for length in lengths]
    for wave, item in zip(audio, codes, strict=True):
        assert torch.equal(stacked(whole.encode([wave])[0]), stacked(item))
    for item, wave in zip(codes, codec.decode(codes), strict=True):
        assert wave.numel() == item.num_frames * HOP
        torch.testing.assert_close(wave, whole.decode([item])[0], atol=2e-6, rtol=0)


@pytest.mark.slow
@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.integers(1, 20), st.integers(1, 3 * HOP))
def test_nothing_hears_what_comes_later(codec, frames, more):
    audio = noise(frames * HOP + more)
    assert torch.equal(stacked(codec.encode([audio[: frames * HOP]])[0]), stacked(codec.encode([audio])[0])[:, :frames])
    codes = some_codes(frames + 3, seed=more)
    first = Codes(tuple(level[:frames] for level in codes.levels))
    torch.testing.assert_close(codec.decode([first])[0], codec.decode([codes])[0][: frames * HOP], atol=2e-6, rtol=0)


def test_chunks_need_all_the_context_they_take_and_no_more(folder):
    codec = Qwen3TtsCodec(str(folder), chunk_frames=16).load()
    decoder, codes = codec.network.decoder, some_codes(48)
    whole = Qwen3TtsCodec(str(folder), chunk_frames=48).load().decode([codes])[0]
    assert decoder.context == 10
    torch.testing.assert_close(codec.decode([codes])[0], whole, atol=2e-6, rtol=0)
    decoder.context = 8
    assert (codec.decode([codes])[0] - whole).abs().max() > 1e-5


def test_pieces_as_the_published_package_decodes_them_are_seen_at_their_seams(codec):
    codes = some_codes(40)
    whole, piece = codec.decode([codes, Codes(tuple(level[15:] for level in codes.levels))])
    behind = piece[5 * HOP :]  # frames 20 to 39 behind 5 of context, where the transformer reaches back 3 layers of 4
    assert (behind[:HOP] - whole[20 * HOP : 21 * HOP]).abs().max() > 1e-3
    reach = 3 * 4 + 2 + codec.network.decoder.context
    torch.testing.assert_close(piece[reach * HOP :], whole[(15 + reach) * HOP :], atol=2e-6, rtol=0)


def test_blocks_of_attention_change_nothing():
    torch.manual_seed(0)
    x = torch.randn(1, BLOCK + 37, 8)
    cos, sin = rotations(x.shape[1], 4, 10000.0, x.device)
    for window in (None, 9, BLOCK + 5):
        attention = Attention(8, 2, 1, 4, window)
        with torch.inference_mode():
            long = attention(x, cos, sin)
            start = BLOCK - 3 if window == 9 else 0
            again = attention(x[:, start:], cos[start:], sin[start:])
        keep = slice(BLOCK + 6, None) if window == 9 else slice(0, None)
        torch.testing.assert_close(long[:, keep], again[:, keep.start - start :], atol=1e-5, rtol=0)
        with torch.inference_mode():
            parts = [attention(x[:, :end], cos[:end], sin[:end])[:, -1:] for end in (1, 5, BLOCK, BLOCK + 1, BLOCK + 37)]
        for end, part in zip((1, 5, BLOCK, BLOCK + 1, BLOCK + 37), parts, strict=True):
            torch.testing.assert_close(part, long[:, end - 1 : end], atol=1e-5, rtol=0)


def test_frames_that_the_convolutions_hear_follow_from_the_rates():
    assert frames_heard(DecoderShape(codebook_dim=512)) == 10  # 3 + 1.5 + 1.5 + .25 + 2.4375 + .03 + .49 + .12 + .04 + ..
    assert frames_heard(DecoderShape(codebook_dim=4, upsampling_ratios=(1,), upsample_rates=(1,))) == 97


def changed(folder, target, section="", drop=(), **fields):
    """A copy of the checkpoint with other fields in config.json."""
    target.mkdir()
    config = json.loads((folder / "config.json").read_text())
    part = config[section] if section else config
    part.update(fields)
    for name in drop:
        del part[name]
    (target / "config.json").write_text(json.dumps(config))
    (target / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    return Qwen3TtsCodec(str(target))


@pytest.mark.parametrize(
    ("section", "fields", "message"),
    [
        ("", {"model_type": "mimi"}, "expected model_type 'qwen3_tts_tokenizer_12hz', found 'mimi'; use .*speech_tokenizer"),
        ("", {"loudness": 3}, "expected no field loudness, found it as 3: it may change the codes"),
        ("", {"output_sample_rate": 48000}, "expected output_sample_rate = 24000 by its other fields, found 48000"),
        ("", {"encode_downsample_rate": 960}, "expected encode_downsample_rate = 1920 by its other fields, found 960"),
        ("", {"decode_upsample_rate": 960}, "expected decode_upsample_rate = 1920 by its other fields, found 960"),
        ("", {"encoder_valid_num_quantizers": 3}, "expected encoder_valid_num_quantizers = 4 by its other fields, found 3"),
        ("", {"decoder_config": None}, "expected a mapping decoder_config, found None"),
        ("encoder_config", {"pad_mode": "reflect"}, "expected encoder_config.pad_mode = 'constant', found 'reflect'"),
        ("encoder_config", {"use_causal_conv": False}, "expected encoder_config.use_causal_conv = True, found False"),
        ("encoder_config", {"_frame_rate": 25.0}, "expected encoder_config._frame_rate = 12.5 by its other fields, found 25.0"),
        ("encoder_config", {"codebook_dim": 16}, "expected encoder_config.codebook_dim = 8, found 16"),
        ("encoder_config", {"num_quantizers": 3}, "expected at least 4 encoder_config.num_quantizers, found 3"),
        ("encoder_config", {"rope_scaling": {"type": "linear"}}, "expected encoder_config.rope_scaling = None, found"),
        ("decoder_config", {"rope_parameters": {"rope_type": "yarn"}}, "decoder_config.rope_parameters of rope_type 'default'"),
        ("decoder_config", {"hidden_act": "relu"}, "expected decoder_config.hidden_act = 'silu', found 'relu'"),
        ("decoder_config", {"noise": 1}, "expected no field decoder_config.noise, found it as 1"),
        ("decoder_config", {"latent_dim": "wide"}, "decoder_config.latent_dim: expected a whole number above 0, found 'wide'"),
        ("decoder_config", {"upsample_rates": [8, 5, 4]}, "upsampling in decoder_config by 1920 samples.* found 640"),
        ("decoder_config", {"codebook_size": 16}, "the same codebook_size in both halves .encoder 32., found 16"),
        ("decoder_config", {"num_key_value_heads": 3}, "decoder_config.num_attention_heads = a multiple of 3, found 4"),
        ("decoder_config", {"hidden_size": 24}, r"has in another shape decoder.*input_proj.* \(expected \(24, 20\)\)"),
    ],
)
def test_a_config_that_this_code_does_not_compute_for_is_refused(folder, tmp_path, section, fields, message):
    with pytest.raises(ComponentError, match=message) as caught:
        changed(folder, tmp_path / "other", section, **fields).load()
    assert "\n" not in str(caught.value)


def test_fields_left_out_have_the_published_defaults_and_a_needed_one_is_named(folder, tmp_path):
    left_out = changed(folder, tmp_path / "rates", "decoder_config", drop=["rope_theta", "upsample_rates", "rms_norm_eps"]).load()
    codes = some_codes(5)
    assert torch.equal(left_out.decode([codes])[0], Qwen3TtsCodec(str(folder)).load().decode([codes])[0])
    newer = changed(
        folder, tmp_path / "newer", "encoder_config", drop=["rope_theta"], rope_parameters={"rope_theta": 500.0}, dtype="float32"
    )
    assert newer.load().network.shape.encoder.rope_theta == 500.0
    with pytest.raises(ComponentError, match=r"decoder_config\.codebook_dim: expected a whole number, found no such field"):
        changed(folder, tmp_path / "needed", "decoder_config", drop=["codebook_dim"]).load()


def test_tensors_that_are_missing_or_too_many_are_all_named_in_one_line(folder, tmp_path):
    codec = changed(folder, tmp_path / "torn")
    weights = tmp_path / "torn" / "model.safetensors"
    state = load_file(weights)
    gone = [name for name in state if name.endswith("gamma")]
    state = {name: tensor for name, tensor in state.items() if name not in gone}
    save_file({**state, "decoder.extra.weight": torch.ones(2)}, weights)
    with pytest.raises(ComponentError) as caught:
        codec.load()
    text = str(caught.value)
    assert all(name in text for name in (*gone, "decoder.extra.weight"))
    assert "it lacks decoder.upsample.0.1.gamma, decoder.upsample.1.1.gamma" in text
    assert "\n" not in text


def test_half_precision_weights_are_computed_with_in_float32(folder, tmp_path):
    codec = changed(folder, tmp_path / "half")
    weights = tmp_path / "half" / "model.safetensors"
    save_file({name: tensor.bfloat16() for name, tensor in load_file(weights).items()}, weights)
    wave = codec.load().decode([some_codes(3)])[0]
    assert wave.dtype == torch.float32
    torch.testing.assert_close(wave, Qwen3TtsCodec(str(folder)).load().decode([some_codes(3)])[0], atol=0.1, rtol=0)


def test_what_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(ComponentError, match="expected a Qwen3-TTS-Tokenizer-12Hz checkpoint"):
        Qwen3TtsCodec(str(tmp_path)).load()
    (tmp_path / "config.json").write_text("{")
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ComponentError, match="expected a Qwen3-TTS-Tokenizer-12Hz checkpoint"):
        Qwen3TtsCodec(str(tmp_path)).load()
    with pytest.raises(ComponentError, match="has no revision 'main'"):
        Qwen3TtsCodec(str(tmp_path), revision="main").load()
    with pytest.raises(ConfigError, match="chunk_frames must be at least 1, found 0"):
        Qwen3TtsCodec(chunk_frames=0)
