"""Raw text with straight quotes: Unicode's compatible forms (NFKC), and one kind of quotes and apostrophes (NeuTTS-2E)."""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

_QUOTES = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"'})  # those four, as the package neutts does


@dataclass(frozen=True)
class StraightFrontEnd:
    """Text in Unicode's compatible forms (NFKC) with straight quotes and apostrophes, else as it is."""

    def load(self) -> Callable[[str], str]:
        """Nothing is loaded."""
        return straightened


def straightened(text: str) -> str:
    """NFKC, straight quotes."""
    return unicodedata.normalize("NFKC", text).translate(_QUOTES)
