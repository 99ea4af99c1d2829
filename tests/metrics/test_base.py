"""What no metric can measure, and that none of them fails on it."""

from dataclasses import dataclass

import pytest
import torch

from lpo_tts.asr.base import HeardWord
from lpo_tts.audio import unmeasurable
from lpo_tts.metrics import REGISTRY
from lpo_tts.metrics.base import Speech
from lpo_tts.metrics.cer import CharacterErrorRate
from lpo_tts.metrics.duration import Duration
from lpo_tts.metrics.ending import Ending
from lpo_tts.metrics.pauses import Pauses
from lpo_tts.metrics.repetition import Repetition
from lpo_tts.metrics.similarity import SpeakerSimilarity
from lpo_tts.metrics.speaking_rate import SpeakingRate
from lpo_tts.metrics.wer import WordErrorRate
from lpo_tts.testing import BAD, check_metric
from tests.judge_server import JudgeServer, Reply

GOOD = 0.1 * torch.sin(torch.arange(16000) / 5)


@dataclass(frozen=True)
class Strict:
    """Recogniser and encoder that fail on what a model fails on."""

    sample_rate: int = 16000
    min_duration: float = 0.1

    def load(self, device="cpu"):
        return self

    def transcribe(self, audio, language="en"):
        assert all(waveform.numel() and bool(torch.isfinite(waveform).all()) for waveform in audio)
        return ["a"] * len(audio)

    def transcribe_timed(self, audio, language="en"):
        return [(HeardWord(text, 0.0, 0.5),) for text in self.transcribe(audio, language)]

    def embed(self, audio):
        assert all(waveform.numel() >= 1600 and bool(waveform.abs().max() > 0) for waveform in audio)
        return torch.tensor([[1.0, 0.0]] * len(audio))


def dnsmos():
    pytest.importorskip("onnxruntime")
    pytest.importorskip("speechmos")
    from lpo_tts.metrics.dnsmos import DNSMOS

    return DNSMOS()


def http():
    from lpo_tts.metrics.http import HttpMetric

    server = JudgeServer(lambda question: Reply({"value": 3.0}))  # its thread ends with the tests
    return HttpMetric(url=server.url, higher_is_better=True)


def pitch_spread():
    pytest.importorskip("librosa")
    from lpo_tts.metrics.pitch_spread import PitchSpread

    return PitchSpread()


# Each has a test file of its own, since it takes a package or weights that may not be there.
ELSEWHERE = {"audiobox", "distillmos", "nisqa", "utmos"}
METRICS = {
    "cer": lambda: CharacterErrorRate(Strict()),
    "http": http,
    "wer": lambda: WordErrorRate(Strict()),
    "similarity": lambda: SpeakerSimilarity(Strict()),
    "duration": Duration,
    "ending": lambda: Ending(Strict()),
    "pauses": lambda: Pauses(Strict()),
    "pitch_spread": pitch_spread,
    "repetition": lambda: Repetition(Strict()),
    "speaking_rate": lambda: SpeakingRate(Strict()),
    "dnsmos": dnsmos,
}


def test_every_metric_of_the_family_is_checked_here():
    assert set(METRICS) | ELSEWHERE == set(REGISTRY)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.slow
def test_no_waveform_stops_a_metric_and_every_missing_value_has_its_reason(metric):
    check_metric(METRICS[metric]())


@pytest.mark.parametrize("voice", BAD)
def test_no_voice_stops_the_similarity(voice):
    speech = Speech(id="a", audio=GOOD, sample_rate=16000, text="a", voice=BAD[voice], voice_sample_rate=16000, voice_id=voice)
    judgement = SpeakerSimilarity(Strict()).load().judge([speech])[0]
    assert judgement.value is None
    assert judgement.detail["reason"].startswith("the voice ")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("empty", "the voice is too short: 0.00 s, at least 0.5 s are needed"),
        ("silent", "the voice is silent"),
        ("one click", "the voice is silent"),
        ("one nan", "the voice holds NaN or infinity"),
        ("infinite", "the voice holds NaN or infinity"),
    ],
)
def test_the_reason_says_what_is_wrong_with_which_waveform(name, reason):
    assert unmeasurable(BAD[name], 16000, 0.5, "voice") == reason
    assert unmeasurable(GOOD, 16000, 0.5) is None


def test_clips_of_one_call_are_judged_at_their_own_sample_rates():
    speech = [Speech(id=str(rate), audio=GOOD, sample_rate=rate, text="a") for rate in (8000, 16000, 48000)]
    assert [judgement.value for judgement in Duration().load().judge(speech)] == pytest.approx([2.0, 1.0, 1 / 3])
