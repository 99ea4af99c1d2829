"""faster-whisper with a window shorter than 30 s: hypotheses do not depend on batch mates, and sentences are not repeated."""

import pytest
import torch

from lpo_tts.asr.faster_whisper import FasterWhisperRecogniser


@pytest.fixture(scope="module")
def four(clips):
    """Four short clips; two of them have one length for the encoder, in whole seconds."""
    return sorted((wave for _, _, wave in clips), key=len)[:4]


def test_a_short_window_hears_each_clip_as_if_alone(whisper_ct2, four):
    together = FasterWhisperRecogniser(str(whisper_ct2), padding=8.0).load().transcribe(four)
    alone = FasterWhisperRecogniser(str(whisper_ct2), padding=8.0, batch_size=1).load().transcribe(four)
    assert together == alone
    whole = FasterWhisperRecogniser(str(whisper_ct2)).load().transcribe(four)
    for short, long in zip(together, whole, strict=True):
        assert 0.7 < len(short.split()) / len(long.split()) < 1.3  # nothing is repeated, nothing is left out


def test_the_window_is_what_padding_says(whisper_ct2, four):
    frames = {}
    for padding in (None, 0.0, 8.0, 30.0):
        loaded = FasterWhisperRecogniser(str(whisper_ct2), padding=padding).load()
        frames[padding] = [loaded._length(wave.numel()) for wave in (torch.zeros(16000 * 3 + 1), torch.zeros(16000 * 25))]
    assert frames == {None: [3000, 3000], 0.0: [400, 2500], 8.0: [1200, 3000], 30.0: [3000, 3000]}
