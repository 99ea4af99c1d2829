"""Text made comparable: what is asked for and what was heard are written the same way before words are counted."""

import functools
import re
import string
import unicodedata
from collections.abc import Callable

from lpo_tts.errors import ConfigError

NORMALISERS = ("basic", "whisper-en", "seed-tts", "characters")

_APOSTROPHES = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "`": "'"})
_OUTER_APOSTROPHE = re.compile(r"(?<!\w)'+|'+(?!\w)")

# The Chinese punctuation that seed-tts-eval removes (the set `zhon.hanzi.punctuation`), as code points.
_HANZI_PUNCTUATION = (
    "\u00b7\u2013\u2014\u2018\u2019\u201b-\u201f\u2026\u2027\u3000-\u3003\u3008-\u3011\u3014-\u301f\u3030\u303e\u303f\ufe4f\ufe51\ufe54"
    "\uff01-\uff0d\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff64"
)
_SEED_TTS_REMOVED = re.compile(f"[{_HANZI_PUNCTUATION}{re.escape(string.punctuation.replace(chr(39), ''))}]")


def normalise(text: str, normaliser: str = "basic", language: str = "en") -> str:
    """Writes a text as words separated by single spaces, fit for comparison.

    Args:
        text: any text.
        normaliser: one of `NORMALISERS`:
            `basic`: NFKC, lower case, punctuation to spaces but for apostrophes within words; any language with spaces.
            `whisper-en`: Whisper's English normaliser (numbers, contractions, titles), without its British/American table.
            `seed-tts`: the rule of seed-tts-eval (`run_wer.py`): hyphens vanish ("well-known" becomes "wellknown"), numbers stay.
            `characters`: NFKC, lower case, each character other than punctuation and spaces a token (Chinese, Japanese).
        language: ISO 639-1 code; `seed-tts` alone heeds it (`zh`: one character per token; else lower case).

    Returns:
        The normalised text, empty when nothing that can be spoken is left.

    Raises:
        ConfigError: there is no such normaliser.
    """
    check_normaliser(normaliser)
    return _FUNCTIONS[normaliser](text, language)


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


def _seed_tts(text: str, language: str) -> str:
    text = _SEED_TTS_REMOVED.sub("", text)
    # Upstream leaves some double spaces in; they are no words to the counter, so dropping them changes no number.
    words = list(text) if language.startswith("zh") else text.lower().split()
    return " ".join(word for word in words if not word.isspace())


def _whisper_en(text: str, language: str) -> str:
    words = _whisper_normaliser()(text)
    # The normaliser turns "..." into ".": nothing that can be spoken, so nothing that can be counted.
    return " ".join(words.split()) if any(char.isalnum() for char in words) else ""


@functools.cache
def _whisper_normaliser() -> Callable[[str], str]:
    from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

    return EnglishTextNormalizer({})


def _is_punctuation(char: str) -> bool:
    return unicodedata.category(char)[0] in "PSC"


_FUNCTIONS: dict[str, Callable[[str, str], str]] = {
    "basic": _basic,
    "whisper-en": _whisper_en,
    "seed-tts": _seed_tts,
    "characters": _characters,
}
