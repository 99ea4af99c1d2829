"""Real recordings that a list or a manifest names: their texts, speakers, and recordings of the same voices."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from lpo_tts.errors import ArtefactError
from lpo_tts.files import loads, read_lines, read_rows
from lpo_tts.prompting.lists import inside, load_list
from lpo_tts.records import Utterance


@dataclass(frozen=True, kw_only=True)
class Source:
    """A real recording of a text.

    Attributes:
        audio: the recording.
        speaker: who speaks; empty = nobody has said.
        voice: a recording whose voice is to be imitated; None = there is none.
    """

    id: str
    text: str
    language: str
    audio: Path
    speaker: str = ""
    voice: Path | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


def read_sources(path: Path, language: str = "en", split: str | None = None) -> list[Source]:
    """The recordings of a list whose rows have a target, or of a manifest of `data_prep`.

    In a manifest the voice of a row is the next recording of the same speaker with another text.

    Args:
        path: the list (`lpo_tts.prompting.lists.load_list` says in which forms), or manifest.jsonl.
        language: of rows of a list that name none.
        split: of a manifest, the rows of this split alone.

    Raises:
        ArtefactError: there is no such file, a row is damaged, or no row has a recording.
    """
    if path.suffix.lower() == ".jsonl" and _is_manifest(path):
        found = list(_of_manifest(path, split))
        wanted = "a row" if split is None else f"a row of split {split}"
    else:
        found = list(_of_list(path, language))
        wanted = "a row with a target, the real recording of its text"
    if not found:
        raise ArtefactError(f"{path}: expected {wanted}, found none; copies are made of real recordings")
    return found


def _is_manifest(path: Path) -> bool:
    first = next(((number, line) for number, line in enumerate(read_lines(path), 1) if line.strip()), None)
    if first is None:
        return False
    row = loads(first[1], f"{path}:{first[0]}")
    return isinstance(row, dict) and "audio" in row


def _of_manifest(path: Path, split: str | None) -> Iterator[Source]:
    rows = [row for row in read_rows(path, Utterance) if split is None or row.split == split]
    voices = _voices(rows)
    for row in rows:
        if not inside(row.id):
            raise ArtefactError(f"{path}: expected ids that name files below a folder, found {row.id!r}; rename it")
        voice = voices.get(row.id)
        yield Source(
            id=row.id,
            text=row.text,
            language=row.language,
            audio=path.parent / row.audio,
            speaker=row.speaker,
            voice=None if voice is None else path.parent / voice,
            tags=row.tags,
        )


def _voices(rows: Sequence[Utterance]) -> dict[str, str]:
    """Id to the recording of the same speaker that comes next with another text; the last one takes the first."""
    speakers: dict[str, list[Utterance]] = {}
    for row in rows:
        speakers.setdefault(row.speaker, []).append(row)
    found = {}
    for own in speakers.values():
        for place, row in enumerate(own):
            later = (other for other in chain(own[place + 1 :], own[:place]) if other.text != row.text)
            voice = next(later, None)
            if voice is not None:
                found[row.id] = voice.audio
    return found


def _of_list(path: Path, language: str) -> Iterator[Source]:
    prompts = load_list(path, language)
    speakers = _speakers(path) if path.suffix.lower() == ".jsonl" else {}
    for prompt in prompts:
        if prompt.target is not None:
            yield Source(
                id=prompt.id,
                text=prompt.text,
                language=prompt.language,
                audio=Path(prompt.target.audio),
                speaker=speakers.get(prompt.id, prompt.tags.get("speaker", "")),
                voice=None if prompt.voice is None else Path(prompt.voice.audio),
                tags=prompt.tags,
            )


def _speakers(path: Path) -> dict[str, str]:
    """Who speaks in the targets of prompts.jsonl, which a list need not say."""
    rows: list[Any] = [loads(line, str(path)) for line in read_lines(path) if line.strip()]
    targets = ((row["id"], row.get("target")) for row in rows)
    return {name: str(target["speaker"]) for name, target in targets if isinstance(target, Mapping) and target.get("speaker")}


def partners(sources: Sequence[Source]) -> dict[str, Source]:
    """For each id another recording, with another text, of another speaker where that can be: a turn of the whole list.

    It is never the recording that serves the id as its voice: nothing is more similar to a voice than itself. Ids without
    such a recording are left out.
    """
    order = sorted(range(len(sources)), key=lambda place: sources[place].speaker)  # stable: in the order of the list
    sizes: dict[str, int] = {}
    for one in sources:
        sizes[one.speaker] = sizes.get(one.speaker, 0) + 1
    step = max(sizes.values()) % len(sources) or 1
    found = {}
    for place, at in enumerate(order):
        own = sources[at]
        chosen = None
        for more in range(len(order)):
            other = sources[order[(place + step + more) % len(order)]]
            if other.text != own.text and other.audio != own.voice:
                chosen = chosen or other
                if other.speaker != own.speaker or len(sizes) == 1:
                    chosen = other
                    break
        if chosen is not None:
            found[own.id] = chosen
    return found
