"""Texts made comparable."""

import subprocess
import sys

import pytest

from lpo_tts.errors import ConfigError
from lpo_tts.text import NORMALISER_VERSIONS, NORMALISERS, check_normaliser, describe, normalise, normaliser_for


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Gate  blue, SEVEN-four\ttwo.", "gate blue seven four two"),
        ("Don't you 'quote' the dogs' bones?", "don't you quote the dogs bones"),
        ("It’s ﬁne — №5", "it's fine no5"),
        ("Où est l'été ?", "où est l'été"),
        ("... !", ""),
        ("", ""),
    ],
)
def test_basic(text, expected):
    assert normalise(text) == expected
    assert normalise(expected) == expected


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("A well-known fact,  isn't it?", "en", "a wellknown fact isn't it"),
        ("Chapter 12: “Hello”…", "en", "chapter 12 hello"),
        ("你好，世界。Hi", "zh", "你 好 世 界 H i"),
    ],
)
def test_seed_tts_follows_the_published_rule(text, language, expected):
    assert normalise(text, "seed-tts", language) == expected


def test_characters():
    assert normalise("你好，世界 OK。", "characters") == "你 好 世 界 o k"
    assert normalise("１２。", "characters") == "1 2"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("學習電腦，頭髮發展。", "学 习 电 脑 头 发 发 展"),
        ("我有２個iPhone，don't了！", "我 有 二 个 iphone don't 了"),
        ("我有两个", "我 有 二 个"),
        ("一九九八年", "一 九 九 八 年"),
        ("１９９８年", "一 九 九 八 年"),
        ("MP3，1,200元", "mp3 一 千 二 百 元"),
        ("3.5％", "百 分 之 三 点 五"),
    ],
)
def test_chinese(text, expected):
    pytest.importorskip("opencc", reason="the package opencc is not installed")
    assert normalise(text, "chinese", "zh") == expected
    assert normalise(expected, "chinese", "zh") == expected


def test_auto_takes_the_rule_of_the_language():
    pytest.importorskip("opencc", reason="the package opencc is not installed")
    chosen = {"en-US": "whisper-en", "zh_TW": "chinese", "yue": "chinese", "ja": "characters", "KO": "characters", "de": "basic"}
    for language, rule in chosen.items():
        assert normaliser_for(language) == rule
        for text in ("It's 25, Mr. Smith", "学习 25 テスト", "한국어 말"):
            assert normalise(text, "auto", language) == normalise(text, rule, language)
    # Whoever changes one of these versions changes that of `auto` too.
    assert [describe(rule) for rule in ("auto", "whisper-en", "chinese", "characters", "basic")] == [
        "auto 1",
        "whisper-en 2",
        "chinese 1",
        "characters 1",
        "basic 1",
    ]


def test_whisper_en():
    assert normalise("It's twenty-five dollars, uh, Mr. Smith", "whisper-en") == "it is $25 mister smith"
    assert normalise("...", "whisper-en") == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dated (which also was printed)", "dated which also was printed"),
        ("[A] <laugh> {b} （c）", "a laugh b c"),
        ("(Whole sentence.)", "whole sentence"),
        ("a < b and c > d", "a b and c d"),
        ("Wait.. no… 5", "wait no 5"),
        ("R&D @ 5 + 5 = 10", "r and d at 5 +5 equals 10"),
        ("-5 °C, 25 mm", "-5 degrees celsius 25 millimeters"),
        ("5 % of 5 € or $ 5, not ¥500", "5% of €5 or $5 not 500 yen"),
        ("25 and a half", "25.5"),
        ("No.5, etc.", "no 5 et cetera"),
        ("Hm, mhm, umm, uhh", ""),
        ("I don’t", "i do not"),
    ],
)
def test_whisper_en_deletes_no_spoken_word(text, expected):
    assert normalise(text, "whisper-en") == expected


@pytest.mark.parametrize(
    ("written", "spelled"),
    [
        ("7-4-2", "seven four two"),
        ("between 100 and 200", "between 100 200"),
        ("in 1990, 25 people", "in nineteen ninety twenty five people"),
        ("May 5, 2000", "may five two thousand"),
        ("at 7:05", "at seven oh five"),
        ("24/7", "twenty four seven"),
        ("twenty-five and a half", "25.5"),
        ("one, two, three", "1 2 3"),
        ("1,200,000", "one million two hundred thousand"),
        ("$2.50", "two dollars and fifty cents"),
        ("5 $20", "five twenty dollars"),
    ],
)
def test_whisper_en_counts_digits_and_spelled_numbers_alike(written, spelled):
    assert normalise(written, "whisper-en") == normalise(spelled, "whisper-en")


def test_words_between_numbers_keep_them_apart():
    assert normalise("5 and 6 or 100 and more, one of 3", "whisper-en") == "5 and 6 or 100 and more one of 3"


def test_the_published_rule_stays_available_untouched():
    from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

    published = EnglishTextNormalizer({})
    for text in ("A (b) [c] <d> e", "7-4-2, 5 % & -5 mm", "It's twenty-five dollars, Mr. Smith", "wait.. 1990s don’t"):
        assert normalise(text, "whisper-en-openai") == " ".join(published(text).split())
    assert normalise("A (b) [c]", "whisper-en-openai") == "a"


@pytest.mark.slow
def test_a_number_of_thousands_of_digits_is_text_as_any_other():
    for normaliser in NORMALISERS:
        assert normalise("7" * 9000 + " " + "7," * 9000, normaliser)


def test_every_normaliser_has_a_version():
    assert describe("whisper-en") == "whisper-en 2"
    assert describe("basic") == "basic 1"
    assert tuple(NORMALISER_VERSIONS) == NORMALISERS
    with pytest.raises(ConfigError, match="found 'loud'"):
        describe("loud")


@pytest.mark.parametrize("normaliser", NORMALISERS)
def test_every_normaliser_takes_nothing_and_gives_single_spaces(normaliser):
    assert normalise("  ?! ", normaliser) == ""
    assert "  " not in normalise(" a   b \n c -- d ", normaliser)


def test_unknown_normaliser_is_refused():
    with pytest.raises(
        ConfigError,
        match=r"one of basic, whisper-en, whisper-en-openai, seed-tts, f5-tts, characters, chinese, auto, found 'whisper'",
    ):
        normalise("a", "whisper")
    check_normaliser("basic")


def test_nothing_heavy_is_imported():
    code = (
        "import sys, lpo_tts.text as t; t.normalise('a'); assert 'transformers' not in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
