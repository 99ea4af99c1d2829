"""Numbers as they are read in Chinese."""

import sys

import pytest

from lpo_tts.chinese import integer, read_numbers, simplify
from lpo_tts.errors import ComponentError


@pytest.mark.parametrize(
    ("digits", "said"),
    [
        ("0", "零"),
        ("10", "十"),
        ("11", "十一"),
        ("20", "二十"),
        ("105", "一百零五"),
        ("110", "一百一十"),
        ("1005", "一千零五"),
        ("10005", "一万零五"),
        ("10100", "一万零一百"),
        ("12345", "一万二千三百四十五"),
        ("100500", "十万零五百"),
        ("20000000", "二千万"),
        ("100010000", "一亿零一万"),
        ("1000000001", "十亿零一"),
    ],
)
def test_whole_numbers_by_value(digits, said):
    assert integer(digits) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("有25个", "有二十五个"),
        ("2.05", "二点零五"),
        ("50%的", "百分之五十的"),
        ("1998年", "一九九八年"),
        ("1998个", "一千九百九十八个"),
        ("007", "零零七"),
        ("12345678901234567", "一二三四五六七八九零一二三四五六七"),
        ("1,200元", "一千二百元"),
        ("mp3和h264", "mp3和h264"),
        ("两只，二〇一〇", "二只，二零一零"),
    ],
)
def test_numbers_within_a_text(text, said):
    assert read_numbers(text) == said


def test_a_missing_package_is_named(monkeypatch):
    from lpo_tts import chinese

    chinese._converter.cache_clear()
    monkeypatch.setitem(sys.modules, "opencc", None)
    with pytest.raises(ComponentError, match=r"needs the package opencc .*pip install 'lpo-tts\[chinese\]'"):
        simplify("學")
