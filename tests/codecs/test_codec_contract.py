"""What every codec must do, checked on each member of the family, built offline from random weights."""

import math

import pytest
import soundfile
import torch

from lpo_tts import audio
from lpo_tts.codecs import REGISTRY
from lpo_tts.codecs.base import rates_of
from lpo_tts.codes import Codes
from lpo_tts.errors import ArtefactError, ContractError
from lpo_tts.testing import check_codec
from tests.codecs.kinds import KINDS, build


def test_every_codec_of_the_family_is_checked_here():
    assert {kind.partition(" ")[0] for kind in KINDS} == set(REGISTRY)


@pytest.fixture(scope="module", params=sorted(KINDS))
def settings(request, tmp_path_factory):
    return build(request.param, tmp_path_factory.mktemp(request.param.replace(" ", "_")))


@pytest.fixture(scope="module")
def codec(settings):
    return settings.load()


def test_what_a_codec_tells_about_itself_is_what_it_does(settings, codec, request):
    kind = request.node.callspec.params["settings"]
    about = type(settings).about
    assert set(about) - {"extra"} == {"licence", "sample_rate", "tokens_per_second"}
    # A server has rates of its own; the others' are those of the default checkpoint, which the tiny one is shaped after.
    if kind in REGISTRY and about["sample_rate"] is not None:
        assert about["sample_rate"] == codec.sample_rate
        assert about["tokens_per_second"] == pytest.approx(sum(rates_of(codec)) * codec.frame_rate, abs=0.05)


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


def test_a_recording_of_any_rate_and_two_channels_reaches_every_codec_as_it_wants_it(codec, tmp_path):
    place = torch.arange(12000) / 48000
    stereo = torch.stack([0.2 * torch.sin(2 * torch.pi * 300 * place), 0.1 * torch.sin(2 * torch.pi * 500 * place)], 1)
    soundfile.write(tmp_path / "stereo.wav", stereo.numpy(), 48000, subtype="FLOAT")
    wave, rate = audio.read_speech(tmp_path / "stereo.wav", codec.input_sample_rate)
    assert (rate, wave.shape) == (codec.input_sample_rate, (codec.input_sample_rate // 4,))
    assert codec.encode([wave])[0].num_frames == math.ceil(round(0.25 * codec.frame_rate, 6))
    stereo[7] = float("nan")
    soundfile.write(tmp_path / "nan.wav", stereo.numpy(), 48000, subtype="FLOAT")
    with pytest.raises(ArtefactError, match=r"nan\.wav: expected audio, found NaN or infinity"):
        audio.read_speech(tmp_path / "nan.wav", codec.input_sample_rate)
