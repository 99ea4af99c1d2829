"""What can be listened to: the same text by several systems, or several candidates of one prompt."""

import filecmp
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from lpo_tts import audio, files
from lpo_tts.codecs.base import LoadedCodec
from lpo_tts.errors import ArtefactError
from lpo_tts.prompting.lists import check_recordings, load_list
from lpo_tts.records import Candidate, Prompt
from lpo_tts.speaking import decode
from lpo_tts.steps.audio_folder import AudioFolder
from lpo_tts.steps.candidates import read_part, wave_path
from lpo_tts.steps.run import Run

Sound = tuple[Tensor, int]  # (num_samples,) float32 and Hz
MOST_PROMPTS = 500  # ours: training prompts whose candidates are listed; nobody listens to more


@dataclass(frozen=True, kw_only=True)
class ClipFile:
    """One clip, read when it is first played.

    Attributes:
        candidate_id: in the tables of the run; "" for a recording.
        path: of the file, where it is one.
        read: gives the sound; raises ArtefactError where there is none.
    """

    candidate_id: str = ""
    path: Path | None = None
    read: Callable[[], Sound] = field(compare=False, repr=False)

    @classmethod
    def of_file(cls, path: Path, candidate_id: str = "") -> "ClipFile":
        """A clip that is an audio file."""
        return cls(candidate_id=candidate_id, path=path, read=lambda: audio.read(path))


@dataclass(frozen=True, kw_only=True)
class Item:
    """One text in one voice, and the clips of it.

    Attributes:
        id: unlike all others of a test.
        prompt_id: of the text.
        text: to be spoken.
        voice: recording of the voice that the clips should have.
        clips: name of the system, or id of the candidate, to its clip.
        reference: recording of this very text in this voice.
    """

    id: str
    prompt_id: str
    text: str
    voice: Path | None = None
    clips: Mapping[str, ClipFile] = field(default_factory=dict)
    reference: Path | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Of the clips there are."""
        return tuple(self.clips)

    @property
    def has_reference(self) -> bool:
        """There is a recording of the text."""
        return self.reference is not None

    def alike(self, one: str, other: str) -> bool:
        """Two clips are the same file to the last bit; of clips that are no files nobody knows before they are decoded."""
        paths = self.clips[one].path, self.clips[other].path
        return None not in paths and filecmp.cmp(*paths, shallow=False)  # type: ignore[type-var]


def system_items(run: Run, prompts: Mapping[str, Prompt], systems: Sequence[str]) -> list[Item]:
    """Held-out prompts as the systems of a run spoke them; a system that has no audio for a prompt is not among its clips."""
    found: dict[str, tuple[str, dict[str, ClipFile]]] = {}
    for system in systems:
        folder = run.synthesized_path(system)
        for part in sorted(folder.glob("part-*.jsonl")):
            for row in files.iterate_rows(part, Candidate):
                path = wave_path(folder, row.id)
                if row.prompt_id in prompts and path.exists():
                    _, clips = found.setdefault(row.id, (row.prompt_id, {}))
                    clips[system] = ClipFile.of_file(path, row.id)
    return [_item(name, prompts[prompt_id], clips, run.out) for name, (prompt_id, clips) in found.items()]


def candidate_items(
    run: Run, prompts: Mapping[str, Prompt], codec: Callable[[], LoadedCodec], most: int = MOST_PROMPTS
) -> list[Item]:
    """Training prompts with two or more candidates that can be decoded; answers on these can become preference pairs.

    Args:
        run: whose candidates.
        prompts: by id.
        codec: gives the loaded codec; called when a clip is first played.
        most: so many prompts at most.
    """
    lock = threading.Lock()
    found: dict[str, dict[str, ClipFile]] = {}
    for part in sorted(run.candidates_path.glob("part-*.jsonl")):
        for row in files.iterate_rows(part, Candidate):
            prompt = prompts.get(row.prompt_id)
            if prompt is not None and prompt.split == "train" and row.status == "ok" and row.num_frames:
                clip = ClipFile(candidate_id=row.id, read=_decoding(part, row.id, codec, lock))
                found.setdefault(row.prompt_id, {})[row.id] = clip
        if len(found) > most:
            break
    kept = [(name, clips) for name, clips in found.items() if len(clips) > 1][:most]
    return [_item(name, prompts[name], clips, run.out) for name, clips in kept]


def folder_items(table: Path, folders: Mapping[str, Path], language: str = "en") -> list[Item]:
    """The utterances of a list as folders of audio hold them, one folder for each system.

    Args:
        table: list of ids and texts, as `lpo_tts.prompting.lists.load_list` reads it.
        folders: system -> folder.
        language: of rows that name none.

    Raises:
        ArtefactError: list or folder cannot be read, the list names recordings that are not there, or nothing of it lies in
            any folder.
    """
    prompts = load_list(table, language)
    check_recordings(table, prompts)
    by_id = {prompt.id: prompt for prompt in prompts}
    found: dict[str, tuple[str, dict[str, ClipFile]]] = {}
    for system, folder in folders.items():
        for piece in AudioFolder(folder, f"{system}=").pieces(prompts):
            if piece.path.exists():
                _, clips = found.setdefault(piece.id, (piece.prompt.id, {}))
                clips[system] = ClipFile.of_file(piece.path, piece.id)
    if not found:
        raise ArtefactError(f"{table}: expected audio named after its ids in {_listed(folders.values())}, found none")
    return [_item(name, by_id[prompt_id], clips, Path()) for name, (prompt_id, clips) in found.items()]


def _item(name: str, prompt: Prompt, clips: Mapping[str, ClipFile], root: Path) -> Item:
    return Item(
        id=name,
        prompt_id=prompt.id,
        text=prompt.text,
        voice=root / prompt.voice.audio if prompt.voice is not None else None,
        clips=clips,
        reference=root / prompt.target.audio if prompt.target is not None else None,
    )


def _decoding(part: Path, candidate_id: str, codec: Callable[[], LoadedCodec], lock: threading.Lock) -> Callable[[], Sound]:
    def read() -> Sound:
        with lock:  # a codec decodes for one listener at a time
            codes = next((one.codes for one in read_part(part) if one.row.id == candidate_id), None)
            loaded = codec()
            wave = decode([codes], loaded)[0]
        if wave is None or not wave.numel():
            raise ArtefactError(f"{part}: nothing in the candidate {candidate_id} can be decoded")
        return wave, loaded.sample_rate

    return read


def _listed(paths: Iterable[Path]) -> str:
    return ", ".join(map(str, paths))
