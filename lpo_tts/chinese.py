"""Chinese written one way: simplified characters, and numbers as they are read aloud."""

import functools
import importlib
import re
from collections.abc import Callable

from lpo_tts.errors import ComponentError

_DIGITS = "零一二三四五六七八九"
_SMALL = ("", "十", "百", "千")
_LARGE = ("", "万", "亿", "万亿")
LONGEST = 16  # digits of a number that is read by its value; a longer one is read digit by digit

_YEAR = re.compile(r"(?<![\d.])(\d{4})(?=\s*年)")
_GROUPED = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_NUMBER = re.compile(r"(?<![a-z\d])(\d+)(?:\.(\d+))?\s*(%?)(?![a-z\d])")


def simplify(text: str) -> str:
    """Traditional characters to simplified ones, phrase by phrase where one character has several (OpenCC's `t2s`).

    Raises:
        ComponentError: the package opencc is missing.
    """
    return _converter()(text)


def read_numbers(text: str) -> str:
    """Arabic numbers as they are read aloud: "25" as 二十五, "3.5" as 三点五, "50%" as 百分之五十, "1998年" as 一九九八年.

    What begins with 0 or has more than 16 digits is read digit by digit. Numbers that touch Latin letters ("mp3") stay. A
    text is lower case, in half-width characters (NFKC). 两 becomes 二 and 〇 becomes 零, since digits do not tell them
    apart. Telephone numbers, fractions, dates with dashes and times with colons are not known as such: each of their
    numbers is read by its value.
    """
    text = _GROUPED.sub(lambda found: found[0].replace(",", ""), text)
    text = _YEAR.sub(lambda found: _one_by_one(found[1]), text)
    text = _NUMBER.sub(_read, text)
    return text.replace("两", "二").replace("〇", "零")


def integer(digits: str) -> str:
    """The reading of a whole number: "10" as 十, "105" as 一百零五, "20000" as 二万."""
    digits = digits.lstrip("0") or "0"
    groups = []  # of four digits, the smallest first
    while digits:
        digits, group = digits[:-4], digits[-4:]
        groups.append(group)
    parts: list[str] = []
    gap = False  # whether zeros lie between what was said and what comes
    for place in range(len(groups) - 1, -1, -1):
        value = int(groups[place])
        if not value:
            gap = bool(parts)
            continue
        if parts and (gap or value < 1000):
            parts.append("零")
        parts.append(_four(value) + _LARGE[place])
        gap = False
    said = "".join(parts) or "零"
    return said[1:] if said.startswith("一十") else said


def _four(value: int) -> str:
    """1 to 9999."""
    said, gap = "", False
    for place in (3, 2, 1, 0):
        digit = value // 10**place % 10
        if digit:
            said += ("零" if gap and said else "") + _DIGITS[digit] + _SMALL[place]
        gap = not digit
    return said


def _read(found: re.Match[str]) -> str:
    whole, fraction, percent = found.groups()
    by_value = len(whole) <= LONGEST and (whole == "0" or not whole.startswith("0"))
    said = integer(whole) if by_value else _one_by_one(whole)
    if fraction:
        said += "点" + _one_by_one(fraction)
    return f"百分之{said}" if percent else said


def _one_by_one(digits: str) -> str:
    return "".join(_DIGITS[int(digit)] for digit in digits)


@functools.cache
def _converter() -> Callable[[str], str]:
    try:
        package = importlib.import_module("opencc")
    except ImportError as error:
        raise ComponentError(
            f"the normaliser chinese needs the package opencc ({error}); install it: pip install 'lpo-tts[chinese]'"
        ) from error
    return package.OpenCC("t2s").convert
