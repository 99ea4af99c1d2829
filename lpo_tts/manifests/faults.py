"""Everything that is wrong with one row of a manifest: its JSON, its keys and values, its text, its recording."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lpo_tts import audio
from lpo_tts.config import Structurer
from lpo_tts.errors import ArtefactError, ConfigError
from lpo_tts.files import loads
from lpo_tts.manifests.sentences import sentence_key
from lpo_tts.records import Utterance

MAX_DIFFERENCE = 0.08  # seconds between a row and its file: one frame of the slowest codecs (12.5 per second)

NOT_JSON, VALUES, TEXT = "not a row", "keys and values", "empty text"
NO_AUDIO, UNREADABLE, NO_SPEECH, DURATION = "no audio", "unreadable audio", "no speech", "duration"
DOUBLED, SENTENCE = "doubled id", "sentence in two splits"

_structurer = Structurer()


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        line: number of the line, from 1.
        id: of the row; "" where it has none.
        kind: under which it is counted.
        text: what was expected and what was found, in one line.
    """

    line: int
    id: str
    kind: str
    text: str

    def __str__(self) -> str:
        return f"line {self.line}{f', {self.id}' if self.id else ''}: {self.text}"


@dataclass(kw_only=True)
class Row:
    """One line of a manifest, looked at.

    Attributes:
        line: its number, from 1.
        place: where it begins, in bytes.
        id: as it stands there; "" where there is none.
        row: None where the line is no Utterance.
        faults: all of them.
    """

    line: int
    place: int
    id: str = ""
    row: Utterance | None = None
    faults: list[Fault] = field(default_factory=list)

    def add(self, kind: str, text: str) -> None:
        """Notes a fault."""
        self.faults.append(Fault(line=self.line, id=self.id, kind=kind, text=" ".join(text.split())))


def read_row(data: bytes, line: int, place: int = 0) -> Row:
    """Looks at the text of one line, without its recording."""
    found = Row(line=line, place=place)
    try:
        tree = loads(data.rstrip(b"\r\n").decode("utf-8"), "")
    except UnicodeDecodeError as error:
        found.add(NOT_JSON, f"expected UTF-8 text, found other bytes ({error.reason} at byte {error.start} of the line)")
        return found
    except ArtefactError as error:
        found.add(NOT_JSON, str(error).removeprefix(": "))
        return found
    if not isinstance(tree, Mapping):
        found.add(NOT_JSON, f'expected {{"id": ..., "audio": ..., "text": ...}}, found {type(tree).__name__}')
        return found
    found.id = tree["id"] if isinstance(tree.get("id"), str) else ""
    said = []
    try:
        found.row = _structurer.structure(tree, Utterance)
    except ConfigError as error:
        said = str(error).splitlines()
    said += [text for text in _values(tree) if text.partition(":")[0] not in {one.partition(":")[0] for one in said}]
    for text in said:
        found.add(VALUES, text)
    text = tree.get("text")
    if isinstance(text, str) and not sentence_key(text):
        found.add(TEXT, f"text: expected words, found {text!r}")
    return found


def _values(tree: Mapping[str, Any]) -> Iterator[str]:
    """What the types of a row do not tell."""
    for name in ("id", "audio", "speaker", "language"):
        value = tree.get(name)
        if isinstance(value, str) and not value.strip():
            yield f"{name}: expected a name, found {value!r}"
    seconds = tree.get("duration")
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and seconds <= 0:
        yield f"duration: expected seconds above 0, found {seconds}"


def listen(found: Row, folder: Path, *, quick: bool = False) -> None:
    """Looks at the recording of a row and adds what is wrong with it.

    Args:
        found: the row; without an Utterance nothing is done.
        folder: where the manifest lies.
        quick: only whether the file is there.
    """
    if found.row is None or not found.row.audio.strip():
        return
    path = folder / found.row.audio
    try:
        fault = audio.path_fault(path)
        if fault is not None:
            found.add(NO_AUDIO, f"audio: expected a file {path}, found {fault}")
            return
        seconds, fault = (None, None) if quick else audio.measure(path)
    except ArtefactError as error:
        found.add(UNREADABLE, f"audio: {error}")
        return
    if fault is not None:
        found.add(NO_SPEECH, f"audio: {path}: expected speech, found {fault}")
    if seconds is not None and found.row.duration > 0 and abs(seconds - found.row.duration) > MAX_DIFFERENCE:
        found.add(DURATION, f"duration: expected the {seconds:.4f} s of {path}, found {found.row.duration:g}")
