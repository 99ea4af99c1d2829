"""X-Codec2 on a tiny random checkpoint in the real format."""

import pytest
import torch

from lpo_tts.codecs.xcodec2 import Xcodec2Codec
from lpo_tts.errors import ComponentError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("torchaudio")
    from transformers import AutoFeatureExtractor, Xcodec2Config, Xcodec2Model
    from transformers.models.xcodec2.feature_extraction_xcodec2 import Xcodec2FeatureExtractor

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
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=16,
        encoder_hidden_size=4,
        quantization_dim=48,
        quantization_levels=[4, 4],
        semantic_model_config=semantic,
    )
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("xcodec2")
    Xcodec2Model(config).save_pretrained(path)
    Xcodec2FeatureExtractor().save_pretrained(path)
    assert AutoFeatureExtractor.from_pretrained(path).sampling_rate == 16000
    return path


def test_codes_and_waveforms_have_the_right_length(folder):
    codec = Xcodec2Codec(str(folder)).load()
    assert (codec.sample_rate, codec.frame_rate, codec.codebook_sizes) == (16000, 50.0, (16,))
    waves = [torch.randn(16000) * 0.1, torch.randn(9000) * 0.1]
    codes = codec.encode(waves)
    assert [one.num_frames for one in codes] == [50, 29]
    assert all(0 <= int(one.levels[0].min()) <= int(one.levels[0].max()) < 16 for one in codes)
    decoded = codec.decode(codes)
    assert [wave.shape for wave in decoded] == [(16000,), (29 * 320,)]
    assert torch.equal(codec.decode(codes[1:])[0], decoded[1])


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(ComponentError, match=r"no such folder: .*none"):
        Xcodec2Codec(str(tmp_path / "none")).load()
