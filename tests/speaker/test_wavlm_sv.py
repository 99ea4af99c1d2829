"""x-vectors from tiny random checkpoints in the format of microsoft/wavlm-base-plus-sv."""

import json

import pytest
import torch
from transformers import Wav2Vec2FeatureExtractor, WavLMConfig, WavLMForXVector, WavLMModel

from lpo_tts.errors import ComponentError, ConfigError
from lpo_tts.speaker.wavlm_sv import WavLMSpeakerEncoder
from lpo_tts.testing import check_encoder

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": (8,) * 7,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
    "tdnn_dim": (12, 12, 12, 12, 24),
    "xvector_output_dim": 10,
    "use_weighted_layer_sum": True,
}


def save(folder, kind=WavLMForXVector, **more):
    torch.manual_seed(1)
    net = kind(WavLMConfig(**SIZES, **more))
    for parameter in net.parameters():  # fresh weights are so small that every waveform has the same vector
        parameter.data += 0.2 * torch.randn(parameter.shape)
    net.save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(folder)
    return net.eval()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wavlm") / "sv"
    return folder, save(folder)


def noise(*sizes):
    generator = torch.Generator().manual_seed(0)
    return [0.1 * torch.randn(size, generator=generator) for size in sizes]


def test_vectors_are_those_of_each_waveform_alone(checkpoint):
    folder, net = checkpoint
    check_encoder(WavLMSpeakerEncoder(str(folder)))
    waves = noise(16000, 9000, 16000)
    found = WavLMSpeakerEncoder(str(folder), batch_size=2).load().embed(waves)
    for wave, vector in zip(waves, found, strict=True):
        with torch.inference_mode():
            expected = net(wave[None]).embeddings[0]
        assert torch.allclose(vector, expected / expected.norm(), atol=1e-6)


def test_a_mask_would_not_keep_padding_out(checkpoint):
    """Why only waveforms of one length share a batch."""
    _, net = checkpoint
    short = noise(9000)[0]
    padded = torch.nn.functional.pad(short, (0, 7000))[None]
    with torch.inference_mode():
        alone = net(short[None]).embeddings
        masked = net(padded, attention_mask=(torch.arange(16000) < 9000).long()[None]).embeddings
    assert float(torch.cosine_similarity(alone, masked)) < 0.999


def test_the_middle_of_long_audio_is_heard(checkpoint):
    folder, _ = checkpoint
    wave = noise(24000)[0]
    cut = WavLMSpeakerEncoder(str(folder), max_duration=0.5).load()
    assert torch.equal(cut.embed([wave])[0], cut.embed([wave[8000:16000]])[0])


def test_a_checkpoint_without_the_head_is_refused(tmp_path):
    save(tmp_path, WavLMModel)
    with pytest.raises(
        ComponentError, match=r"expected a speaker checkpoint .* found no weights for feature_extractor\.bias, .* more"
    ):
        WavLMSpeakerEncoder(str(tmp_path)).load()


def test_another_model_is_refused(tmp_path):
    Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "whisper"}))
    with pytest.raises(ComponentError, match="expected a speaker checkpoint of transformers with an x-vector head"):
        WavLMSpeakerEncoder(str(tmp_path)).load()
    with pytest.raises(ComponentError, match="no such folder"):
        WavLMSpeakerEncoder("no/such/model").load()


def test_the_head_s_need_goes_before_the_setting(checkpoint):
    folder, _ = checkpoint
    loaded = WavLMSpeakerEncoder(str(folder), min_duration=0.01).load()
    needed = round(loaded.min_duration * 16000)
    assert torch.isfinite(loaded.embed(noise(needed))).all()
    assert 5000 < needed < 5600
    with pytest.raises(ComponentError, match="waveform 0: expected at least"):
        loaded.embed(noise(needed - 1))
    with pytest.raises(ConfigError, match="max_duration must be at least min_duration"):
        WavLMSpeakerEncoder(min_duration=2.0, max_duration=1.0)
