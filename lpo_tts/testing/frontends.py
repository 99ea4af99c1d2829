"""The contract of text front ends: `check_front_end`."""

import pickle
from collections.abc import Sequence
from typing import Any

from lpo_tts.frontends.base import FrontEnd
from lpo_tts.testing.base import check_settings, expect


def check_front_end(front_end: FrontEnd, texts: Sequence[str]) -> None:
    """What every text front end promises: text for text, the same in every process, and nothing for nothing.

    Args:
        front_end: the settings.
        texts: some that it can write.
    """
    name = type(front_end).__name__
    check_settings(front_end)
    spell: Any = front_end.load()
    for text in texts:
        found = spell(text)
        expect(isinstance(found, str), f"{name}: expected text for {text!r}, found {type(found).__name__}")
        expect(bool(found.strip()) == bool(text.strip()), f"{name}: expected words for words, found {found!r} for {text!r}")
        expect(spell(text) == found, f"{name}: {text!r} was written in two ways")
        again = pickle.loads(pickle.dumps(spell))(text)
        expect(again == found, f"{name}: another process writes {text!r} as {again!r}, this one as {found!r}")
