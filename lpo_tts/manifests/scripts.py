"""Which scripts a language is written in, and whether a text is written in them."""

import functools
import unicodedata
from collections import Counter

# Scripts by the first word of a letter's Unicode name, and the languages (ISO 639) that are written in them. A language that
# is not here is not checked.
_KANA = ("HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA")
_WRITTEN: dict[tuple[str, ...], str] = {
    ("LATIN",): "af bs ca cs cy da de en eo es et eu fi fr ga gl hr hu id is it lt lv ms mt nb nl nn no pl pt ro sk sl so sq sv "
    "sw tl tr vi yo zu",
    ("CYRILLIC",): "ab ba be bg cv ky mk mn ru tg tt uk",
    ("CYRILLIC", "LATIN"): "az kk sr uz",
    ("ARABIC",): "ar ckb fa ps sd ug ur",
    ("DEVANAGARI",): "hi mr ne sa",
    ("CJK", "IDEOGRAPHIC", "BOPOMOFO"): "wuu yue zh",
    ("CJK", "IDEOGRAPHIC", *_KANA): "ja",
    ("HANGUL", "CJK"): "ko",
    ("BENGALI",): "as bn",
    ("HEBREW",): "he yi",
    ("ETHIOPIC",): "am ti",
    ("GREEK",): "el",
    ("GUJARATI",): "gu",
    ("ARMENIAN",): "hy",
    ("GEORGIAN",): "ka",
    ("KHMER",): "km",
    ("KANNADA",): "kn",
    ("LAO",): "lo",
    ("MALAYALAM",): "ml",
    ("MYANMAR",): "my",
    ("ORIYA",): "or",
    ("GURMUKHI", "ARABIC"): "pa",
    ("SINHALA",): "si",
    ("TAMIL",): "ta",
    ("TELUGU",): "te",
    ("THAI",): "th",
}
SCRIPTS = {language: scripts for scripts, languages in _WRITTEN.items() for language in languages.split()}


def other_script(text: str, language: str) -> str | None:
    """Why most letters of a text are not of its language's script, as a reason; None = they are, or nobody knows.

    Args:
        text: any text; digits, punctuation and marks do not count.
        language: such as "zh" or "zh-CN".
    """
    own = SCRIPTS.get(primary(language))
    if own is None:
        return None
    found = Counter(_script(char) for char in unicodedata.normalize("NFKC", text) if char.isalpha())
    others = found.total() - sum(found[script] for script in own)
    if 2 * others <= found.total():
        return None
    most = max((script for script in found if script not in own), key=lambda script: found[script])
    return f"{others} of {found.total()} letters are not {_name(own[0])}, as language {language} is written, but {_name(most)}"


def _name(script: str) -> str:
    return "Chinese" if script == "CJK" else script.title()


def primary(language: str) -> str:
    """The first part of a language tag: "zh" of "zh-Hans_CN"."""
    return language.strip().lower().replace("_", "-").partition("-")[0]


@functools.lru_cache(maxsize=1 << 16)
def _script(char: str) -> str:
    return unicodedata.name(char, "UNKNOWN").partition(" ")[0]
