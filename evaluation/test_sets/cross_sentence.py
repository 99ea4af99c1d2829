"""LibriSpeech-PC test-clean, cross-sentence: F5-TTS's list of texts and voices over the recordings of LibriSpeech test-clean."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation.test_sets.base import Dropped
from evaluation.test_sets.listed import Listed
from lpo_tts.artefacts import file_hash
from lpo_tts.errors import ArtefactError
from lpo_tts.manifests.tables import lines, table_file
from lpo_tts.records import Prompt, Utterance

FIELDS = "ref_utt, ref_dur, ref_txt, gen_utt, gen_dur, gen_txt"


@dataclass(frozen=True)
class CrossSentence(Listed):
    """Rows of six cells between tabs: the voice (id, seconds, text), then what is to be said (id, seconds, text).

    Attributes:
        list: name of the list, in the local copy.
        subset: of LibriSpeech, whose folder holds `<speaker>/<chapter>/<id>.flac`.
        sha256: of the list that was verified; another one is read, and told.
    """

    list: str
    subset: str = "test-clean"
    sha256: str = ""

    def tables(self, local: Path) -> Mapping[str, Sequence[Path]]:
        """The list."""
        return {self.list: [self._list(local)]}

    def notes(self, local: Path) -> list[str]:
        """What is to be told of this copy."""
        if not self.sha256 or file_hash(self._list(local)) == self.sha256:
            return []
        return [f"{self._list(local)} is another list than the one that was verified (sha256 {self.sha256[:12]}...)"]

    def rows(self, local: Path) -> Iterator[Prompt | Dropped]:
        """One prompt a row; the recording of its text is the target."""
        folder, path = self._folder(local), self._list(local)
        seen: set[str] = set()
        for number, line in lines(path):
            where = f"{path.name}:{number}"
            cells = [cell.strip() for cell in line.split("\t")]
            if len(cells) != 6:
                yield Dropped(id=where, reason=f"{where}: expected 6 cells ({FIELDS}), found {len(cells)}")
                continue
            voice, _, voice_text, name, _, text = cells
            fault = next((one for one in (voice, name) if not _is_id(one)), None)
            if fault is not None:
                yield Dropped(id=where, reason=f"{where}: expected ids such as 4992-41806-0009, found {fault!r}")
            elif name in seen:
                yield Dropped(id=name, reason=f"{where}: the id stands twice")
            elif not text or not voice_text:
                yield Dropped(id=name, reason=f"{where}: expected the text and that of the voice, found an empty cell")
            else:
                yield Prompt(
                    id=name,
                    text=text,
                    voice=_utterance(folder, voice, voice_text),
                    target=_utterance(folder, name, text),
                    split="test",
                )
            seen.add(name)

    def _list(self, local: Path) -> Path:
        advice = f"put {self.list} (F5-TTS's repository, data/) into the folder that --from names"
        return table_file(local / self.list, "F5-TTS's list", advice)

    def _folder(self, local: Path) -> Path:
        for folder in (local / "LibriSpeech" / self.subset, local / self.subset):
            if folder.is_dir():
                return folder
        raise ArtefactError(
            f"{local}: expected the folder LibriSpeech/{self.subset} in it, found none; unpack {self.subset}.tar.gz there"
        )


def _is_id(name: str) -> bool:
    """Whether a name is `<speaker>-<chapter>-<number>`, so that it leads nowhere else."""
    parts = name.split("-")
    return len(parts) == 3 and all(part.isascii() and part.isdigit() for part in parts)


def _utterance(folder: Path, name: str, text: str) -> Utterance:
    speaker, chapter, _ = name.split("-")
    path = folder / speaker / chapter / f"{name}.flac"
    return Utterance(id=name, audio=str(path), text=text, duration=0.0, speaker=speaker)
