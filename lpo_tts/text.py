"""Text made comparable: what is asked for and what was heard are written the same way before words are counted."""

import functools
import re
import string
import unicodedata
from collections.abc import Callable

from lpo_tts import chinese
from lpo_tts.errors import ConfigError

# The version of `auto` grows with that of every rule that it chooses.
NORMALISER_VERSIONS = {
    "basic": 1,
    "whisper-en": 2,
    "whisper-en-openai": 1,
    "seed-tts": 2,
    "f5-tts": 1,
    "characters": 1,
    "chinese": 1,
    "auto": 1,
}
NORMALISERS = tuple(NORMALISER_VERSIONS)

_APOSTROPHES = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "`": "'"})
_OUTER_APOSTROPHE = re.compile(r"(?<!\w)'+|'+(?!\w)")

_BY_LANGUAGE = {"en": "whisper-en", "zh": "chinese", "yue": "chinese"} | dict.fromkeys(
    ("ja", "ko", "th", "lo", "my", "km", "bo"), "characters"
)
_HAN = "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"  # Chinese characters, 々 and 〇
# One Chinese character, or a word of another script; combining marks belong to the word.
_HAN_OR_WORD = re.compile(rf"[{_HAN}]|(?:(?![{_HAN}_])(?:\w|['\u0300-\u036f]))+")

# The Chinese punctuation that seed-tts-eval removes (the set `zhon.hanzi.punctuation` of zhon 2; zhon 1 lacks U+FF0E), as code
# points.
_HANZI_PUNCTUATION = (
    "\u00b7\u2013\u2014\u2018\u2019\u201b-\u201f\u2026\u2027\u3000-\u3003\u3008-\u3011\u3014-\u301f\u3030\u303e\u303f\ufe4f\ufe51\ufe54"
    "\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff64"
)
_SEED_TTS_REMOVED = re.compile(f"[{_HANZI_PUNCTUATION}{re.escape(string.punctuation.replace(chr(39), ''))}]")
_SPACES = re.compile(r"\s\s+")

# Whisper's rule deletes what stands in these; other brackets it turns into spaces itself.
_BRACKETS = str.maketrans(dict.fromkeys("()[]<>", " "))
# What a reader says aloud and Whisper's rule deletes, or writes in one way for digits and in another for words. The text
# is lower case and has no brackets.
_SPOKEN: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"(?<=\d)\s*mm\b", " millimeters"),  # elsewhere "mm" is a hesitation
        (r"\b(?:h+m+|m+h*m+|u+h*m+|u+h+)\b", " "),  # Whisper's hesitations, in every spelling of theirs
        (r"\betc\b", "et cetera"),
        (r"&", " and "),
        (r"@", " at "),
        (r"\+", " plus "),
        (r"=", " equals "),
        (r"×", " times "),
        (r"°\s*c\b", " degrees celsius"),
        (r"°\s*f\b", " degrees fahrenheit"),
        (r"°", " degrees "),
        (r"#\s*(?=\d)", " number "),
        (r"¥\s*(\d(?:[\d,.]*\d)?)", r"\1 yen"),
        (r"…|\.{2,}", " "),  # Whisper's rule takes "…5" for a number, and may keep a full stop as a word
        (r"(?<![\w%°$€£¢-])[-−](?=[$€£¢.]?\d)", " minus "),
        (r"(?<=\d)\s+%", "%"),
        (r"(?<=[$€£¢])\s+(?=\d)", ""),
        (r"(?<![\w$€£¢.,])(\d(?:[\d,.]*\d)?)\s*([$€£¢])(?!\s*\d)", r"\2\1"),  # "5 €" as "€5"
        (r"(?<![\d.,])(\d[\d,]*)\s+and\s+a\s+half\b", r"\1.5"),
        (r"(?<=[a-z])\.(?=\d)", ". "),  # "no.5"
        (r"(?<![\d.,])0+(?=\d)", lambda zeros: " ".join(zeros[0]) + " "),  # 7:05 is "seven oh five"
    )
)
_ENDLESS_NUMBER = re.compile(r"(?:\d,?){1000}(?=\d)")  # Python refuses to convert a number of more than 4,300 digits
_ONE = re.compile(r"\bone\b")  # Whisper's rule writes "one" for 1, in "one.5" too
_NUMBER = re.compile(r"([$€£¢]*)([-+]?\d[\d.]*)")  # currency, digits
_NUMBER_END = re.compile(r"([$€£¢]*)(\d[\d.]*(?:%|st|nd|rd|th|s)?)")


def normalise(text: str, normaliser: str = "basic", language: str = "en") -> str:
    """Writes a text as words separated by single spaces, fit for comparison.

    Args:
        text: any text.
        normaliser: one of `NORMALISERS`:
            `basic`: NFKC, lower case, punctuation to spaces but for apostrophes within words; any language with spaces.
                Symbols vanish, and numbers stay as written: it is for texts that are written as they are spoken.
            `whisper-en`: Whisper's English normaliser (numbers, contractions, titles) without its British/American table,
                mended so that no spoken word is deleted: bracketed words, "&", "-5" and "5 mm" count. It departs from the
                published rule; `describe` gives its version.
            `whisper-en-openai`: the published rule, for comparison with other work. It deletes bracketed words, so a
                candidate that reads them scores worse than one that skips them: build no pairs with it.
            `seed-tts`: the rule of seed-tts-eval (`run_wer.py`): hyphens vanish ("well-known" becomes "wellknown"), numbers stay.
                Words on both sides of a dash without spaces become one: build no pairs with it either.
            `f5-tts`: the same without apostrophes ("don't" becomes "dont"): the rule of F5-TTS (`utils_eval.py`).
            `characters`: NFKC, lower case, each character other than punctuation and spaces a token (Japanese, Thai).
            `chinese`: NFKC, lower case, simplified characters, numbers as they are read (`lpo_tts.chinese`); each Chinese
                character is a token, and so is each word of another script. It needs the extra `chinese`.
            `auto`: what `normaliser_for` says of the language.
        language: ISO 639-1 code; `auto`, `seed-tts` and `f5-tts` heed it (the latter two: `zh` one character per token; else
            lower case).

    Returns:
        The normalised text, empty when nothing that can be spoken is left.

    Raises:
        ConfigError: there is no such normaliser.
        ComponentError: `chinese`, and the package opencc is missing.
    """
    check_normaliser(normaliser)
    return _FUNCTIONS[normaliser](text, language)


