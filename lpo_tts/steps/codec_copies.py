"""Recordings through the codec and back: the best that a system with this codec could sound like."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from lpo_tts import audio
from lpo_tts.artefacts import Artefact
from lpo_tts.codecs.base import Codec
from lpo_tts.errors import ArtefactError
from lpo_tts.judging import voice_copies, voice_copy_path
from lpo_tts.metrics.base import Metric, needs_voice_copy
from lpo_tts.records import Prompt
from lpo_tts.steps.contents import digest_of
from lpo_tts.steps.judged import Where
from lpo_tts.steps.progress import check_failures, progress
from lpo_tts.steps.run import Plan


class Recording(NamedTuple):
    """A recording under an id; `audio` is a path relative to the root of a worker."""

    id: str
    audio: str


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
                path.unlink(missing_ok=True)  # of what was there before
                return recording, str(error)
            audio.write(path, codec.decode(codec.encode([wave]))[0], codec.sample_rate)
            return recording, path

        return write


def copy_into(
    artefact: Artefact,
    where: Where,
    codec: Codec,
    recordings: Sequence[Recording],
    limit: float,
    caption: str,
    by_content: bool = False,
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
        by_content: copy a recording again whose contents are others than when it was copied; else the artefact's inputs are
            those of the recordings.

    Raises:
        ArtefactError: more of them failed.
    """
    names = {one: f"{one.id} {_content(where.out / one.audio)}" if by_content else one.id for one in recordings}
    current = {one.id: name for one, name in names.items()}
    for name in [name for name in artefact.parts if current.get(name.rpartition(" ")[0], name) != name]:
        del artefact.parts[name]  # of what was there before
    todo = [one for one in recordings if (part := artefact.parts.get(names[one])) is None or part.failed]
    if artefact.is_closed:
        if not todo:
            return
        artefact.begin()
    # In worker processes of one thread each, like every other candidate: the last bits depend on the number of threads.
    worker = CopyWorker(codec, where.worker_device, where.out, artefact.path)
    for recording, result in progress(where.map(worker, todo), caption, len(todo), "recording"):
        if isinstance(result, Path):
            artefact.add(names[recording], 1, [result])
        else:
            artefact.add(names[recording], 0, [], {recording.id: result})
    first = next((f"{key}: {reason}" for key, reason in artefact.failed.items()), "")
    check_failures(caption, len(artefact.failed), len(recordings), limit, first)
    artefact.finish(rows=len(recordings) - len(artefact.failed), failed=len(artefact.failed))


def _content(path: Path) -> str:
    return hashlib.sha256(digest_of(path).encode()).hexdigest()[:16]


def voices_wanted(metrics: Iterable[Metric]) -> bool:
    """Whether one of these metrics compares with the voices' copies."""
    return any(needs_voice_copy(metric) for metric in metrics)


def voices_plan(where: Where, codec: Codec) -> Plan:
    """The voices' copies before anything is done; a voice that is asked for later joins them."""
    return Plan(voice_copies(where.out), "synthesize", {"codec": where.identity(codec, Codec)})


def copy_voices(where: Where, codec: Codec, prompts: Iterable[Prompt], limit: float) -> Path:
    """Makes sure that the voice of every prompt has its copy through the codec; returns their folder, for `Panel`.

    Each recording of a voice is copied once, whatever the number of prompts that name it. One that was changed since it was
    copied is copied again.

    Raises:
        ArtefactError: more than `limit` of the voices cannot be read; or copies through another codec are there.
    """
    voices = {one.voice.id: Recording(one.voice.id, one.voice.audio) for one in prompts if one.voice is not None}
    if not voices:
        return voice_copies(where.out)
    artefact, _ = where.prepare(voices_plan(where, codec), {}, tell=False)
    copy_into(artefact, where, codec, list(voices.values()), limit, "codec copies of voices", by_content=True)
    return artefact.path
