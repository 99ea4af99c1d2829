"""EnCodec from a tiny random checkpoint in the real format."""

import pytest
import torch

from lpo_tts.codecs import REGISTRY
from lpo_tts.codecs.encodec import EncodecCodec
from lpo_tts.codes import Codes
from lpo_tts.errors import ComponentError, ConfigError, ContractError


def build(folder, **changes):
    from transformers import EncodecConfig, EncodecModel

    settings = {"num_filters": 4, "hidden_size": 16, "num_lstm_layers": 1, "codebook_size": 16, "codebook_dim": 16}
    torch.manual_seed(5)
    # At 75 frames a second and 4 bits a codebook costs 0.3 kbit/s.
    model = EncodecModel(EncodecConfig(**{**settings, "target_bandwidths": [0.6, 1.2], **changes}))
    with torch.no_grad():  # new codebooks are all zeros: spread them over what the encoder gives, so that codes differ
        latents = model.encoder(0.1 * torch.randn(1, model.config.audio_channels, 24000))[0]
        for level, layer in enumerate(model.quantizer.layers):
            layer.codebook.embed.normal_().mul_(latents.std(-1) / 2**level).add_(latents.mean(-1) if level == 0 else 0)
    model.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build(tmp_path_factory.mktemp("encodec"))


def test_bandwidth_decides_the_codebooks(folder):
    few, many = (EncodecCodec(folder, bandwidth).load() for bandwidth in (0.6, 1.2))
    assert few.codebook_sizes == (16,) * 2
    assert many.codebook_sizes == (16,) * 4
    assert (many.sample_rate, many.input_sample_rate, many.frame_rate) == (24000, 24000, 75.0)


def test_codes_equal_those_of_the_model_itself(folder):
    from transformers import EncodecModel

    audio = 0.1 * torch.randn(5000, generator=torch.Generator().manual_seed(1))
    codes = EncodecCodec(folder, 1.2).load().encode([audio])[0]
    with torch.inference_mode():
        expected = EncodecModel.from_pretrained(folder).encode(audio[None, None], bandwidth=1.2).audio_codes[0, 0]
    assert torch.equal(torch.stack(codes.levels), expected)
    assert codes.num_frames == 16
    assert all(len(level.unique()) > 1 for level in codes.levels)


def test_what_does_not_fit_is_refused(folder, tmp_path):
    with pytest.raises(ComponentError, match=r"expected a bandwidth of 0\.6, 1\.2 kbit/s, found 6\.0"):
        EncodecCodec(folder).load()
    stereo = build(tmp_path / "stereo", audio_channels=2, normalize=True, norm_type="time_group_norm")
    with pytest.raises(ComponentError, match=r"expected mono EnCodec .* found no chunks, 2 channel\(s\), normalize=True"):
        EncodecCodec(stereo, 1.2).load()
    gaps = build(tmp_path / "gaps", chunk_length_s=1.0)
    with pytest.raises(ComponentError, match=r"expected chunks of whole frames of 320 samples and an overlap, .* stride of None"):
        EncodecCodec(gaps, 1.2).load()
    with pytest.raises(ComponentError, match=r"no such folder: .*absent"):
        EncodecCodec(str(tmp_path / "absent"), 1.2).load()
    with pytest.raises(ConfigError, match="bandwidth must be above 0"):
        EncodecCodec(folder, 0.0)
    with pytest.raises(ConfigError, match="batch_size must be at least 1"):
        EncodecCodec(folder, batch_size=0)


def test_wrong_codes_are_refused(folder):
    codec = EncodecCodec(folder, 0.6).load()
    good, bad = torch.tensor([1, 2]), torch.tensor([1, 16])
    with pytest.raises(ContractError, match=r"codes 0: code 16 lies outside codebook 1 \(size 16\)"):
        codec.decode([Codes((good, bad))])
    with pytest.raises(ContractError, match=r"codes 0: expected 2 levels of equal length, found levels of \[2\] frames"):
        codec.decode([Codes((good,))])
    assert REGISTRY.get("encodec") is EncodecCodec
