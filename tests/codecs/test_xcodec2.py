"""X-Codec2 on a tiny random checkpoint in the real format."""

import pytest
import torch

from lpo_tts.codecs.xcodec2 import Xcodec2Codec
from lpo_tts.errors import ComponentError
from lpo_tts.testing.tiny_codecs import tiny_xcodec2


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("torchaudio")
    return tiny_xcodec2(tmp_path_factory.mktemp("xcodec2"), quantization_levels=[4, 4])


def test_codes_and_waveforms_have_the_right_length(folder):
    codec = Xcodec2Codec(folder).load()
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
