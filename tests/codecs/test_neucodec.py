"""NeuCodec on a tiny random checkpoint in the real format."""

import pytest
import torch

from lpo_tts.codecs import REGISTRY
from lpo_tts.codecs.neucodec import NeuCodec
from lpo_tts.codecs.xcodec2 import Xcodec2Codec
from lpo_tts.errors import ComponentError
from lpo_tts.testing.tiny_codecs import tiny_neucodec, tiny_xcodec2

pytest.importorskip("torchaudio")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_neucodec(tmp_path_factory.mktemp("neucodec"))


def test_hears_16_khz_and_says_24(folder):
    codec = NeuCodec(folder).load()
    assert REGISTRY.get("neucodec") is NeuCodec
    assert (codec.input_sample_rate, codec.sample_rate, codec.frame_rate) == (16000, 24000, 50.0)
    assert codec.codebook_sizes == (65536,)
    waves = [0.1 * torch.randn(length, generator=torch.Generator().manual_seed(length)) for length in (16000, 1, 320, 321)]
    codes = codec.encode(waves)
    assert [item.num_frames for item in codes] == [50, 1, 1, 2]
    assert [wave.numel() for wave in codec.decode(codes)] == [24000, 480, 480, 960]


def test_codes_and_audio_of_whole_frames_are_those_of_the_model(folder):
    from transformers import AutoFeatureExtractor, NeuCodecModel

    model, extractor = NeuCodecModel.from_pretrained(folder), AutoFeatureExtractor.from_pretrained(folder)
    wave = 0.1 * torch.randn(9600, generator=torch.Generator().manual_seed(1))
    inputs = extractor(audio=[wave.numpy()], sampling_rate=16000, return_tensors="pt")
    codec = NeuCodec(folder).load()
    codes = codec.encode([wave])
    with torch.inference_mode():
        expected = model.encode(**inputs).audio_codes
        decoded = model.decode(expected).audio_values
    assert torch.equal(codes[0].levels[0], expected[0, 0].long())
    assert len(codes[0].levels[0].unique()) > 10
    torch.testing.assert_close(codec.decode(codes)[0], decoded.reshape(-1))


def test_one_is_not_taken_for_the_other(folder, tmp_path):
    with pytest.raises(ComponentError, match="expected a checkpoint of type xcodec2, found a neucodec one"):
        Xcodec2Codec(folder).load()
    with pytest.raises(ComponentError, match="expected a checkpoint of type neucodec, found a xcodec2 one"):
        NeuCodec(tiny_xcodec2(tmp_path)).load()
