"""MiniMax's multilingual test set: a hundred sentences in each of 24 languages, and two voices a language."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation.test_sets.base import Dropped
from evaluation.test_sets.listed import Listed
from lpo_tts import audio
from lpo_tts.errors import ArtefactError, ConfigError, os_errors
from lpo_tts.manifests.tables import is_name, lines, table_file
from lpo_tts.places import ABSENT
from lpo_tts.records import Prompt, Utterance

LANGUAGES = {
    "arabic": "ar",
    "cantonese": "yue",
    "chinese": "zh",
    "czech": "cs",
    "dutch": "nl",
    "english": "en",
    "finnish": "fi",
    "french": "fr",
    "german": "de",
    "greek": "el",
    "hindi": "hi",
    "indonesian": "id",
    "italian": "it",
    "japanese": "ja",
    "korean": "ko",
    "polish": "pl",
    "portuguese": "pt",
    "romanian": "ro",
    "russian": "ru",
    "spanish": "es",
    "thai": "th",
    "turkish": "tr",
    "ukrainian": "uk",
    "vietnamese": "vi",
}
AUDIO = (".mp3", ".wav", ".flac")


@dataclass(frozen=True)
class MiniMax(Listed):
    """`text/<language>.txt` with lines `voice|text`; `speaker/<language>/<voice>/` holds the recording of the voice.

    `speaker/prompt_text.txt` has lines `file name|text` of those recordings.

    Attributes:
        languages: names as the set spells them; empty: all that it has.
    """

    languages: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        unknown = sorted(set(self.languages) - set(LANGUAGES))
        if unknown:
            raise ConfigError(f"languages: expected some of {', '.join(LANGUAGES)}, found {', '.join(unknown)}")

    def tables(self, local: Path) -> Mapping[str, Sequence[Path]]:
        """The texts of every language, and those of the voices where there are any."""
        groups = {f"text/{name}.txt": [self._text(local, name)] for name in self._names(local)}
        said = local / "speaker" / "prompt_text.txt"
        return groups if audio.path_fault(said) == ABSENT else {**groups, "speaker/prompt_text.txt": [said]}

    def rows(self, local: Path) -> Iterator[Prompt | Dropped]:
        """One prompt a line, as `<language>-<number of the line>`; the tag `language` groups them in a report."""
        said = _voice_texts(local / "speaker" / "prompt_text.txt")
        for name in self._names(local):
            for number, line in lines(self._text(local, name)):
                row = f"{name}-{number:03d}"
                label, bar, text = (part.strip() for part in line.partition("|"))
                if not bar or not text or not is_name(label):
                    yield Dropped(id=row, reason=f"text/{name}.txt:{number}: expected voice|text, found {line[:80]!r}")
                    continue
                path = _recording(local, name, label)
                if isinstance(path, str):
                    yield Dropped(id=row, reason=path)
                    continue
                code = LANGUAGES[name]
                voice = Utterance(
                    id=label, audio=str(path), text=said.get(path.name, ""), duration=0.0, speaker=label, language=code
                )
                yield Prompt(id=row, text=text, language=code, voice=voice, split="test", tags={"language": name})

    def _names(self, local: Path) -> Sequence[str]:
        names = self.languages or [name for name in LANGUAGES if (local / "text" / f"{name}.txt").is_file()]
        if not names:
            raise ArtefactError(f"{local}: expected text/<language>.txt in it, found none; give the folder of the dataset")
        return names

    def _text(self, local: Path, name: str) -> Path:
        return table_file(local / "text" / f"{name}.txt", f"the texts of {name}", "give the folder of the dataset as --from")


def _recording(local: Path, language: str, label: str) -> Path | str:
    """The recording of a voice, or why there is none."""
    for folder in (local / "speaker" / language / label, local / "speaker" / language, local / "speaker"):
        with os_errors("read the folder", folder):
            names = sorted(os.listdir(folder)) if folder.is_dir() else []
        for name in names:
            stem, suffix = os.path.splitext(name)
            if suffix.lower() in AUDIO and not name.startswith(".") and (folder.name == label or label in (stem, name)):
                return folder / name
    return f"no recording of the voice {label}: expected one in {local / 'speaker' / language / label}"


def _voice_texts(path: Path) -> dict[str, str]:
    """What each recording of a voice says, by its file name; nothing where the table was not copied."""
    if audio.path_fault(path) == ABSENT:
        return {}
    rows = (line.partition("|") for _, line in lines(path))
    return {name.strip(): text.strip() for name, _, text in rows}
