"""Recordings through the codec and back: the best that a system with this codec could sound like."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from lpo_tts import audio
from lpo_tts.artefacts import Artefact
from lpo_tts.codecs.base import Codec
from lpo_tts.errors import ArtefactError
from lpo_tts.judging import voice_copy_path
from lpo_tts.metrics.base import Metric, needs_voice_copy
from lpo_tts.records import Prompt
from lpo_tts.steps.progress import check_failures, progress
from lpo_tts.steps.run import Plan

VOICES = "codec-copy-voices"  # folder of the voices' copies, beside the systems
Block = TypeVar("Block")
Result = TypeVar("Result")


class Recording(NamedTuple):
    """A recording under an id; `audio` is a path relative to the root of a worker."""

    id: str
    audio: str


class Where(Protocol):
    """Where copies are made and kept: `lpo_tts.steps.run.Run` is one."""

    @property
    def out(self) -> Path:
        """The folder of results, which recordings are relative to."""
        ...

    @property
    def worker_device(self) -> Any:  # a str; pyright takes no cached property for one
        """What torch calls the device of the workers."""
        ...

    def map(self, make_worker: Callable[[], Callable[[Block], Result]], blocks: Iterable[Block]) -> Iterator[Result]:
        """As `lpo_tts.engines.base.Engine.map`."""
        ...

    def prepare(self, plan: Plan, inputs: dict[str, str], *, tell: bool = True) -> tuple[Artefact, bool]:
        """Begins an artefact that is not complete; raises ArtefactError where it was made with other settings."""
        ...

    def identity(self, value: Any, kind: Any = None) -> Any:
        """Settings as plain values, with the contents of local files in place of their paths."""
        ...


@dataclass(frozen=True)
class CopyWorker:
    """Makes the function that puts one recording through the codec; it returns the wav, or why there is none."""

    codec: Codec
    device: str
    root: Path
    folder: Path

    def __call__(self) -> Callable[[Recording], tuple[Recording, Path | str]]:
        """Loads the codec once."""
        codec = self.codec.load(self.device)

        def write(recording: Recording) -> tuple[Recording, Path | str]:
            path = voice_copy_path(self.folder, recording.id)
            try:
                wave = audio.read_speech(self.root / recording.audio, codec.input_sample_rate)[0]
            except ArtefactError as error:
                return recording, str(error)
            audio.write(path, codec.decode(codec.encode([wave]))[0], codec.sample_rate)
            return recording, path

        return write


def copy_into(
    artefact: Artefact, where: Where, codec: Codec, recordings: Sequence[Recording], limit: float, caption: str
) -> None:
    """Puts every recording through the codec that has no copy yet, each once, and completes the artefact.

    Recordings that cannot be read are counted, and tried again when it is called again.

    Args:
        artefact: folder of the copies, each a part of its own.
        where: the folder that recordings are relative to, and what runs the work.
        codec: its settings.
        recordings: all of them, with different ids.
        limit: share of them that may fail.
        caption: of the progress bar.

    Raises:
        ArtefactError: more of them failed.
    """
    todo = [one for one in recordings if (part := artefact.parts.get(one.id)) is None or part.failed]
    if artefact.is_closed:
        if not todo:
            return
        artefact.begin()
    # In worker processes of one thread each, like every other candidate: the last bits depend on the number of threads.
    worker = CopyWorker(codec, where.worker_device, where.out, artefact.path)
    for recording, result in progress(where.map(worker, todo), caption, len(todo), "recording"):
        if isinstance(result, Path):
            artefact.add(recording.id, 1, [result])
        else:
            artefact.add(recording.id, 0, [], {recording.id: result})
    first = next((f"{key}: {reason}" for key, reason in artefact.failed.items()), "")
    check_failures(caption, len(artefact.failed), len(recordings), limit, first)
    artefact.finish(rows=len(recordings) - len(artefact.failed), failed=len(artefact.failed))


def voices_folder(out: Path) -> Path:
    """Where the voices' copies lie within a folder of results."""
    return out / "synthesized" / VOICES


def voices_wanted(metrics: Iterable[Metric]) -> bool:
    """Whether one of these metrics compares with the voices' copies."""
    return any(needs_voice_copy(metric) for metric in metrics)


def voices_plan(where: Where, codec: Codec) -> Plan:
    """The voices' copies before anything is done; a voice that is asked for later joins them."""
    return Plan(voices_folder(where.out), "synthesize", {"codec": where.identity(codec, Codec)})


def copy_voices(where: Where, codec: Codec, prompts: Iterable[Prompt], limit: float) -> Path:
    """Makes sure that the voice of every prompt has its copy through the codec; returns their folder, for `Panel`.

    Each recording of a voice is copied once, whatever the number of prompts that name it. One that was changed since it was
    copied is copied again.

    Raises:
        ArtefactError: more than `limit` of the voices cannot be read; or copies through another codec are there.
    """
    voices = {one.voice.id: Recording(one.voice.id, one.voice.audio) for one in prompts if one.voice is not None}
    artefact, _ = where.prepare(voices_plan(where, codec), {}, tell=False)
    copy_into(artefact, where, codec, list(voices.values()), limit, "codec copies of voices")
    return artefact.path
