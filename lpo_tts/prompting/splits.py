"""Splits of a manifest: rows that have none get one by their speaker or id, and no speaker need stand on two sides."""

import dataclasses
import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Literal

from lpo_tts.errors import ArtefactError
from lpo_tts.records import Split, Utterance

SplitBy = Literal["speaker", "utterance"]


def with_splits(
    utterances: Sequence[Utterance], by: SplitBy | None, dev_share: float, test_share: float, seed: int
) -> list[Utterance]:
    """Every row with a split: its own, or else one that hangs on the seed and its speaker or id alone.

    So rows that are added later change no other row's split. With `by="speaker"` no speaker is on two sides: rows without
    a split go where the other rows of their speaker stand.

    Args:
        utterances: rows of a manifest.
        by: what is divided; None: rows without a split are of split train.
        dev_share: share of the speakers or rows without a split that become dev.
        test_share: share that become test.
        seed: decides which.

    Raises:
        ArtefactError: a speaker is in two splits of the manifest, or no row fell into a split whose share is above 0.
    """
    own = _speakers_splits(utterances) if by == "speaker" else {}
    found = [
        dataclasses.replace(one, split=one.split or own.get(one.speaker) or _draw(by, one, dev_share, test_share, seed))
        for one in utterances
    ]
    if all(one.split for one in utterances):
        return found
    counts = Counter(one.split for one in found)
    for split, share in (("dev", dev_share), ("test", test_share), ("train", 1 - dev_share - test_share)):
        if by is not None and share > 0 and not counts[split]:
            units = len({one.speaker for one in utterances}) if by == "speaker" else len(utterances)
            raise ArtefactError(
                f"prompts.split_by: none of the {units} {by}s of the manifest fell into split {split}, whose share is {share:g}; "
                "raise its share, try another prompts.split_seed, or write the splits into the manifest"
            )
    return found


def _speakers_splits(utterances: Sequence[Utterance]) -> dict[str, Split]:
    """Speaker -> the split of their rows, as far as the manifest says it."""
    found: dict[str, set[Split]] = defaultdict(set)
    for one in utterances:
        if one.split is not None:
            found[one.speaker].add(one.split)
    shared = sorted(speaker for speaker, splits in found.items() if len(splits) > 1)
    if shared:
        raise ArtefactError(
            f"prompts.split_by: expected every speaker in one split, found {len(shared)} of {len(found)} in several, first: "
            f"{shared[0]!r} in {' and '.join(sorted(found[shared[0]]))}; correct the manifest, take the splits out of it, or "
            "leave split_by out"
        )
    return {speaker: next(iter(splits)) for speaker, splits in found.items()}


def _draw(by: SplitBy | None, one: Utterance, dev_share: float, test_share: float, seed: int) -> Split:
    if by is None:
        return "train"
    name = one.speaker if by == "speaker" else one.id
    digest = hashlib.sha256(f"split:{seed}:{by}:{name}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    return "dev" if place < dev_share else "test" if place < dev_share + test_share else "train"