def describe(normaliser: str) -> str:
    """Name and version of a normaliser, as in "whisper-en 2": equal only where the same texts come out the same.

    Raises:
        ConfigError: there is no such normaliser.
    """
    check_normaliser(normaliser)
    return f"{normaliser} {NORMALISER_VERSIONS[normaliser]}"


def normaliser_for(language: str) -> str:
    """The normaliser that `auto` takes for a language.

    English: `whisper-en`. Chinese and Cantonese: `chinese`. Japanese, Korean, Thai, Lao, Burmese, Khmer and Tibetan:
    `characters`, since they are written without spaces, or (Korean) with spaces that writers set differently. All others:
    `basic`.
    """
    code = language.replace("_", "-").partition("-")[0].strip().lower()
    return _BY_LANGUAGE.get(code, "basic")


def check_normaliser(normaliser: str) -> None:
    """Raises ConfigError when there is no normaliser of this name."""
    if normaliser not in NORMALISERS:
        raise ConfigError(f"normaliser: expected one of {', '.join(NORMALISERS)}, found {normaliser!r}")


def _basic(text: str, language: str) -> str:
    text = unicodedata.normalize("NFKC", text.translate(_APOSTROPHES)).lower()
    text = _OUTER_APOSTROPHE.sub(" ", text)
    return " ".join("".join(char if char == "'" or not _is_punctuation(char) else " " for char in text).split())


def _characters(text: str, language: str) -> str:
    text = unicodedata.normalize("NFKC", text).lower()
    return " ".join(char for char in text if not char.isspace() and not _is_punctuation(char))


def _chinese(text: str, language: str) -> str:
    # A full-width comma divides numbers; NFKC would make it one that groups their digits.
    text = unicodedata.normalize("NFKC", text.replace("，", " ").translate(_APOSTROPHES)).lower()
    text = chinese.read_numbers(chinese.simplify(text))
    return " ".join(_OUTER_APOSTROPHE.sub(" ", " ".join(_HAN_OR_WORD.findall(text))).split())


def _auto(text: str, language: str) -> str:
    return _FUNCTIONS[normaliser_for(language)](text, language)


def _seed_tts(text: str, language: str) -> str:
    text = _SEED_TTS_REMOVED.sub("", text)
    if language.startswith("zh"):
        return " ".join(char for char in text if not char.isspace())
    # Upstream leaves some double spaces in. Its counter joins white space to one space, and parts words at that alone: so a
    # tab or a no-break space between two words makes one word of them, here written in a form without space.
    words = _SPACES.sub(" ", text.lower()).strip().split(" ")
    return " ".join("".join(f"<{ord(char):x}>" if char.isspace() else char for char in word) for word in words)


def _f5_tts(text: str, language: str) -> str:
    return _seed_tts(text.replace("'", ""), language)


def _whisper_en_openai(text: str, language: str) -> str:
    words = _whisper_normaliser()(_ENDLESS_NUMBER.sub(r"\g<0> ", text))
    # The normaliser turns "..." into ".": nothing that can be spoken, so nothing that can be counted.
    return " ".join(words.split()) if any(char.isalnum() for char in words) else ""


def _whisper_en(text: str, language: str) -> str:
    text = text.translate(_APOSTROPHES).translate(_BRACKETS).lower()
    for pattern, replacement in _SPOKEN:
        text = pattern.sub(replacement, text)
    words = _whisper_en_openai(text, language).split()
    return " ".join(_join_numbers([word for word in words if any(char.isalnum() for char in word)]))


def _join_numbers(words: list[str]) -> list[str]:
    """Numbers side by side become one, as Whisper's rule does where they are spelled out.

    It makes "742" of "seven four two" but leaves "7 4 2", and drops "and" after "one hundred" but not after "100".
    Who hears digits and who hears words would not agree, and leaving a number out would mend it.
    """
    joined: list[str] = []
    for index, word in enumerate(words):
        before = _NUMBER.fullmatch(_ONE.sub("1", joined[-1])) if joined else None
        number = _NUMBER_END.fullmatch(_ONE.sub("1", word)) if before else None
        if before and number:
            joined[-1] = before[1] + number[1] + before[2] + number[2]
            continue
        following = words[index + 1] if index + 1 < len(words) else ""
        if not (word == "and" and before and before[2].endswith("00") and _NUMBER_END.fullmatch(_ONE.sub("1", following))):
            joined.append(word)
    return joined


@functools.cache
def _whisper_normaliser() -> Callable[[str], str]:
    from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

    return EnglishTextNormalizer({})


def _is_punctuation(char: str) -> bool:
    return unicodedata.category(char)[0] in "PSC"


_FUNCTIONS: dict[str, Callable[[str, str], str]] = {
    "basic": _basic,
    "whisper-en": _whisper_en,
    "whisper-en-openai": _whisper_en_openai,
    "seed-tts": _seed_tts,
    "f5-tts": _f5_tts,
    "characters": _characters,
    "chinese": _chinese,
    "auto": _auto,
}
