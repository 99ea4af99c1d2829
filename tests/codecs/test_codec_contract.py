"""What every codec must do, checked on each member of the family, built offline from random weights."""

import pytest
import torch

from lpo_tts.codecs import REGISTRY
from lpo_tts.codecs.base import rates_of
from lpo_tts.codecs.dac import DacCodec
from lpo_tts.codecs.encodec import EncodecCodec
from lpo_tts.codecs.mimi import MimiCodec
from lpo_tts.codecs.mini import MiniCodec
from lpo_tts.codecs.neucodec import NeuCodec
from lpo_tts.codecs.snac import SnacCodec
from lpo_tts.codecs.xcodec2 import Xcodec2Codec
from lpo_tts.codes import Codes
from lpo_tts.errors import ContractError
from lpo_tts.testing import check_codec, tiny_codecs


def tiny_snac_44khz(folder):
    rates = {"encoder_rates": [3, 3, 7, 7], "decoder_rates": [7, 7, 3, 3], "vq_strides": [8, 4, 2, 1]}
    return tiny_codecs.tiny_snac(folder, sampling_rate=44100, attn_window_size=32, encoder_dim=8, decoder_dim=128, **rates)


def tiny_dac_24khz(folder):
    return tiny_codecs.tiny_dac(folder, sampling_rate=24000, downsampling_ratios=[2, 4, 5, 8], n_codebooks=4)


def build(kind, folder, **settings):
    if kind in ("xcodec2", "neucodec"):
        pytest.importorskip("torchaudio")
    if kind == "snac":
        pytest.importorskip("snac")
    cls, checkpoint = BUILDERS[kind]
    return cls(checkpoint(folder), batch_size=3, **settings)


# Name in the family (and which of its kinds) -> its settings, and what writes a tiny checkpoint of it.
BUILDERS = {
    "mini": (MiniCodec, tiny_codecs.tiny_mini),
    "encodec": (EncodecCodec, tiny_codecs.tiny_encodec),
    "encodec 48 kHz": (EncodecCodec, tiny_codecs.tiny_encodec_48khz),
    "xcodec2": (Xcodec2Codec, tiny_codecs.tiny_xcodec2),
    "neucodec": (NeuCodec, tiny_codecs.tiny_neucodec),
    "snac": (SnacCodec, tiny_codecs.tiny_snac),
    "snac 44 kHz": (SnacCodec, tiny_snac_44khz),
    "mimi": (MimiCodec, tiny_codecs.tiny_mimi),
    "dac": (DacCodec, tiny_codecs.tiny_dac),
    "dac 24 kHz": (DacCodec, tiny_dac_24khz),
}


def test_every_codec_of_the_family_is_checked_here():
    assert {kind.partition(" ")[0] for kind in BUILDERS} == set(REGISTRY)


@pytest.fixture(scope="module", params=sorted(BUILDERS))
def settings(request, tmp_path_factory):
    return build(request.param, tmp_path_factory.mktemp(request.param.replace(" ", "_")))


@pytest.fixture(scope="module")
def codec(settings):
    return settings.load()


def test_every_codec_keeps_the_contract(settings):
    check_codec(settings)


def test_codes_outside_the_codebook_no_frames_and_no_samples_are_refused(codec):
    levels = [torch.zeros(4 * rate, dtype=torch.int64) for rate in rates_of(codec)]
    size = codec.codebook_sizes[0]
    with pytest.raises(ContractError, match="lies outside codebook 0"):
        codec.decode([Codes((levels[0] + size, *levels[1:]))])
    with pytest.raises(ContractError, match="codes 0: expected"):
        codec.decode([Codes(tuple(level[:0] for level in levels))])
    with pytest.raises(ContractError, match=f"codes 0: code -1 lies outside codebook 0 .size {size}"):
        codec.decode([Codes(tuple(level - 1 for level in levels))])
    with pytest.raises(ContractError, match=r"codes 1: expected .* found levels of"):
        codec.decode([Codes(tuple(levels)), Codes(())])
    with pytest.raises(ContractError, match=r"codes 0, level 0: expected shape \(num_frames,\) of integers, found \(4,\) of"):
        codec.decode([Codes(tuple(level.float() for level in levels))])


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
