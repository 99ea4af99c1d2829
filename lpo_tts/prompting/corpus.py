"""Prompts of a corpus: the texts of its recordings, each with another recording of its speaker; and a test kept apart."""

import functools
import hashlib
from collections.abc import Iterator, Mapping, Sequence

from lpo_tts.prompting.hard import spoken
from lpo_tts.records import Prompt, Split, Utterance


def of_corpus(
    rows: Sequence[Utterance], voices: Mapping[tuple[str, str, str | None], Sequence[Utterance]] | None, split: Split, seed: int
) -> Iterator[tuple[str, Prompt | str]]:
    """Prompts that ask for the texts of recordings."""
    said = functools.cache(spoken)
    for one in rows:
        if not one.text.strip():
            yield one.id, "empty text"
            continue
        voice = None
        if voices is not None:
            others = [other for other in voices.get((one.speaker, one.language, split), ()) if said(other.text) != said(one.text)]
            if not others:
                yield (
                    one.id,
                    f"speaker {one.speaker} has no other recording in split {split} to take the voice from (another text, "
                    f"language {one.language}, the wanted duration)",
                )
                continue
            voice = min(others, key=lambda other: order_key(seed, f"{one.id}/{other.id}"))
        yield (
            one.id,
            Prompt(id=one.id, text=one.text, language=one.language, voice=voice, target=one, split=split, tags=one.tags),
        )


def apart_from(tests: Sequence[Prompt], utterances: Sequence[Utterance]) -> tuple[list[Utterance], list[tuple[str, str]]]:
    """What is left to train on beside prompts that are the test, whoever made them.

    Returns:
        rows of the other splits that share neither id nor text with a test; and of those that do, the id and what they share.
    """
    ids, texts = {one.id for one in tests}, {spoken(one.text) for one in tests}
    kept: list[Utterance] = []
    shared: list[tuple[str, str]] = []
    for one in utterances:
        if one.split == "test":
            continue
        if one.id in ids or spoken(one.text) in texts:
            shared.append((one.id, "id" if one.id in ids else "text"))
        else:
            kept.append(one)
    return kept, shared


def order_key(seed: int, text: str) -> str:
    """By which rows are put in an order that the seed decides."""
    return hashlib.sha256(f"{seed}:{text}".encode()).hexdigest()
