"""Texts made comparable."""

import subprocess
import sys

import pytest

from lpo_tts.errors import ConfigError
from lpo_tts.text import NORMALISERS, check_normaliser, normalise


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


def test_whisper_en():
    assert normalise("It's twenty-five dollars, uh, Mr. Smith", "whisper-en") == "it is $25 mister smith"
    assert normalise("...", "whisper-en") == ""


@pytest.mark.parametrize("normaliser", NORMALISERS)
def test_every_normaliser_takes_nothing_and_gives_single_spaces(normaliser):
    assert normalise("  ?! ", normaliser) == ""
    assert "  " not in normalise(" a   b \n c -- d ", normaliser)


def test_unknown_normaliser_is_refused():
    with pytest.raises(ConfigError, match=r"expected one of basic, whisper-en, seed-tts, characters, found 'whisper'"):
        normalise("a", "whisper")
    check_normaliser("basic")


def test_nothing_heavy_is_imported():
    code = (
        "import sys, lpo_tts.text as t; t.normalise('a'); assert 'transformers' not in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
