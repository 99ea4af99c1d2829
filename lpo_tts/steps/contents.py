"""What a recording is known by: the sha-256 of its bytes, and how long its header says it is."""

import hashlib
import os
from pathlib import Path

from lpo_tts import artefacts, decoding, places
from lpo_tts.errors import ArtefactError
from lpo_tts.judging import voice_copy_path
from lpo_tts.records import Prompt

MISSING, UNREADABLE = "missing", "unreadable"  # digests of recordings that are not there, or cannot be looked at


class Contents:
    """Looks at recordings, each once: voices are shared by many prompts.

    Every recording is read whole each time a program looks, whatever its times say: a second of reading for some 1,000 MB.
    """

    def __init__(self) -> None:
        self._digests: dict[str, str] = {}

    def digest(self, path: str | os.PathLike) -> str:
        """sha-256 of what lies there; MISSING, or UNREADABLE for what cannot be read, such as a folder without permission."""
        key = os.fspath(path)
        if key not in self._digests:
            try:
                self._digests[key] = digest_of(path)
            except ArtefactError:
                self._digests[key] = UNREADABLE  # who listens says why
        return self._digests[key]

    def seconds(self, path: str | os.PathLike) -> float:
        """How long the header says it is, for showing progress and for batches; 0 where nothing says so."""
        return 0.0 if self.digest(path) in (MISSING, UNREADABLE) else header_seconds(path)

    def key(self, prompt: Prompt, path: Path, root: Path, copies: Path | None = None) -> str:
        """Everything that a judgement may rest on, as one hash: the audio, the text, its language, and the voice.

        Args:
            prompt: text, language and voice.
            path: of the audio.
            root: folder that the voice's path is relative to.
            copies: folder of the voices' copies through the codec, for a judge that compares with them.
        """
        digest = hashlib.sha256()
        for part in (self.digest(path), prompt.text, prompt.language):
            digest.update(f"{part}\0".encode())
        if prompt.voice is not None:
            digest.update(f"{prompt.voice.id}\0{self.digest(root / prompt.voice.audio)}".encode())
            if copies is not None:
                digest.update(f"\0{self.digest(voice_copy_path(copies, prompt.voice.id))}".encode())
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
