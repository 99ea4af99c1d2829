"""Phones of espeak-ng, by phonemizer: how NeuTTS and others were taught to read."""

import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lpo_tts.errors import ComponentError, ConfigError, ContractError

MISSING = "the front end espeak needs phonemizer and espeakng-loader; pip install 'lpo-tts[phones]'"


@dataclass(frozen=True)
class EspeakFrontEnd:
    """International phones by espeak-ng, with punctuation kept and words apart.

    phonemizer and espeak-ng are under GPL-3: they are an extra, and no part of this library.

    Attributes:
        language: espeak-ng's name of a language, such as en-us, de, fr-fr, es.
        stress: whether stress marks are written.
        drop: characters that are left out of the phones, such as "-", which NeuTTS leaves out in French.
    """

    language: str = "en-us"
    stress: bool = True
    drop: str = ""

    about = {"licence": "GPL-3.0 (phonemizer, espeak-ng)"}

    def __post_init__(self) -> None:
        if not self.language.strip():
            raise ConfigError("language: expected espeak-ng's name of a language, such as en-us, found none")

    def load(self) -> Callable[[str], str]:
        """Starts espeak-ng; raises ComponentError when a package is missing or the language unknown."""
        _backend(self.language, self.stress)
        return _Phones(self.language, self.stress, self.drop)


@dataclass(frozen=True)
class _Phones:
    """Only the settings are pickled: each process starts an espeak-ng of its own."""

    language: str
    stress: bool
    drop: str

    def __call__(self, text: str) -> str:
        """Phones, words apart by one space; raises ContractError where espeak-ng finds nothing to say in a text."""
        if not text.strip():
            return ""
        spelt = " ".join(_backend(self.language, self.stress).phonemize([text]))
        phones = " ".join(spelt.translate(dict.fromkeys(map(ord, self.drop))).split())
        if not phones:
            raise ContractError(f"espeak-ng finds no phones in the text {text!r} (language {self.language}); write words")
        return phones


@functools.cache
def _backend(language: str, stress: bool) -> Any:
    try:
        import espeakng_loader
        from phonemizer.backend import EspeakBackend
        from phonemizer.backend.espeak.wrapper import EspeakWrapper
    except ImportError as error:
        raise ComponentError(MISSING) from error
    EspeakWrapper.set_library(espeakng_loader.get_library_path())
    EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
    if not EspeakBackend.is_supported_language(language):
        version = ".".join(map(str, EspeakBackend.version()))
        raise ComponentError(f"language: espeak-ng {version} knows no {language!r}; see `espeak-ng --voices`")
    quiet = logging.getLogger("lpo_tts.frontends.espeak.phonemizer")
    quiet.setLevel(logging.ERROR)  # it warns of every borrowed word
    options = {"language_switch": "remove-flags", "words_mismatch": "ignore"}  # no "(en)" among the phones of a borrowed word
    return EspeakBackend(language=language, preserve_punctuation=True, with_stress=stress, logger=quiet, **options)
