"""Word error rate: the counting, the batching and what cannot be scored."""

from dataclasses import dataclass, field

import pytest
import torch

from lpo_tts.asr.base import HeardWord, LanguageError
from lpo_tts.errors import ConfigError
from lpo_tts.metrics import REGISTRY
from lpo_tts.metrics.base import Speech
from lpo_tts.metrics.wer import WordErrorRate


@dataclass(frozen=True)
class Scripted:
    """A recogniser that reads which of its lines was said from the height of the first sample."""

    lines: tuple[str, ...]
    calls: list = field(default_factory=list, compare=False)
    sample_rate: int = 8000
    languages: tuple[str, ...] = ("en", "de", "zh")

    def load(self, device="cpu"):
        return self

    def transcribe(self, audio, language="en"):
        if language not in self.languages:
            raise LanguageError(f"scripted: expected a language of {', '.join(self.languages)}; found {language!r}")
        self.calls.append((language, [waveform.numel() for waveform in audio]))
        return [self.lines[round(float(waveform[0]) * 10)] for waveform in audio]


def said(line, text, samples=800, rate=8000, language="en"):
    return Speech(id=str(line), audio=torch.full((samples,), line / 10), sample_rate=rate, text=text, language=language)


def judge(lines, *speech, **settings):
    recogniser = Scripted(tuple(lines))
    return WordErrorRate(recogniser, **settings).load().judge(speech), recogniser.calls


def test_counts_and_value():
    judgements, _ = judge(["Gate blue seven nine nine."], said(0, "gate blue seven four"))
    assert judgements[0].value == pytest.approx(2 / 4)
    assert judgements[0].detail == {
        "hypothesis": "gate blue seven nine nine",
        "reference": "gate blue seven four",
        "hits": 3,
        "substitutions": 1,
        "deletions": 0,
        "insertions": 1,
        "num_words": 4,
    }


def test_value_is_not_clamped_and_an_empty_hypothesis_is_one():
    judgements, _ = judge(["a b c d e f", ""], said(0, "a b"), said(1, "a b c"))
    assert [judgement.value for judgement in judgements] == [2.0, 1.0]
    assert judgements[1].detail["deletions"] == 3


def test_no_samples_are_heard_as_nothing_without_asking_the_recogniser():
    judgements, calls = judge(["never"], said(0, "a b", samples=0))
    assert judgements[0].value == 1.0
    assert calls == []


def test_text_without_words_and_nan_have_no_value_and_a_reason():
    broken = Speech(id="n", audio=torch.tensor([0.0, float("nan")]), sample_rate=8000, text="a")
    judgements, calls = judge(["x"], said(0, "?!"), broken)
    assert [judgement.value for judgement in judgements] == [None, None]
    assert judgements[0].detail["reason"] == "the text '?!' has no words after normalisation (basic)"
    assert judgements[1].detail["reason"] == "the audio holds NaN or infinity"
    assert calls == []


def test_batches_are_sorted_by_length_and_by_language_and_come_back_in_order():
    speech = [said(0, "a", 900), said(1, "b", 300), said(2, "c", 600), said(3, "d", 100, language="de")]
    judgements, calls = judge(["a", "b", "x", "d"], *speech, batch_size=2)
    assert [judgement.value for judgement in judgements] == [0.0, 0.0, 1.0, 0.0]
    assert calls == [("de", [100]), ("en", [300, 600]), ("en", [900])]


def test_a_language_the_recogniser_does_not_hear_is_a_reason_and_stops_no_other_row():
    judgements, calls = judge(["a", "b", "c"], said(0, "a"), said(1, "b", language="xx"), said(2, "c"))
    assert [judgement.value for judgement in judgements] == [0.0, None, 0.0]
    assert judgements[1].detail == {"reason": "scripted: expected a language of en, de, zh; found 'xx'"}
    assert calls == [("en", [800, 800])]


def test_bracketed_words_count_and_reading_them_is_right():
    text = "the first Bible (which also was printed at Maintz)"
    read, skipped = "the first bible which also was printed at maintz", "the first bible"
    judgements, _ = judge([read, skipped], said(0, text), said(1, text), normaliser="whisper-en")
    assert [judgement.value for judgement in judgements] == [0.0, 6 / 9]
    judgements, _ = judge([read, skipped], said(0, text), said(1, text), normaliser="whisper-en-openai")
    assert [judgement.value for judgement in judgements] == [2.0, 0.0]  # why the published rule is not for building pairs


def test_what_the_recogniser_invents_counts_as_insertions():
    judgements, _ = judge(["one you thank you for watching"], said(0, "one"))
    assert judgements[0].value == 5.0
    assert judgements[0].detail["insertions"] == 5


def test_audio_is_resampled_to_what_the_recogniser_hears():
    _, calls = judge(["a"], said(0, "a", samples=1600, rate=16000))
    assert calls == [("en", [800])]


def test_characters_of_chinese():
    judgements, _ = judge(["你 好 世 间"], said(0, "你好，世界。", language="zh"), normaliser="characters")
    assert judgements[0].value == pytest.approx(1 / 4)


def test_nothing_in_nothing_out():
    assert judge([])[0] == []


def test_settings_are_checked():
    with pytest.raises(ConfigError, match="normaliser: expected one of"):
        WordErrorRate(Scripted(()), normaliser="none")
    with pytest.raises(ConfigError, match="batch_size must be at least 1, found 0"):
        WordErrorRate(Scripted(()), batch_size=0)
    assert REGISTRY.get("wer") is WordErrorRate
    assert WordErrorRate.higher_is_better is False


@dataclass(frozen=True)
class Timed(Scripted):
    """Hears each word for 0.02 s, one after the other."""

    def transcribe_timed(self, audio, language="en"):
        lines = self.transcribe(audio, language)
        return [tuple(HeardWord(word, 0.02 * n, 0.02 * (n + 1)) for n, word in enumerate(line.split())) for line in lines]


def test_times_say_where_each_word_was_right_or_wrong():
    metric = WordErrorRate(Timed(("Gate nine four", "")), times=True).load()
    wrong, silent = metric.judge([said(0, "gate seven four"), said(1, "gate")])
    assert wrong.detail["hypothesis"] == "gate nine four"
    assert wrong.detail["spots"] == [
        ["hit", "gate", "gate", 0.0, 0.02],
        ["substitution", "seven", "nine", 0.02, 0.04],
        ["hit", "four", "four", 0.04, 0.06],
    ]
    assert silent.detail["spots"] == [["deletion", "gate", "", 0.0, 0.1]]


def test_times_need_a_recogniser_that_knows_them():
    with pytest.raises(ConfigError, match="transcribe_timed"):
        WordErrorRate(Scripted(()), times=True).load()
