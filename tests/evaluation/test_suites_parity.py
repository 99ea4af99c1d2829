"""Parity with seed-tts-eval: our whole counting against its published rule, written anew here; its input of audio, step by step.

The rule is that of run_wer.py and average_wer.py. Nothing here calls our normaliser, or jiwer.
"""

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from torch import Tensor
from transcripts import TRANSCRIPTS

from evaluation import suites
from lpo_tts import audio
from lpo_tts.asr.paraformer import converter
from lpo_tts.comparison.candidates import JudgedCandidate
from lpo_tts.comparison.summary import summarise
from lpo_tts.judging import Clip, Panel, role_of
from lpo_tts.metrics.base import Speech
from lpo_tts.metrics.similarity import SpeakerSimilarity
from lpo_tts.metrics.wer import WordErrorRate
from lpo_tts.records import Prompt

# What `zhon.hanzi.punctuation` of zhon 2 holds.
CHINESE = (
    "＂＃＄％＆＇（）＊＋，－／：；＜＝＞＠［＼］＾＿｀｛｜｝～｟｠｢｣､\u3000、〃〈〉《》"
    "「」『』【】〔〕〖〗〘〙〚〛〜〝〞〟〰〾〿–—‘’‛“”„‟…‧﹏﹑﹔·！？｡。．"
)


def published_words(text: str, language: str) -> list[str]:
    """The words that the published script counts."""
    for char in CHINESE + string.punctuation:
        if char != "'":
            text = text.replace(char, "")
    text = text.replace("  ", " ")
    text = " ".join(text) if language == "zh" else text.lower()
    text = re.sub(r"\s\s+", " ", text).strip()  # as the counter of that time begins
    return [word for word in text.split(" ") if word]


