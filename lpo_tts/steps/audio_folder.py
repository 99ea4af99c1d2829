"""A folder of audio as one system: where the speech of every utterance of a list lies, once or by several seeds."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from lpo_tts.errors import ArtefactError, os_errors
from lpo_tts.prompting.lists import inside
from lpo_tts.records import Prompt, file_name
from lpo_tts.steps.blocks import candidate_id
from lpo_tts.steps.sources import Piece

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")  # where an utterance has several files, the first of these is judged
ONE, FOLDERS = "ID.wav", "seedK/ID.wav"
MARKS = {"#": "ID#K.wav", "~": "ID~K.wav", "_seed": "ID_seedK.wav"}  # "~" is how the run folders of lpo-tts write "#"
_MARKED = re.compile(rf"(?P<stem>.+)(?P<mark>{'|'.join(map(re.escape, MARKS))})(?P<seed>[0-9]{{1,9}})", re.DOTALL)
_SEED_FOLDER = re.compile(r"seed(?P<seed>[0-9]{1,9})")
LONGEST = 255  # bytes of a file name, on most file systems
Found = dict[str, dict[int, Path]]  # id -> seed -> file


class AudioFolder:
    """Finds the audio of ids below a folder, whatever the case of the suffix.

    An id never leads out of the folder. A link within it is followed: whoever made the folder put it there, and the
    downloads of the Hugging Face hub consist of links.

    Args:
        root: the folder.
        option: of a command line, which named it; for messages.
    """

    def __init__(self, root: Path, option: str) -> None:
        if not os.path.isdir(root):
            raise ArtefactError(f"{root}: expected a folder of audio, found none; check {option}")
        with os_errors("read", root):
            self.root = root.resolve()
        self.shown = root
        self._names: dict[Path, dict[str, Path]] = {}
        self._seeds: dict[Path, dict[tuple[str, str], dict[int, Path]]] = {}

    def find(self, name: str, below: str = "") -> Path | None:
        """The file of an id, by the first suffix that exists; `below`: in this folder of the root."""
        if not inside(name):
            return None
        stem = self.root / below / name
        return self._listing(stem.parent).get(stem.name)

    def find_marked(self, name: str, mark: str) -> dict[int, Path]:
        """Files of an id whose names end in a mark and the number of a seed."""
        if not inside(name):
            return {}
        stem = self.root / name
        self._listing(stem.parent)
        return self._seeds[stem.parent].get((stem.name, mark), {})

    def pieces(self, prompts: Sequence[Prompt]) -> list[Piece]:
        """The speech of every prompt by every seed of the folder, whether it is there or not, in the order of the prompts.

        Raises:
            ArtefactError: files of two layouts lie there, or a seed has two files.
        """
        layouts = self._layouts(prompts)
        layout, found = next(iter(layouts.items())) if layouts else (ONE, {})
        if len(layouts) > 1:
            shown = " and ".join(f"{name} ({_first(own).relative_to(self.root)})" for name, own in layouts.items())
            raise ArtefactError(
                f"{self.shown}: expected the audio of all utterances in one layout, found several: {shown}; give each system a "
                "folder of its own"
            )
        seeds = sorted({seed for own in found.values() for seed in own}) or [0]
        pieces = []
        for prompt in prompts:
            for seed in seeds:
                path = found.get(prompt.id, {}).get(seed) or self.root / name_of(layout, prompt.id, seed)
                pieces.append(Piece(id=candidate_id(prompt.id, seed), prompt=prompt, path=path, seed=seed))
        return pieces

    def _layouts(self, prompts: Sequence[Prompt]) -> dict[str, Found]:
        """The layouts of which at least one file is there. A file that an id of the list names itself is no seed of another."""
        plain: Found = {one.id: {0: path} for one in prompts if (path := self.find(one.id)) is not None}
        own = {path for files in plain.values() for path in files.values()}
        found: dict[str, Found] = {ONE: plain}
        for mark, layout in MARKS.items():
            found[layout] = {one.id: _without(self.find_marked(one.id, mark), own) for one in prompts}
        folders = self._seed_folders()
        found[FOLDERS] = {
            one.id: _without({seed: path for seed, name in folders.items() if (path := self.find(one.id, name)) is not None}, own)
            for one in prompts
        }
        some = {layout: {name: files for name, files in one.items() if files} for layout, one in found.items()}
        return {layout: one for layout, one in some.items() if one}

    def _seed_folders(self) -> dict[int, str]:
        with os_errors("read", self.root):
            names = sorted(os.listdir(self.root))
        folders: dict[int, str] = {}
        for name in names:
            match = _SEED_FOLDER.fullmatch(name)
            if match is not None and os.path.isdir(self.root / name):
                self._note(folders, int(match["seed"]), name)
        return folders

    def _listing(self, folder: Path) -> Mapping[str, Path]:
        """Files of a folder by their names without the suffix; those with a mark by seed too."""
        if folder in self._names:
            return self._names[folder]
        listed: list[str] = []
        if os.path.isdir(folder):
            with os_errors("read", folder):
                listed = sorted(os.listdir(folder))
        names: dict[str, Path] = {}
        for suffix in SUFFIXES:
            # The very suffix goes before one in other letters, and the first of SUFFIXES before the others.
            for exact in (True, False):
                for name in listed:
                    stem, own = os.path.splitext(name)
                    if (own == suffix if exact else own.lower() == suffix) and os.path.isfile(folder / name):
                        names.setdefault(stem, folder / name)
        seeds: dict[tuple[str, str], dict[int, Path]] = {}
        for stem, path in names.items():
            match = _MARKED.fullmatch(stem)
            if match is not None:
                self._note(seeds.setdefault((match["stem"], match["mark"]), {}), int(match["seed"]), path)
        self._names[folder], self._seeds[folder] = names, seeds
        return names

    def _note(self, files: dict, seed: int, file: object) -> None:
        if seed in files:
            raise ArtefactError(f"{self.shown}: seed {seed} stands twice: {files[seed]} and {file}; remove one of the two")
        files[seed] = file


def _without(files: Mapping[int, Path], others: set[Path]) -> dict[int, Path]:
    return {seed: path for seed, path in files.items() if path not in others}


def _first(found: Found) -> Path:
    return next(path for files in found.values() for path in files.values())


def name_of(layout: str, name: str, seed: int) -> str:
    """What the file of an id and a seed is called in a layout; an id that no file can be named after is shortened."""
    made = re.sub("ID|K", lambda found: name if found[0] == "ID" else str(seed), layout)
    return made if all(len(part.encode()) <= LONGEST for part in made.split("/")) else f"{file_name(name)}.wav"
