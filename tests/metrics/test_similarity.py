"""Speaker similarity: cosine, caching of voices, and what cannot be scored."""

from dataclasses import dataclass, field, replace

import pytest
import torch

from lpo_tts.errors import ConfigError
from lpo_tts.metrics import REGISTRY
from lpo_tts.metrics.base import Speech, needs_voice_copy, scale_of
from lpo_tts.metrics.similarity import SpeakerSimilarity

TURN = {1: (1.0, 0.0), 2: (0.0, 1.0), 3: (0.6, 0.8), 4: (-1.0, 0.0), 5: (float("nan"), 0.0)}


@dataclass(frozen=True)
class Planar:
    """An encoder that reads the speaker from the height of the first sample."""

    calls: list = field(default_factory=list, compare=False)
    sample_rate: int = 8000
    min_duration: float = 0.1

    def load(self, device="cpu"):
        return self

    def embed(self, audio):
        self.calls.append([waveform.numel() for waveform in audio])
        return torch.tensor([TURN[round(float(waveform[0]) * 10)] for waveform in audio])


def tone(speaker, samples=1600):
    return torch.full((samples,), speaker / 10)


def speech(speaker, voice, voice_id=None, samples=1600, voice_samples=1600):
    recording = None if voice is None else tone(voice, voice_samples)
    return Speech(
        id="x",
        audio=tone(speaker, samples),
        sample_rate=8000,
        text="",
        voice=recording,
        voice_sample_rate=8000,
        voice_id=voice_id,
    )


def test_value_is_the_cosine():
    loaded = SpeakerSimilarity(Planar()).load()
    values = [judgement.value for judgement in loaded.judge([speech(1, 1), speech(1, 2), speech(3, 1), speech(4, 1)])]
    assert values == pytest.approx([1.0, 0.0, 0.6, -1.0])


def test_a_voice_is_embedded_once():
    encoder = Planar()
    loaded = SpeakerSimilarity(encoder).load()
    first = loaded.judge([speech(1, 3, "v"), speech(2, 3, "v")])
    second = loaded.judge([speech(3, 3, "v")])
    assert [judgement.value for judgement in first + second] == pytest.approx([0.6, 0.8, 1.0])
    assert encoder.calls == [[1600], [1600, 1600], [1600]]
    assert first[0].detail == {"voice_id": "v"}


def test_batches_are_sorted_by_length_and_come_back_in_order():
    encoder = Planar()
    judgements = (
        SpeakerSimilarity(encoder, batch_size=2)
        .load()
        .judge([speech(1, 1, "v", 1800), speech(2, 1, "v", 900), speech(3, 1, "v")])
    )
    assert [judgement.value for judgement in judgements] == pytest.approx([1.0, 0.0, 0.6])
    assert encoder.calls == [[1600], [900, 1600], [1800]]


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (speech(1, None), "there is no recording of the voice"),
        (speech(1, 1, samples=400), "the audio is too short: 0.05 s, at least 0.1 s are needed"),
        (speech(1, 1, voice_samples=400), "the voice is too short: 0.05 s, at least 0.1 s are needed"),
        (speech(0, 1), "the audio is silent"),
        (speech(float("nan"), 1), "the audio holds NaN or infinity"),
    ],
)
def test_what_cannot_be_scored_says_why(item, reason):
    encoder = Planar()
    judgement = SpeakerSimilarity(encoder).load().judge([item])[0]
    assert judgement.value is None
    assert judgement.detail == {"reason": reason}
    assert encoder.calls == []


def test_an_encoder_that_gives_nan_has_no_value_and_is_no_perfect_match():
    judgements = SpeakerSimilarity(Planar()).load().judge([speech(5, 1), speech(1, 5), speech(1, 1)])
    assert [judgement.value for judgement in judgements] == [None, None, 1.0]
    assert judgements[0].detail == {"reason": "the encoder gave a vector with NaN or infinity"}


def test_settings():
    with pytest.raises(ConfigError, match="batch_size must be at least 1, found 0"):
        SpeakerSimilarity(Planar(), batch_size=0)
    assert REGISTRY.get("similarity") is SpeakerSimilarity
    assert SpeakerSimilarity.higher_is_better is True


def test_the_codec_copy_of_the_voice_takes_the_place_of_the_original():
    item = replace(speech(1, 2, "v"), voice_copy=tone(3), voice_copy_sample_rate=8000)
    original, copy = SpeakerSimilarity(Planar()), SpeakerSimilarity(Planar(), to="codec_copy")
    assert [metric.load().judge([item])[0].value for metric in (original, copy)] == pytest.approx([0.0, 0.6])
    assert not needs_voice_copy(original)
    assert needs_voice_copy(copy)
    assert copy.load().judge([speech(1, 2)])[0].detail == {"reason": "there is no codec copy of the voice"}


def test_both_similarities_have_names_of_their_own():
    original, copy = (scale_of(SpeakerSimilarity(Planar(), to=to)) for to in ("original", "codec_copy"))
    assert (original.title, original.short) == ("speaker similarity", "SIM-o")
    assert (copy.title, copy.short) == ("speaker similarity to the codec copy", "SIM-r")
    assert scale_of(replace(SpeakerSimilarity(Planar(), to="codec_copy"), to="original")).short == "SIM-o"
    assert scale_of(SpeakerSimilarity).short == "SIM-o"
