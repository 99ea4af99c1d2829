"""Voices are read and encoded once each, as one batch, and answers without codes stay silent."""

import pytest
import torch

from lpo_tts import audio
from lpo_tts.codes import Codes
from lpo_tts.errors import ArtefactError, ContractError
from lpo_tts.speaking import Voices, decode, read_voice


class Halves:
    """A codec that counts: one frame per 1000 samples, whose code is the number of the batch."""

    input_sample_rate = sample_rate = 8000
    frame_rate = 8.0
    codebook_sizes = (100,)

    def __init__(self):
        self.batches = []

    def encode(self, audio):
        self.batches.append([wave.numel() for wave in audio])
        return [Codes((torch.full((wave.numel() // 1000,), len(self.batches)),)) for wave in audio]

    def decode(self, codes):
        self.batches.append([one.num_frames for one in codes])
        return [torch.ones(one.num_frames * 1000) for one in codes]


def tone(count, rate=8000):
    return 0.1 * torch.sin(torch.arange(count) * 0.3), rate


def test_recordings_are_encoded_as_one_batch_and_known_ones_not_again(tmp_path):
    voices = Voices(Halves())
    audio.write(tmp_path / "a.wav", *tone(4000))
    given = {"a": tmp_path / "a.wav", "b": tone(6000), "c": tone(16000, 16000)}
    assert voices.add(given) == {}
    assert voices.codec.batches == [[4000, 6000, 8000]]
    (tmp_path / "a.wav").unlink()
    assert voices.add({**given, "d": tone(2000)}) == {}
    assert voices.codec.batches[1:] == [[2000]]
    assert {key: one.num_frames for key, one in voices.codes.items()} == {"a": 4, "b": 6, "c": 8, "d": 2}


def test_no_more_recordings_are_kept_than_asked_for():
    voices = Voices(Halves(), most=2)
    for name in "abc":
        voices.add({name: tone(2000)})
    assert list(voices.codes) == ["b", "c"]
    voices.add({name: tone(2000) for name in "bdef"})
    assert set(voices.codes) == set("bdef")  # those of one call are all there, however many
    voices.add({"a": tone(2000)})
    assert len(voices.codes) == 2
    assert "a" in voices.codes


def test_a_recording_without_a_voice_fails_alone_and_is_tried_again(tmp_path):
    voices = Voices(Halves())
    given = {"bad": tmp_path / "a.wav", "silent": (torch.zeros(4000), 8000), "good": tone(4000)}
    failed = voices.add(given)
    assert {key: type(error) for key, error in failed.items()} == {"bad": ArtefactError, "silent": ContractError}
    assert set(voices.codes) == {"good"}
    audio.write(tmp_path / "a.wav", *tone(4000))
    assert set(voices.add(given)) == {"silent"}
    assert set(voices.codes) == {"good", "bad"}
    assert voices.codec.batches == [[4000], [4000]]


def test_a_voice_shorter_than_a_frame_is_refused(tmp_path):
    voices = Voices(Halves())
    audio.write(tmp_path / "short.wav", *tone(999))
    failed = voices.add({"file": tmp_path / "short.wav", "wave": tone(5), "frame": tone(1000)})
    assert set(voices.codes) == {"frame"}
    words = "expected a voice of at least one frame of the codec (1000 samples at 8000 Hz), found"
    assert str(failed["file"]).startswith(f"{tmp_path / 'short.wav'}: {words} 999 samples")
    assert str(failed["wave"]).startswith(f"voice: {words} 5 samples")


def test_samples_of_any_float_type_and_numpy_are_taken():
    wave, rate = tone(4000)
    expected = read_voice((wave, rate), 8000)
    assert expected.dtype == torch.float32
    for one in (wave.double(), wave.numpy(), wave.double().numpy()):
        torch.testing.assert_close(read_voice((one, rate), 8000), expected)
    with pytest.raises(ContractError, match="mono waveform"):
        read_voice((wave[None], rate), 8000)


def test_answers_without_codes_have_no_sound():
    codec = Halves()
    found = decode([None, Codes((torch.zeros(3),)), None, Codes((torch.zeros(2),))], codec)
    assert [None if one is None else one.numel() for one in found] == [None, 3000, None, 2000]
    assert decode([None], codec) == [None]
    assert codec.batches == [[3, 2]]
