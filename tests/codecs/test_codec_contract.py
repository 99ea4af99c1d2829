"""What every codec must do, checked on each member of the family, built offline from random weights."""

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lpo_tts.codecs import REGISTRY
from lpo_tts.codecs.encodec import EncodecCodec
from lpo_tts.codecs.mini import MiniCodec, MiniCodecNetwork, MiniCodecShape, config_of
from lpo_tts.codecs.process import ProcessCodec
from lpo_tts.codecs.s3 import S3Codec
from lpo_tts.codecs.xcodec2 import Xcodec2Codec
from lpo_tts.codes import Codes
from lpo_tts.errors import ContractError
from lpo_tts.testing import check_codec


def build_mini(folder):
    shape = MiniCodecShape(num_mels=16, encoder_channels=16, decoder_channels=16, codebook_size=32, code_dim=8)
    torch.manual_seed(3)
    (folder / "config.json").write_text(json.dumps(config_of(shape)))
    state = {name: value.contiguous() for name, value in MiniCodecNetwork(shape).state_dict().items()}
    save_file(state, folder / "model.safetensors")
    return MiniCodec(str(folder), batch_size=3)


def build_encodec(folder):
    from transformers import EncodecConfig, EncodecModel

    torch.manual_seed(5)
    settings = {"num_filters": 4, "hidden_size": 16, "num_lstm_layers": 1, "codebook_size": 16, "codebook_dim": 16}
    model = EncodecModel(EncodecConfig(**settings, target_bandwidths=[1.2]))
    with torch.no_grad():  # new codebooks are all zeros: spread them over what the encoder gives, so that codes differ
        latents = model.encoder(0.1 * torch.randn(1, model.config.audio_channels, 24000))[0]
        for level, layer in enumerate(model.quantizer.layers):
            layer.codebook.embed.normal_().mul_(latents.std(-1) / 2**level).add_(latents.mean(-1) if level == 0 else 0)
    model.save_pretrained(folder)
    return EncodecCodec(str(folder), bandwidth=1.2, batch_size=3)


def build_xcodec2(folder):
    pytest.importorskip("torchaudio")
    from transformers import Xcodec2Config, Xcodec2FeatureExtractor, Xcodec2Model

    semantic = {
        "model_type": "wav2vec2-bert",
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "feature_projection_input_dim": 160,
        "conv_depthwise_kernel_size": 3,
        "output_hidden_size": 16,
    }
    config = Xcodec2Config(
        hidden_size=64,  # two values for each of the group norms' 32 groups: one would be none at a single frame
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=32,
        encoder_hidden_size=4,
        quantization_dim=80,
        quantization_levels=[4, 4],
        semantic_model_config=semantic,
    )
    torch.manual_seed(0)
    model, extractor = Xcodec2Model(config).eval(), Xcodec2FeatureExtractor()
    with torch.no_grad():  # new weights give one code for all sounds: spread what is quantised, so that codes differ
        seen = []
        hook = model.quantizer.project_in.register_forward_hook(lambda _, __, out: seen.append(out))
        model.encode(**extractor(audio=[(0.1 * torch.randn(32000)).numpy()], sampling_rate=16000, return_tensors="pt"))
        hook.remove()
        mean, std = seen[0].mean((0, 1)), seen[0].std((0, 1))
        model.quantizer.project_in.weight.div_(std[:, None])
        model.quantizer.project_in.bias.sub_(mean).div_(std)
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)
    return Xcodec2Codec(str(folder), batch_size=3)


def build_process(folder):
    return ProcessCodec((sys.executable, str(Path(__file__).parents[2] / "recipes" / "codec_servers" / "mulaw.py")), batch_size=3)


def build_s3(folder):
    model_v2 = pytest.importorskip("s3tokenizer.model_v2")
    torch.manual_seed(0)
    config = model_v2.ModelConfig(n_audio_state=64, n_audio_head=1, n_audio_layer=1)
    model = model_v2.S3TokenizerV2("speech_tokenizer_v2_25hz", config)
    with torch.no_grad():
        model.quantizer._codebook.project_down.weight.normal_()
    torch.save(model.state_dict(), folder / "weights.pt")
    server = Path(__file__).parent / "servers" / "tones.py"
    decoder = ProcessCodec((sys.executable, str(server), "25", "6561"), batch_size=3)
    return S3Codec(model=str(folder / "weights.pt"), decoder=decoder, batch_size=3)


BUILDERS = {
    "mini": build_mini,
    "encodec": build_encodec,
    "xcodec2": build_xcodec2,
    "process": build_process,
    "s3": build_s3,
}


def test_every_codec_of_the_family_is_checked_here():
    assert set(BUILDERS) == set(REGISTRY)


@pytest.fixture(scope="module", params=sorted(BUILDERS))
def settings(request, tmp_path_factory):
    return BUILDERS[request.param](tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def codec(settings):
    return settings.load()


def test_every_codec_keeps_the_contract(settings):
    check_codec(settings)


def test_codes_outside_the_codebook_no_frames_and_no_samples_are_refused(codec):
    levels = [torch.zeros(4, dtype=torch.int64) for _ in codec.codebook_sizes]
    levels[0] = levels[0] + codec.codebook_sizes[0]
    with pytest.raises(ContractError, match="lies outside codebook 0"):
        codec.decode([Codes(tuple(levels))])
    with pytest.raises(ContractError, match="codes 0: expected"):
        codec.decode([Codes(tuple(level[:0] for level in levels))])
    with pytest.raises(ContractError, match=f"codes 0: code -1 lies outside codebook 0 .size {codec.codebook_sizes[0]}"):
        codec.decode([Codes(tuple(torch.full((4,), -1) for _ in codec.codebook_sizes))])
    with pytest.raises(ContractError, match=r"codes 1: expected .* found levels of"):
        codec.decode([Codes(tuple(torch.zeros(4, dtype=torch.int64) for _ in codec.codebook_sizes)), Codes(())])
    with pytest.raises(ContractError, match=r"codes 0, level 0: expected shape \(num_frames,\) of integers, found \(4,\) of"):
        codec.decode([Codes(tuple(torch.zeros(4) for _ in codec.codebook_sizes))])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (torch.empty(0), r"audio 1: expected shape \(num_samples,\) with samples as floats, found \(0,\)"),
        (torch.zeros(2, 4000), r"audio 1: expected shape .* found \(2, 4000\)"),
        (torch.zeros(1, 4000), r"audio 1: expected shape .* found \(1, 4000\)"),
        (torch.zeros(4000, dtype=torch.int16), "audio 1: expected shape .* of torch.int16"),
        (torch.full((4000,), float("nan")), "audio 1: expected finite samples, found NaN or infinity"),
    ],
    ids=["empty", "stereo", "one channel", "integers", "nan"],
)
def test_audio_that_is_none_is_refused_before_the_network_hears_it(codec, wrong, message):
    with pytest.raises(ContractError, match=message):
        codec.encode([torch.zeros(4000), wrong])
