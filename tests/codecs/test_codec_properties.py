"""What holds for every codec at every length: frames, samples, codes within codebooks, and nobody hears a neighbour."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lpo_tts.codecs.base import check_codes, rates_of
from lpo_tts.codes import Codes
from tests.codecs.kinds import KINDS, build

pytestmark = pytest.mark.slow
LENGTHS = st.lists(st.integers(1, 7000), min_size=1, max_size=3)
EXAMPLES = settings(max_examples=8, deadline=None)


@pytest.fixture(scope="module", params=sorted(KINDS))
def codec(request, tmp_path_factory):
    torch.set_num_threads(1)
    return build(request.param, tmp_path_factory.mktemp(request.param.replace(" ", "_"))).load()


def waves(lengths):
    generator = torch.Generator().manual_seed(sum(lengths))
    return [0.1 * torch.randn(length, generator=generator) for length in lengths]


@EXAMPLES
@given(lengths=LENGTHS)
def test_one_frame_per_begun_frame_and_as_many_samples_as_frames(codec, lengths):
    hop_in = round(codec.input_sample_rate / codec.frame_rate)
    hop_out = round(codec.sample_rate / codec.frame_rate)
    codes = codec.encode(waves(lengths))
    check_codes(codes, codec.codebook_sizes, rates_of(codec))
    assert [item.num_frames for item in codes] == [math.ceil(length / hop_in) for length in lengths]
    assert [wave.numel() for wave in codec.decode(codes)] == [item.num_frames * hop_out for item in codes]


@EXAMPLES
@given(lengths=LENGTHS)
def test_mixed_lengths_together_equal_one_by_one(codec, lengths):
    audio = waves([*lengths, lengths[0]])
    together = codec.encode(audio)
    for wave, item in zip(audio, together, strict=True):
        alone = codec.encode([wave])[0]
        # Rounding depends on the size of a batch, and may decide between two codes that are equally near.
        same = torch.cat([one == other for one, other in zip(item.levels, alone.levels, strict=True)])
        assert int((~same).sum()) <= len(codec.codebook_sizes) * (len(same) > 500)
    for item, wave in zip(reversed(together), codec.decode(together[::-1]), strict=True):
        torch.testing.assert_close(wave, codec.decode([item])[0], atol=1e-4, rtol=1e-4)


@EXAMPLES
@given(num_frames=st.integers(1, 12), seed=st.integers(0, 999))
def test_any_codes_decode_to_the_same_finite_audio_again(codec, num_frames, seed):
    generator = torch.Generator().manual_seed(seed)
    kinds = zip(codec.codebook_sizes, rates_of(codec), strict=True)
    codes = Codes(tuple(torch.randint(size, (num_frames * rate,), generator=generator) for size, rate in kinds))
    first, again = codec.decode([codes])[0], codec.decode([codes])[0]
    assert torch.equal(first, again)
    assert bool(torch.isfinite(first).all())
    assert first.numel() == num_frames * round(codec.sample_rate / codec.frame_rate)
