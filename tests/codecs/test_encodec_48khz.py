"""EnCodec at 48 kHz: chunks that overlap, at every length; loudness that no code holds; one channel in and out."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lpo_tts.audio import rms_db
from lpo_tts.codecs.encodec import EncodecCodec
from lpo_tts.codes import Codes
from lpo_tts.errors import ConfigError
from lpo_tts.testing.tiny_codecs import tiny_encodec_48khz

CHUNK, STRIDE, HOP = 48000, 47520, 320
BORDERS = [n * STRIDE + extra for n in (0, 1, 2) for extra in (1, 320, 480, 481, STRIDE, STRIDE + 1, CHUNK, CHUNK + 1)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.set_num_threads(1)
    return tiny_encodec_48khz(tmp_path_factory.mktemp("encodec"))


@pytest.fixture(scope="module")
def codec(folder):
    return EncodecCodec(folder, 3.0, batch_size=4).load()


def noise(length, seed=1):
    return 0.1 * torch.randn(length, generator=torch.Generator().manual_seed(seed))


def test_says_what_it_is(codec):
    assert (codec.input_sample_rate, codec.sample_rate, codec.frame_rate) == (48000, 48000, 150.0)
    assert codec.codebook_sizes == (1024, 1024)


@pytest.mark.parametrize("length", BORDERS)
def test_every_sample_is_in_a_chunk_and_no_frame_is_empty(codec, length):
    frames = codec.num_frames(length)
    chunks = -(-frames // 150)
    assert length <= (chunks - 1) * STRIDE + CHUNK  # heard to its end
    assert chunks == 1 or length > (chunks - 2) * STRIDE + CHUNK  # no chunk that was heard already
    assert 0 <= codec.num_samples(frames) - length < HOP


@given(st.integers(1, 10**7))
def test_frames_and_samples_fit_each_other_at_every_length(codec, length):
    frames = codec.num_frames(length)
    assert 0 <= codec.num_samples(frames) - length < HOP
    assert codec.num_frames(codec.num_samples(frames)) == frames


@settings(max_examples=8, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(BORDERS), st.integers(1, 150000)), min_size=1, max_size=2))
def test_frames_and_samples_are_as_many_as_it_says(codec, lengths):
    codes = codec.encode([noise(length) for length in lengths])
    assert [item.num_frames for item in codes] == [codec.num_frames(length) for length in lengths]
    assert [wave.numel() for wave in codec.decode(codes)] == [codec.num_samples(item.num_frames) for item in codes]


@settings(max_examples=10, deadline=None)
@given(st.sampled_from([1, 2, 149, 150, 151, 152, 300, 301]))
def test_any_number_of_frames_decodes(codec, num_frames):
    generator = torch.Generator().manual_seed(num_frames)
    levels = tuple(torch.randint(1024, (num_frames,), generator=generator) for _ in range(2))
    wave = codec.decode([Codes(levels)])[0]
    assert wave.shape == (codec.num_samples(num_frames),)
    assert bool(torch.isfinite(wave).all())


def test_codes_are_those_of_transformers_own_chunks(folder, codec):
    from transformers import EncodecModel

    audio = noise(2 * STRIDE + CHUNK)
    with torch.inference_mode():
        expected = EncodecModel.from_pretrained(folder).encode(audio.expand(1, 2, -1), bandwidth=3.0).audio_codes
    found = torch.stack(codec.encode([audio])[0].levels)
    expected = torch.cat(list(expected[:3, 0]), 1)  # a fourth one is heard by the third already
    assert float((found == expected).float().mean()) > 0.998


def test_codes_hold_no_loudness_and_every_second_comes_out_with_the_same(folder, codec):
    # What is quieter by a power of two is divided by the same digits.
    audio = torch.cat([noise(STRIDE), noise(STRIDE, seed=2) / 64])
    loud, quiet = codec.encode([audio])[0], codec.encode([audio / 64])[0]
    assert all(torch.equal(one, other) for one, other in zip(loud.levels, quiet.levels, strict=True))
    louder = EncodecCodec(folder, 3.0, loudness=-13.0).load().decode([loud])[0]
    assert rms_db(louder) - rms_db(codec.decode([loud])[0]) == pytest.approx(10.0, abs=0.01)


def test_one_scale_for_the_recording_keeps_pauses_apart(folder, codec):
    audio = torch.cat([noise(STRIDE), noise(STRIDE, seed=2) / 64])
    codes = EncodecCodec(folder, 3.0, scale="recording").load().encode([audio, audio / 64])
    assert all(torch.equal(one, other) for one, other in zip(codes[0].levels, codes[1].levels, strict=True))
    by_chunk = codec.encode([audio])[0]
    assert not all(torch.equal(one, other) for one, other in zip(codes[0].levels, by_chunk.levels, strict=True))


def test_settings_are_checked(folder):
    with pytest.raises(ConfigError, match="scale = 'loud' is none of chunk, recording"):
        EncodecCodec(folder, scale="loud")
    with pytest.raises(ConfigError, match="loudness must be at least -60 and at most 0"):
        EncodecCodec(folder, loudness=3.0)
