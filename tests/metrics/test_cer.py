"""Character error rate by a recogniser that says what it is told to."""

import pytest
import torch

from lpo_tts.errors import ConfigError
from lpo_tts.metrics import REGISTRY
from lpo_tts.metrics.base import Speech, scale_of, weight_of
from lpo_tts.metrics.cer import CharacterErrorRate
from lpo_tts.metrics.wer import WordErrorRate


class Told:
    """Hears what it was given."""

    sample_rate = 16000

    def __init__(self, text):
        self.text = text

    def load(self, device="cpu"):
        return self

    def transcribe(self, audio, language="en"):
        return [self.text] * len(audio)


def judge(text, heard, normaliser, language):
    speech = Speech(id="a", audio=torch.ones(16000), sample_rate=16000, text=text, language=language)
    (judgement,) = CharacterErrorRate(Told(heard), normaliser).load().judge([speech])
    return judgement


def test_characters_are_counted():
    found = judge("こんにちは、世界", "こんにちわ世", "characters", "ja")
    assert (found.value, found.weight) == (2 / 7, 7)
    assert (found.detail["substitutions"], found.detail["deletions"], found.detail["insertions"]) == (1, 1, 0)
    assert judge("안녕 하세요", "안녕하세요.", "characters", "ko").value == 0.0


def test_chinese_in_either_script_and_either_kind_of_number():
    pytest.importorskip("opencc", reason="the package opencc is not installed")
    assert judge("我們有25個iPhone", "我们有二十五个 iphone。", "chinese", "zh").value == 0.0
    found = judge("打开wifi", "打开WiFi吗", "chinese", "zh")
    assert (found.value, found.weight) == (1 / 3, 3)


def test_it_says_what_it_counts():
    scale = scale_of(CharacterErrorRate(Told("")))
    assert (scale.title, scale.short, scale.counts) == ("character error rate", "CER", "character")
    assert scale.is_ratio
    assert not scale.higher_is_better
    assert weight_of(CharacterErrorRate(Told("")), "世界 a", "zh") == 3
    assert scale_of(WordErrorRate(Told(""))).short == "WER"
    assert REGISTRY.get("cer") is CharacterErrorRate


def test_a_rule_that_counts_words_is_refused():
    with pytest.raises(ConfigError, match=r"divides a text into characters \(characters, chinese\), found 'basic'"):
        CharacterErrorRate(Told(""), "basic")