def edits(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """Fewest substitutions, deletions and insertions, by plain dynamic programming."""
    row = list(range(len(hypothesis) + 1))
    for number, word in enumerate(reference, 1):
        before, row[0] = row[0], number
        for place, other in enumerate(hypothesis, 1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (word != other))
    return row[-1]


def published_wer(language: str, text: str, heard: str) -> float:
    reference = published_words(text, language)
    return edits(reference, published_words(heard, language)) / len(reference)


def published_mean(rows) -> float:
    """What the published script prints: files that are missing are left out."""
    return round(float(np.mean([published_wer(*row) for row in rows if row[2] is not None])) * 100, 3)


@dataclass(frozen=True)
class Recorded:
    """A recogniser that has heard everything before: a waveform's first sample is the number of its transcript."""

    texts: tuple[str, ...] = ()
    sample_rate: int = field(default=16000)

    def load(self, device: str = "cpu") -> "Recorded":
        return self

    def transcribe(self, waveforms: Sequence[Tensor], language: str = "en") -> list[str]:
        return [self.texts[round(float(one[0]) * 1000)] for one in waveforms]


def reported(suite, language):
    """The report of our whole chain on the transcripts of a language: the suite's metric, panel, comparison."""
    rows = [row for row in TRANSCRIPTS if row[0] == language]
    metric = replace(suite.evaluate.judges["judge-wer"].metric, recogniser=Recorded(tuple(row[2] or "" for row in rows)))
    clips = [
        Clip(
            id=f"p{number}",
            prompt=Prompt(id=f"p{number}", text=text, language=language),
            audio=None if heard is None else torch.full((16000,), number / 1000),
            sample_rate=16000,
        )
        for number, (_, text, heard) in enumerate(rows)
    ]
    judged = Panel({"judge-wer": metric}).judge(clips)["judge-wer"]
    candidates = [
        JudgedCandidate(
            system="a",
            prompt_id=clip.id,
            seed=0,
            text=clip.prompt.text,
            missing=clip.audio is None,
            judgements={"judge-wer": one},
        )
        for clip, one in zip(clips, judged, strict=True)
    ]
    roles = [role_of(metric, "judge-wer", "judge", "WER")]
    return rows, judged, summarise(candidates, roles, average=suite.evaluate.average, num_resamples=40)


@pytest.mark.parametrize(("name", "language"), [("seed-tts-eval-en", "en"), ("seed-tts-eval-zh", "zh")])
def test_the_headline_is_the_published_number_to_all_printed_digits(name, language):
    rows, _, report = reported(suites.load(name, "parity"), language)
    found = report.results["a"].metrics["judge-wer"]
    assert round(found.mean_utterance_wer_evaluated.estimate * 100, 3) == published_mean(rows)
    # The figure beside it counts what is missing, as all words deleted.
    counted = np.mean([1.0 if heard is None else published_wer(own, text, heard) for own, text, heard in rows])
    assert round(found.mean_utterance_wer.estimate * 100, 3) == round(float(counted) * 100, 3)
    assert (found.asked, found.missing) == (len(rows), sum(row[2] is None for row in rows))


@pytest.mark.parametrize(("name", "language"), [("seed-tts-eval-en", "en"), ("seed-tts-eval-zh", "zh")])
def test_every_utterance_has_the_published_value(name, language):
    rows, judged, _ = reported(suites.load(name, "parity"), language)
    assert len(rows) >= 20
    for row, one in zip(rows, judged, strict=True):
        if row[2] is not None:
            assert one.value == pytest.approx(published_wer(*row), abs=1e-12), row
            assert one.weight == len(published_words(row[1], language)), row


def test_the_transcripts_hold_what_is_hard():
    values = [published_wer(*row) for row in TRANSCRIPTS if row[2] is not None]
    assert sum(value > 1 for value in values) >= 3, "more than 100 %"
    assert sum(value == 1 for value in values) >= 3, "nothing heard"
    assert sum(value == 0 for value in values) >= 8
    assert sum(0 < value < 1 for value in values) >= 15


def test_f5_tts_drops_apostrophes_too():
    suite = suites.load("librispeech-pc", "f5-tts")
    rows, judged, _ = reported(suite, "en")
    for (_, text, heard), one in zip(rows, judged, strict=True):
        if heard is not None:
            expected = published_wer("en", text.replace("'", ""), heard.replace("'", ""))
            assert one.value == pytest.approx(expected, abs=1e-12), text


@dataclass
class Heard:
    """A recogniser and a speaker encoder that keep what they are given."""

    waveforms: list[Tensor] = field(default_factory=list)
    sample_rate: int = 16000
    min_duration: float = 0.06

    def load(self, device: str = "cpu") -> "Heard":
        return self

    def transcribe(self, waveforms: Sequence[Tensor], language: str = "en") -> list[str]:
        self.waveforms += waveforms
        return ["x" for _ in waveforms]

    def embed(self, waveforms: Sequence[Tensor]) -> Tensor:
        self.waveforms += waveforms
        return torch.nn.functional.normalize(torch.stack([one[:8] for one in waveforms]), dim=-1)


@pytest.fixture
def speech():
    generator = torch.Generator().manual_seed(0)
    wave, voice = (torch.randn(length, generator=generator) * 0.1 for length in (24000 * 2, 48000))
    return Speech(id="a", audio=wave, sample_rate=24000, text="x", voice=voice, voice_sample_rate=48000, voice_id="v")


def test_the_suite_gives_its_recogniser_what_the_script_gives_whisper(speech):
    heard = Heard()
    metric = replace(suites.load("seed-tts-eval-en", "parity").evaluate.judges["judge-wer"].metric, recogniser=heard)
    metric.load().judge([speech])
    assert isinstance(metric, WordErrorRate)
    assert torch.equal(heard.waveforms[0], audio.resample(speech.audio, 24000, 16000, "fourier"))


def test_similarity_is_the_cosine_of_both_whole_recordings_at_16_khz(speech):
    heard = Heard()
    metric = replace(suites.load("seed-tts-eval-en", "parity").evaluate.judges["judge-similarity"].metric, encoder=heard)
    assert isinstance(metric, SpeakerSimilarity)
    (judged,) = metric.load().judge([speech])
    voice, wave = heard.waveforms
    assert torch.equal(voice, audio.resample(speech.voice, 48000, 16000, "sinc")), "not cut at either end"
    assert torch.equal(wave, audio.resample(speech.audio, 24000, 16000, "sinc"))
    expected = torch.nn.functional.cosine_similarity(wave[None, :8], voice[None, :8])
    assert judged.value == pytest.approx(float(expected), abs=1e-6)


def test_a_hypothesis_is_written_in_simplified_characters_and_the_text_is_not():
    pytest.importorskip("zhconv", reason="zhconv is not installed")
    assert converter("zh-cn")("電 腦 與 软 件") == "电 脑 与 软 件"
    assert converter(None)("電腦") == "電腦"
