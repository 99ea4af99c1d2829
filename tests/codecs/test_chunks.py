"""Long recordings: windows keep every frame once, and chunks with context give what the whole recording gives."""

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lpo_tts.codecs.chunks import windows
from lpo_tts.codecs.encodec import EncodecCodec
from lpo_tts.errors import ConfigError
from tests.codecs.kinds import build

pytestmark = pytest.mark.slow

# Kind -> context in seconds, and by how much samples may differ. Convolutions hear nothing beyond their reach. EnCodec's
# recurrent layers and Mimi's attention hear further, but little.
NEAR = {
    "encodec": (0.5, 1e-5),
    "snac": (0.5, 1e-5),
    "snac 44 kHz": (0.5, 1e-5),
    "mimi": (0.5, 1e-4),
    "dac": (0.5, 5e-4),
    "dac 24 kHz": (0.5, 5e-4),
}
# Rounding, another on every processor, may decide between two codes that are equally near; every code of a residual
# quantiser that follows in this frame is then another one too. So frames are counted, not codes.
CHANGED = 0.04  # share of the frames


def changed_frames(codes, others):
    """The share of the frames in which any code differs; levels of other rates lie beside each other by their place."""
    frames = max(level.numel() for level in codes.levels)
    places = set()
    for one, other in zip(codes.levels, others.levels, strict=True):
        places |= {int(place) * frames // one.numel() for place in (one != other).nonzero()}
    return len(places) / frames


@given(st.integers(1, 400), st.one_of(st.none(), st.integers(1, 90)), st.integers(0, 40), st.sampled_from([1, 4]))
def test_windows_keep_every_frame_once_and_have_their_context(num_frames, chunk, context, unit):
    kept = []
    for one in windows(num_frames, chunk, context, unit):
        first, last = one.start + one.skip, one.start + one.skip + one.keep
        kept += range(first, last)
        assert one.start % unit == 0
        assert one.start == 0 or one.skip >= context
        assert one.stop == num_frames or one.stop - last >= context
        assert chunk is None or num_frames <= chunk or one.stop - one.start <= chunk + 2 * context + 3 * unit
    assert kept == list(range(num_frames))


@pytest.mark.parametrize("kind", sorted(NEAR))
def test_chunks_give_what_the_whole_gives(kind, tmp_path):
    torch.set_num_threads(1)
    context, tolerance = NEAR[kind]
    settings = build(kind, tmp_path)
    whole = dataclasses.replace(settings, chunk=None).load()
    parts = dataclasses.replace(settings, chunk=0.7, context=context).load()
    place = torch.arange(round(2.4 * whole.input_sample_rate) + 123) / whole.input_sample_rate
    noise = torch.randn(place.shape, generator=torch.Generator().manual_seed(1))
    audio = 0.1 * noise * (1 + torch.sin(6 * place))
    codes, found = whole.encode([audio])[0], parts.encode([audio, audio[:30000]])[0]
    assert [level.numel() for level in found.levels] == [level.numel() for level in codes.levels]
    bare = dataclasses.replace(settings, chunk=0.7, context=0.0).load()
    assert changed_frames(codes, bare.encode([audio])[0]) > 3 * CHANGED  # the measure tells a fault
    assert changed_frames(codes, found) <= CHANGED
    torch.testing.assert_close(parts.decode([codes])[0], whole.decode([codes])[0], atol=tolerance, rtol=0)
    assert len(parts.decode([codes])[0]) == codes.num_frames * round(whole.sample_rate / whole.frame_rate)


@pytest.mark.parametrize("kind", ["xcodec2", "neucodec"])
def test_codecs_that_hear_everything_keep_their_lengths_in_chunks(kind, tmp_path):
    codec = build(kind, tmp_path, chunk=0.5, context=0.1).load()
    codes = codec.encode([0.1 * torch.randn(24001, generator=torch.Generator().manual_seed(1))])
    assert codes[0].num_frames == 76
    assert codec.decode(codes)[0].shape == (76 * round(codec.sample_rate / codec.frame_rate),)


def test_what_the_network_is_given_is_bounded(tmp_path):
    codec = build("snac", tmp_path, chunk=1.0, context=0.5, batch_size=2).load()
    seen = []
    encode, decode = codec._model.encode, codec._model.decode
    codec._model.encode = lambda audio: seen.append(audio.numel()) or encode(audio)
    codec._model.decode = lambda levels: seen.append(levels[0].numel() * 2048) or decode(levels)
    codec.decode(codec.encode([0.1 * torch.randn(24000 * 12)]))
    assert len(seen) >= 12
    assert max(seen) <= 2 * (24000 * 2 + 3 * 2048)


def test_settings_are_checked():
    with pytest.raises(ConfigError, match="chunk must be above 0"):
        EncodecCodec(chunk=0.0)
    with pytest.raises(ConfigError, match="context must be at least 0"):
        EncodecCodec(context=-1.0)
