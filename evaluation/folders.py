"""Folders of audio: the file of an id, found strictly below the folder, and copies of a few files beside the report."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from lists import inside
from rows import Row

from lpo_tts.errors import ArtefactError, os_errors
from lpo_tts.records import file_name

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")


class AudioFolder:
    """Finds the audio of ids below a folder, whatever the case of the suffix.

    An id never leads out of the folder. A link within it is followed: whoever made the folder put it there, and the
    downloads of the Hugging Face hub consist of links.
    """

    def __init__(self, root: Path) -> None:
        if not os.path.isdir(root):
            raise ArtefactError(f"{root}: expected a folder of audio, found none; check --wavs and --baseline")
        with os_errors("read", root):
            self.root = root.resolve()
        self._names: dict[Path, dict[str, str]] = {}

    def find(self, name: str) -> Path | None:
        """The file of an id, by the first suffix that exists."""
        if not inside(name):
            return None
        stem = self.root / name
        names = self._listing(stem.parent)
        for suffix in SUFFIXES:
            for key in (stem.name + suffix, f"{stem.name}\0{suffix}"):
                if key in names and os.path.isfile(stem.parent / names[key]):
                    return stem.parent / names[key]
        return None

    def _listing(self, folder: Path) -> dict[str, str]:
        """Names in a folder, each under itself and under stem and lower-case suffix."""
        if folder not in self._names:
            names: dict[str, str] = {}
            if os.path.isdir(folder):
                with os_errors("read", folder):
                    listed = sorted(os.listdir(folder))
                for name in listed:
                    stem, suffix = os.path.splitext(name)
                    names[name] = name
                    names.setdefault(f"{stem}\0{suffix.lower()}", name)
            self._names[folder] = names
        return self._names[folder]


def place_audio(rows: Sequence[Row], ids: Sequence[str], folder: Path, name: str) -> dict[str, str]:
    """Copies the audio of a few ids beside the report, so that the page and its players can be moved together.

    Returns:
        id to path relative to the report.
    """
    placed = {}
    wanted = set(ids)
    for row in rows:
        if row["id"] in wanted and row["audio"] is not None:
            source = Path(row["audio"])
            target = folder / "samples" / name / (file_name(row["id"]) + source.suffix.lower())
            with os_errors("write", target):
                target.parent.mkdir(parents=True, exist_ok=True)
                if not (target.exists() and target.samefile(source)):
                    shutil.copyfile(source, target)
            placed[row["id"]] = target.relative_to(folder).as_posix()
    return placed
