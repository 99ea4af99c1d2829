"""Prompts of a corpus: the texts of its recordings, each with another recording of its speaker; and a test kept apart."""

import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence

from lpo_tts.prompting.hard import spoken
from lpo_tts.records import Prompt, Split, Utterance

MANY_VOICES, ATTEMPTS = 500, 20  # ours: recordings of a speaker that are compared one by one; draws among more of them


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
            voice = _voice_for(one, voices.get((one.speaker, one.language, split), ()), said, seed)
            if voice is None:
                yield (
                    one.id,
                    f"speaker {one.speaker} has no other recording in split {split} to take the voice from (another text, "
                    f"language {one.language}, the wanted duration)",
                )
                continue
        yield (
            one.id,
            Prompt(id=one.id, text=one.text, language=one.language, voice=voice, target=one, split=split, tags=one.tags),
        )


def _voice_for(one: Utterance, others: Sequence[Utterance], said: Callable[[str], str], seed: int) -> Utterance | None:
    """A recording of another text by the same speaker, drawn by the ids of both; None where there is none.

    All are compared where they are few. Among many, a place is drawn until its text is another one: a speaker of ten thousand
    recordings would else cost a hundred million comparisons.
    """
    if len(others) > MANY_VOICES:
        for attempt in range(ATTEMPTS):
            drawn = others[int(order_key(seed, f"{one.id}/{attempt}"), 16) % len(others)]
            if said(drawn.text) != said(one.text):
                return drawn
    own = [other for other in others if said(other.text) != said(one.text)]
    return min(own, key=lambda other: order_key(seed, f"{one.id}/{other.id}"), default=None)


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
