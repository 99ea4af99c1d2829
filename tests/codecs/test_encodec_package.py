"""EnCodec's own package gives the same codes as the codec here, from the same random weights, at every bandwidth."""

import pytest
import torch

from lpo_tts.codecs.encodec import EncodecCodec
from lpo_tts.hf import mend_torchaudio
from lpo_tts.testing.tiny_codecs import ENCODEC_48KHZ

pytestmark = pytest.mark.slow  # the package builds models of full size only

NAMES = (  # of the package, and what transformers calls them
    ("quantizer.vq.layers.", "quantizer.layers."),
    ("._codebook.", ".codebook."),
    (".model.", ".layers."),
    (".convtr.convtr.", ".conv."),
    (".convtr.norm.", ".norm."),
    (".conv.conv.", ".conv."),
    (".conv.norm.", ".norm."),
    (".weight_g", ".parametrizations.weight.original0"),
    (".weight_v", ".parametrizations.weight.original1"),
)


def renamed(state):
    def name(key):
        for theirs, ours in NAMES:
            key = key.replace(theirs, ours)
        return key

    return {name(key): value for key, value in state.items()}


@pytest.fixture(scope="module", params=["24 kHz", "48 kHz"])
def pair(request, tmp_path_factory):
    """The package's model and a folder with the same weights in transformers' format."""
    pytest.importorskip("torchaudio")
    mend_torchaudio()
    encodec = pytest.importorskip("encodec")
    from transformers import EncodecConfig, EncodecModel

    torch.manual_seed(1)
    stereo = request.param == "48 kHz"
    kind = encodec.EncodecModel.encodec_model_48khz if stereo else encodec.EncodecModel.encodec_model_24khz
    package, model = kind(pretrained=False).eval(), EncodecModel(EncodecConfig(**(ENCODEC_48KHZ if stereo else {})))
    with torch.no_grad():  # codebooks are all zeros, which is one code for everything
        rest = package.encoder(0.1 * torch.randn(1, package.channels, package.sample_rate))
        for layer in package.quantizer.vq.layers:
            layer._codebook.embed.normal_().mul_(rest[0].std(-1)).add_(rest[0].mean(-1))
            rest = rest - layer.decode(layer.encode(rest))
    model.load_state_dict(renamed(package.state_dict()))
    folder = tmp_path_factory.mktemp("encodec")
    model.save_pretrained(folder)
    return package, str(folder)


def test_codes_of_every_bandwidth_are_those_of_the_package(pair):
    package, folder = pair
    rate = package.sample_rate
    noise = torch.randn(2 * rate + 4321, generator=torch.Generator().manual_seed(2))
    audio = 0.1 * noise * (1.2 + torch.sin(torch.arange(len(noise)) / rate * 5))
    for bandwidth in package.target_bandwidths:
        codec = EncodecCodec(folder, float(bandwidth)).load()
        package.set_target_bandwidth(bandwidth)
        for wave in (audio, audio[: rate // 2 + 1]):
            with torch.inference_mode():
                frames = package.encode(wave.expand(1, package.channels, -1))
            expected = torch.cat([codes[0] for codes, _ in frames], 1)
            found = torch.stack(codec.encode([wave])[0].levels)
            assert found.shape == expected.shape
            assert all(len(level.unique()) > 5 for level in expected)
            # Two codes may be equally near: rounding then decides, and the levels behind follow.
            assert float((found == expected).float().mean()) > 0.998


def test_decoding_is_that_of_the_package_at_one_loudness(pair):
    package, folder = pair
    bandwidth = package.target_bandwidths[1]
    codec = EncodecCodec(folder, float(bandwidth), loudness=-20.0).load()
    package.set_target_bandwidth(bandwidth)
    wave = 0.1 * torch.randn(package.sample_rate * 2 + 999, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        frames = package.encode(wave.expand(1, package.channels, -1))
        loudness = None if frames[0][1] is None else torch.full_like(frames[0][1], 0.1)
        expected = package.decode([(codes, loudness) for codes, _ in frames])[0].mean(0)
    codes = codec.encode([wave])
    torch.testing.assert_close(codec.decode(codes)[0], expected, atol=1e-4, rtol=1e-3)
