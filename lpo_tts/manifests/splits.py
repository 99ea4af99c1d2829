"""Which split a row belongs to: by a hash that never changes, of its sentence or of its speaker."""

import hashlib
from typing import Literal

from lpo_tts.manifests.sentences import sentence_key
from lpo_tts.records import Split

By = Literal["sentence", "speaker"]


def split_of(text: str, dev: float, test: float, seed: int = 0) -> Split:
    """The split of a sentence by a stable hash: equal sentences share a split, in every corpus and order of rows."""
    return _split(f"{seed}:{sentence_key(text)}", dev, test)


def split_of_speaker(speaker: str, dev: float, test: float, seed: int = 0) -> Split:
    """The split of a speaker by a stable hash; `dev` and `test` are then shares of the speakers."""
    return _split(f"{seed}:speaker:{speaker}", dev, test)


def _split(key: str, dev: float, test: float) -> Split:
    place = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
    return "test" if place < test else "dev" if place < test + dev else "train"
