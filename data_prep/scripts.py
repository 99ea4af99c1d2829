"""Which scripts a language is written in, and whether a text is written in them."""

import functools
import unicodedata
from collections import Counter

# By the first word of a letter's Unicode name. Languages that are not here are not checked.
_KANA = ("HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA")
SCRIPTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        "af bs ca cs cy da de en eo es et eu fi fr ga gl hr hu id is it lt lv ms mt nb nl nn no pl pt ro sk sl sq sv sw tl tr vi "
        "yo zu".split(),
        ("LATIN",),
    ),
    **dict.fromkeys("az kk sr uz".split(), ("LATIN", "CYRILLIC")),
    **dict.fromkeys("ab ba be bg cv ky mk mn ru tg tt uk".split(), ("CYRILLIC",)),
    **dict.fromkeys("ar ckb fa ps sd ug ur".split(), ("ARABIC",)),
    **dict.fromkeys("hi mr ne sa".split(), ("DEVANAGARI",)),
    **dict.fromkeys("as bn".split(), ("BENGALI",)),
    **dict.fromkeys("he yi".split(), ("HEBREW",)),
    **dict.fromkeys("am ti".split(), ("ETHIOPIC",)),
    **dict.fromkeys("wuu yue zh".split(), ("CJK", "IDEOGRAPHIC", "BOPOMOFO")),
    "ja": ("CJK", "IDEOGRAPHIC", *_KANA),
    "ko": ("HANGUL", "CJK"),
    "el": ("GREEK",),
    "gu": ("GUJARATI",),
    "hy": ("ARMENIAN",),
    "ka": ("GEORGIAN",),
    "km": ("KHMER",),
    "kn": ("KANNADA",),
    "lo": ("LAO",),
    "ml": ("MALAYALAM",),
    "my": ("MYANMAR",),
    "or": ("ORIYA",),
    "pa": ("GURMUKHI", "ARABIC"),
    "si": ("SINHALA",),
    "ta": ("TAMIL",),
    "te": ("TELUGU",),
    "th": ("THAI",),
}


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
    return f"{others} of {found.total()} letters are not {own[0].title()}, as language {language} is written, but {most.title()}"


def primary(language: str) -> str:
    """The first part of a language tag: "zh" of "zh-Hans_CN"."""
    return language.strip().lower().replace("_", "-").partition("-")[0]


@functools.lru_cache(maxsize=1 << 16)
def _script(char: str) -> str:
    return unicodedata.name(char, "UNKNOWN").partition(" ")[0]
