"""Splits that a corpus tells by the names of its files or folders."""

import re

from lpo_tts.records import Split

_WORDS: dict[str, Split] = {"train": "train", "dev": "dev", "valid": "dev", "validation": "dev", "val": "dev", "test": "test"}


def split_in(name: str) -> Split | None:
    """The split whose name stands in a name as a word of its own: `train-00000-of-00012`, `libritts_cuts_dev-clean`.

    None where there is none, or more than one.
    """
    found = {_WORDS[word] for word in re.split(r"[^a-z]+", name.lower()) if word in _WORDS}
    return found.pop() if len(found) == 1 else None
