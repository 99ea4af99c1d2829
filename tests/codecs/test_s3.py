"""S3 tokens by the package's own network at random weights: its codes, every length, and a decoder in its own process."""

import sys
from pathlib import Path

import pytest
import torch

from lpo_tts.codecs.base import Codec
from lpo_tts.codecs.process import ProcessCodec
from lpo_tts.codecs.s3 import S3Codec
from lpo_tts.codes import Codes
from lpo_tts.errors import ComponentError
from lpo_tts.recipe import STRUCTURER

s3tokenizer = pytest.importorskip("s3tokenizer")
SERVER = str(Path(__file__).parent / "servers" / "tones.py")


def decoder(frame_rate=25, size=6561):
    return ProcessCodec((sys.executable, SERVER, str(frame_rate), str(size)))


def network(version):
    """The package's network, small; what is quantised is spread, so that codes differ."""
    from s3tokenizer import model_v2, model_v3

    torch.manual_seed(0)
    shape = {"n_mels": 128, "n_audio_state": 64, "n_audio_head": 1, "n_audio_layer": 2}
    if version == "v3":
        model = model_v3.S3TokenizerV3("speech_tokenizer_v3_25hz", model_v3.ModelConfigV3(**shape))
    else:
        model = model_v2.S3TokenizerV2("speech_tokenizer_v2_25hz", model_v2.ModelConfig(**shape))
    with torch.no_grad():
        hidden = model.encoder(s3tokenizer.log_mel_spectrogram(0.1 * torch.randn(32000))[None], torch.tensor([200]))[0][0]
        project = model.quantizer._codebook.project_down
        project.weight.copy_(torch.randn(8, 64) / hidden.std(0) / 8)
        project.bias.copy_(-project.weight @ hidden.mean(0))
    return model.eval()


@pytest.fixture(scope="module", params=["v2", "v3"])
def pair(request, tmp_path_factory):
    """The package's network, and the codec that reads its weights."""
    model = network(request.param)
    path = tmp_path_factory.mktemp("s3") / "weights.pt"
    torch.save(model.state_dict(), path)
    return model, S3Codec(request.param, str(path), batch_size=3).load()


def packages_codes(model, waves):
    mel, lengths = s3tokenizer.padding([s3tokenizer.log_mel_spectrogram(wave) for wave in waves])
    codes, counts = model.quantize(mel, lengths)
    return [row[: int(count)].long() for row, count in zip(codes, counts, strict=True)]


def noise(size, seed=1):
    return 0.1 * torch.randn(size, generator=torch.Generator().manual_seed(seed))


def test_codes_are_those_of_the_package(pair):
    model, codec = pair
    waves = [noise(16000), noise(20000, 2), noise(16000, 3), noise(9131, 4), noise(640, 5)]
    found = [one.levels[0] for one in codec.encode(waves)]
    assert [len(one) for one in found] == [25, 32, 25, 15, 1]
    assert len(found[0].unique()) > 10
    for one, expected in zip(found, packages_codes(model, waves), strict=True):
        assert torch.equal(one, expected)


@pytest.mark.parametrize("size", [1, 159, 160, 200, 201, 639, 640, 641, 799, 800, 1280, 1281, 16001])
def test_every_begun_token_is_there(pair, size):
    _, codec = pair
    assert codec.encode([noise(size)])[0].num_frames == -(-size // 640)


def test_a_begun_token_without_a_mel_frame_leaves_those_before_as_the_package_has_them_in_number(pair):
    model, codec = pair
    wave = noise(16100)
    assert (codec.encode([wave])[0].num_frames, len(packages_codes(model, [wave])[0])) == (26, 25)


def test_recordings_of_more_than_30_s_have_the_packages_windows(pair):
    model, codec = pair
    wave = noise(16000 * 47)
    (expected,), (found,) = packages_codes(model, [wave]), codec.encode([wave])
    assert found.num_frames == len(expected) == 25 * 47
    assert (found.levels[0] == expected).float().mean() > 0.99  # the package fills the last window up: rounding


def test_no_token_is_lost_where_the_package_opens_a_window_at_the_very_end(pair):
    model, codec = pair
    wave = noise(5250 * 160)
    (expected,), (found,) = packages_codes(model, [wave]), codec.encode([wave])
    assert found.num_frames == 5250 // 4 + 1
    assert len(expected) < found.num_frames
    assert (found.levels[0][: len(expected)] == expected).float().mean() > 0.99


def test_a_decoder_in_its_own_process_is_composed_by_a_recipe(pair, tmp_path):
    path = tmp_path / "weights.pt"
    torch.save(network("v2").state_dict(), path)
    server = {"name": "process", "command": [sys.executable, SERVER, "25", "6561"]}
    tree = {"name": "s3", "model": str(path), "decoder": server}
    settings = STRUCTURER.structure(tree, Codec)
    assert settings == S3Codec(model=str(path), decoder=decoder())
    codec = settings.load()
    assert (codec.input_sample_rate, codec.sample_rate, codec.frame_rate) == (16000, 24000, 25.0)
    assert codec.decode([Codes((torch.tensor([0, 6560]),))])[0][[0, 959, 960, -1]].tolist() == pytest.approx(
        [0, 0, 1, 1], abs=1e-3
    )


def test_without_a_decoder_codes_stay_codes(pair):
    _, codec = pair
    with pytest.raises(ComponentError, match=r"S3 tokens become sound through a flow with a voice, found no `decoder`"):
        codec.decode([Codes((torch.tensor([1, 2]),))])


@pytest.mark.parametrize(("rate", "size"), [(50, 6561), (25, 4096)])
def test_a_decoder_of_other_codes_is_refused(tmp_path, rate, size):
    path = tmp_path / "weights.pt"
    torch.save(network("v2").state_dict(), path)
    with pytest.raises(ComponentError, match=r"decoder: expected one codebook of 6561 at 25 frames/s, found"):
        S3Codec(model=str(path), decoder=decoder(rate, size)).load()


def test_weights_that_are_none_are_named(tmp_path):
    with pytest.raises(ComponentError, match=r"no such file: '.*none.onnx'; expected weights of the S3 tokenizer v2"):
        S3Codec(model=str(tmp_path / "none.onnx")).load()
    (tmp_path / "torn.onnx").write_bytes(b"not a model")
    with pytest.raises(ComponentError, match=r"torn.onnx: expected"):
        S3Codec(model=str(tmp_path / "torn.onnx")).load()
    state = network("v3").state_dict()
    del state["encoder.blocks.1.mlp_ln.weight"]
    torch.save(state, tmp_path / "lacking.pt")
    with pytest.raises(ComponentError, match=r"lacking.pt: expected weights of the S3 tokenizer v3 .* Missing key"):
        S3Codec("v3", str(tmp_path / "lacking.pt")).load()
    torch.save({"model": network}, tmp_path / "pickle.pt")
    with pytest.raises(ComponentError, match=r"pickle.pt: expected weights"):
        S3Codec(model=str(tmp_path / "pickle.pt")).load()
