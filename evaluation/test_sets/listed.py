"""Test sets that are a list: each row pairs a text with the recording of a voice, in seed-tts-eval's form or another."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from data_prep import seed_tts_eval
from evaluation.test_sets.base import Dropped, Recording
from lpo_tts.manifests.tables import table_file
from lpo_tts.prompting.lists import load_list
from lpo_tts.records import Prompt, Utterance

UNKNOWN = "text not known"  # of a voice, in the manifest, which takes no empty text; prompts have what their rows say


class Listed:
    """What lists have in common; a member gives `rows`, whose voices and targets name files of this machine."""

    def rows(self, local: Path) -> Iterator[Prompt | Dropped]:
        """What each row asks for."""
        raise NotImplementedError

    def recordings(self, local: Path) -> Iterator[Recording | Dropped]:
        """Every voice and every recording of a text, once."""
        seen: set[str] = set()
        for row in self.rows(local):
            if isinstance(row, Dropped):
                yield row
                continue
            for one in (row.voice, row.target):
                if one is not None and (name := name_of(one.audio, local)) not in seen:
                    seen.add(name)
                    yield Recording(
                        id=name,
                        audio=Path(one.audio),
                        text=one.text or UNKNOWN,
                        speaker=one.speaker or name,
                        language=row.language,
                        split="test",
                    )

    def prompts(self, local: Path, measured: Mapping[str, Utterance]) -> Iterator[Prompt | Dropped]:
        """The rows whose voice can be used. A recording of the text that cannot be used is left out; its prompt is not."""
        for row in self.rows(local):
            if isinstance(row, Dropped):
                continue  # told among the recordings
            voice = _measured(row.voice, local, measured)
            if row.voice is not None and voice is None:
                yield Dropped(id=row.id, reason=f"its voice cannot be used: {row.voice.audio}")
            else:
                yield replace(row, voice=voice, target=_measured(row.target, local, measured))


def _measured(one: Utterance | None, local: Path, measured: Mapping[str, Utterance]) -> Utterance | None:
    """The measured recording, with the text that its own row gives it."""
    found = measured.get(name_of(one.audio, local)) if one is not None else None
    return replace(found, text=one.text) if found is not None and one is not None else None


def name_of(audio: str, local: Path) -> str:
    """The id of a recording: its path below the local copy, or below the folder of the list."""
    return seed_tts_eval.name_of(os.path.abspath(audio), Path(os.path.abspath(local if local.is_dir() else local.parent)))


@dataclass(frozen=True)
class SeedTTSEval(Listed):
    """A list of seed-tts-eval; see `data_prep.seed_tts_eval`.

    Attributes:
        list: below the local copy, such as en/meta.lst.
        language: of its texts and voices.
    """

    list: str
    language: str

    def tables(self, local: Path) -> Mapping[str, Sequence[Path]]:
        """The list."""
        return {self.list: [seed_tts_eval.list_path(local, self.list)]}

    def rows(self, local: Path) -> Iterator[Prompt | Dropped]:
        """The rows with a voice and its text; what `wavs` beside the list holds is the recording of a text."""
        return seed_tts_eval.rows_of(local, seed_tts_eval.list_path(local, self.list), self.language)


@dataclass(frozen=True)
class Own(Listed):
    """A list of your own: JSONL, or seed-tts-eval's form; `lpo_tts.prompting.lists.load_list` says what a row may hold.

    Attributes:
        language: of rows that name none.
    """

    language: str = "en"

    def tables(self, local: Path) -> Mapping[str, Sequence[Path]]:
        """The list."""
        return {"list": [table_file(local, "a list of texts (.jsonl, or seed-tts-eval's form)", "name the file itself")]}

    def rows(self, local: Path) -> Iterator[Prompt | Dropped]:
        """Every row; one that is wrong stops the program, with its line."""
        yield from load_list(local, self.language)
