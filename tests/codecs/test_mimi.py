"""Mimi on a tiny random checkpoint in the real format."""

import pytest
import torch

from lpo_tts.codecs import REGISTRY
from lpo_tts.codecs.mimi import MimiCodec
from lpo_tts.errors import ComponentError, ConfigError
from lpo_tts.testing.tiny_codecs import tiny_dac, tiny_mimi


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_mimi(tmp_path_factory.mktemp("mimi"))


def test_says_what_it_is(folder):
    codec = MimiCodec(folder).load()
    assert REGISTRY.get("mimi") is MimiCodec
    assert (codec.input_sample_rate, codec.sample_rate, codec.frame_rate) == (24000, 24000, 12.5)
    assert codec.codebook_sizes == (2048,) * 8
    assert len(MimiCodec(folder, num_codebooks=32).load().codebook_sizes) == 32
    assert MimiCodec.about["tokens_per_second"] == 8 * codec.frame_rate


def test_codes_and_audio_are_those_of_the_model(folder):
    from transformers import MimiModel

    model = MimiModel.from_pretrained(folder)
    wave = 0.1 * torch.randn(1920 * 9 + 5, generator=torch.Generator().manual_seed(1))
    codec = MimiCodec(folder, num_codebooks=5).load()
    codes = codec.encode([wave])
    with torch.inference_mode():
        expected = model.encode(wave[None, None], num_quantizers=5).audio_codes
        decoded = model.decode(expected).audio_values[0, 0]
    assert torch.equal(torch.stack(codes[0].levels), expected[0])
    assert all(len(level.unique()) > 3 for level in codes[0].levels)
    torch.testing.assert_close(codec.decode(codes)[0], decoded)


def test_what_does_not_fit_is_refused(folder, tmp_path):
    with pytest.raises(ComponentError, match="expected 1 to 32 as `num_codebooks`, found 33"):
        MimiCodec(folder, num_codebooks=33).load()
    with pytest.raises(ComponentError, match=r"expected a mono Mimi checkpoint, found a dac one"):
        MimiCodec(tiny_dac(tmp_path / "dac", n_codebooks=2)).load()
    with pytest.raises(ComponentError, match=r"no such folder: .*absent"):
        MimiCodec(str(tmp_path / "absent")).load()
    with pytest.raises(ConfigError, match="num_codebooks must be at least 1"):
        MimiCodec(folder, num_codebooks=0)
