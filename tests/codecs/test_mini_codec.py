"""The mini codec: shapes, independence from the batch, messages, and the arithmetic of its synthesis."""

import json

import pytest
import torch
from safetensors.torch import save_file

from lpo_tts.codecs import REGISTRY
from lpo_tts.codecs.mini import HOP, MiniCodec, MiniCodecNetwork, MiniCodecShape, config_of, mel_filters
from lpo_tts.codes import Codes
from lpo_tts.errors import ComponentError, ConfigError, ContractError

SHAPE = MiniCodecShape(encoder_channels=16, decoder_channels=16, decoder_blocks=2, codebook_size=64, code_dim=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("codec")
    network = MiniCodecNetwork(SHAPE)
    save_file({name: value.half() for name, value in network.state_dict().items()}, path / "model.safetensors")
    (path / "config.json").write_text(json.dumps(config_of(SHAPE)))
    return path


@pytest.fixture(scope="module")
def codec(folder):
    return MiniCodec(str(folder), batch_size=3).load()


def waves(*lengths):
    generator = torch.Generator().manual_seed(1)
    return [0.1 * torch.randn(length, generator=generator) for length in lengths]


def test_is_registered_and_says_what_it_is(codec):
    assert REGISTRY.get("mini") is MiniCodec
    assert (codec.input_sample_rate, codec.sample_rate, codec.frame_rate, codec.codebook_sizes) == (16000, 16000, 50.0, (64,))


def test_one_code_per_begun_frame_and_320_samples_per_code(codec):
    codes = codec.encode(waves(1, 320, 321, 16000))
    assert [item.num_frames for item in codes] == [1, 1, 2, 50]
    assert codes[0].levels[0].dtype == torch.int64
    assert [audio.shape for audio in codec.decode(codes)] == [(320,), (320,), (640,), (16000,)]


def test_neighbours_in_the_batch_change_nothing(folder, codec):
    audio = waves(700, 9000, 3210, 16000, 320)
    together = codec.encode(audio)
    alone = [codec.encode([wave])[0] for wave in audio]
    for one, other in zip(together, alone, strict=True):
        assert torch.equal(one.levels[0], other.levels[0])
    wide = MiniCodec(str(folder), batch_size=64).load()
    for one, other in zip(wide.decode(together), [codec.decode([codes])[0] for codes in together], strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


def test_overlapping_windows_add_up_to_the_spectrum_put_in():
    network = MiniCodecNetwork(SHAPE)
    audio = torch.sin(torch.arange(6400) * 0.2)[None]
    # The synthesis has no frame centred on a sample before its first half hop, as a "same" convolution would have.
    framed = torch.nn.functional.pad(audio, (240, 240)).unfold(1, 640, HOP) * network.window
    spectrum = torch.fft.rfft(framed)
    head = torch.cat([spectrum.abs().clamp(min=1e-9).log(), spectrum.angle()], -1).transpose(1, 2)
    rebuilt = network.synthesis(head)
    assert rebuilt.shape == audio.shape
    torch.testing.assert_close(rebuilt[:, 640:-640], audio[:, 640:-640], atol=1e-4, rtol=1e-4)


def test_mel_filters_cover_the_band():
    filters = mel_filters(16000, 640, 80)
    assert filters.shape == (80, 321)
    torch.testing.assert_close(filters.sum(1), torch.ones(80))
    assert (filters >= 0).all()
    peaks = filters.argmax(1)
    assert (peaks[1:] >= peaks[:-1]).all()


def test_refuses_codes_outside_the_codebook(codec):
    with pytest.raises(ContractError, match=r"codes 1: code 64 lies outside codebook 0 \(size 64\)"):
        codec.decode([Codes((torch.tensor([1]),)), Codes((torch.tensor([0, 64]),))])
    with pytest.raises(ContractError, match="expected one level with frames"):
        codec.decode([Codes((torch.empty(0, dtype=torch.int64),))])


def test_refuses_what_is_no_waveform(codec):
    with pytest.raises(ContractError, match=r"expected shape \(num_samples,\)"):
        codec.encode([torch.zeros(2, 100)])


def test_a_missing_or_foreign_checkpoint_is_named(tmp_path, folder):
    with pytest.raises(ComponentError, match=r"config\.json: expected a mini codec checkpoint"):
        MiniCodec(str(tmp_path)).load()
    (tmp_path / "config.json").write_text(json.dumps({"decoder_channels": 32}))
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    with pytest.raises(ComponentError, match="not a mini codec checkpoint that this version can read"):
        MiniCodec(str(tmp_path)).load()


def test_settings_are_checked(folder):
    with pytest.raises(ConfigError, match="batch_size must be at least 1, found 0"):
        MiniCodec(str(folder), batch_size=0)
