"""What a recording is known by: the sha-256 of its bytes, and how long its header says it is."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from lpo_tts import artefacts, decoding, places
from lpo_tts.errors import ArtefactError
from lpo_tts.judging import voice_copy_path
from lpo_tts.records import Prompt

MISSING, UNREADABLE = "missing", "unreadable"  # digests of recordings that are not there, or cannot be looked at


@dataclass(frozen=True)
class Content:
    """One recording as it lies on the disk.

    Attributes:
        digest: sha-256 of a file or of a member of a tar, with the times of a stretch; MISSING where there is none.
        seconds: as the header says, for showing progress; 0 where it says nothing.
    """

    digest: str
    seconds: float


class Contents:
    """Looks at recordings, each once: voices are shared by many prompts."""

    def __init__(self) -> None:
        self._known: dict[str, Content] = {}

    def look(self, path: str | os.PathLike) -> Content:
        """What lies there; of what cannot be read at all, such as a folder without permission, only that."""
        key = os.fspath(path)
        if key not in self._known:
            try:
                digest = digest_of(path)
            except ArtefactError:
                digest = UNREADABLE  # who listens says why
            self._known[key] = Content(digest, 0.0 if digest in (MISSING, UNREADABLE) else header_seconds(path))
        return self._known[key]

    def key(self, prompt: Prompt, path: Path, root: Path, copies: Path | None = None) -> str:
        """Everything that a judgement may rest on, as one hash: the audio, the text, its language, and the voice.

        Args:
            prompt: text, language and voice.
            path: of the audio.
            root: folder that the voice's path is relative to.
            copies: folder of the voices' copies through the codec, for a judge that compares with them.
        """
        digest = hashlib.sha256()
        for part in (self.look(path).digest, prompt.text, prompt.language):
            digest.update(f"{part}\0".encode())
        if prompt.voice is not None:
            digest.update(f"{prompt.voice.id}\0{self.look(root / prompt.voice.audio).digest}".encode())
            if copies is not None:
                digest.update(f"\0{self.look(voice_copy_path(copies, prompt.voice.id)).digest}".encode())
        return digest.hexdigest()


def digest_of(path: str | os.PathLike) -> str:
    """sha-256 of a file or of a member of a tar, with the times of a stretch; the tar itself may be too large to be read."""
    place = places.find(path)
    if isinstance(place, str):
        return MISSING
    if place.member is None:
        digest = artefacts.file_hash(place.file)
    else:
        with places.opened(place) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    return digest if place.stretch is None else f"{digest} {place.stretch}"


def header_seconds(path: str | os.PathLike) -> float:
    """How long a recording says it is; 0 for what says nothing. Headers may be wrong, so no result rests on this."""
    try:
        place = places.find(path)
        if isinstance(place, str):
            return 0.0
        if place.stretch is not None:
            return place.stretch[1] - place.stretch[0]
        with decoding.opened(place, path) as file:
            seconds = file.frames / file.samplerate if file.samplerate > 0 else 0.0
    except ArtefactError:
        return 0.0
    return seconds if 0 < seconds <= places.LONGEST else 0.0
