"""The recordings of a page: read once each, drawn, and put into the page as FLAC while its budget lasts."""

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from lpo_tts import decoding, places
from lpo_tts.comparison.results import Example, Side
from lpo_tts.errors import ArtefactError
from lpo_tts.report.facts import audio_url
from lpo_tts.report.spectrogram import Sound, pictures

BUDGET = 25_000_000  # bytes of the page that recordings may take; what is beyond stays beside it
LONGEST = 120.0  # s; a longer recording is linked, neither drawn nor held in memory
DEEP = {"PCM_24", "PCM_32", "FLOAT", "DOUBLE"}  # subtypes that 16 bits would cut
BLOCK = 1 << 18


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One recording as the page has it.

    Attributes:
        source: what the player plays, a `data:` address or a relative one; "" where nothing can be played.
        embedded: whether it lies in the page.
        picture: waveform and spectrogram, as Markup; "" where it could not be read.
        fault: why it could not be read; "" where it could.
    """

    source: str = ""
    embedded: bool = False
    picture: str = ""
    fault: str = ""


@dataclass(frozen=True, kw_only=True)
class Clips:
    """All recordings: one row per example, one clip per side of it."""

    rows: tuple[tuple[Clip, ...], ...] = ()

    @property
    def num_embedded(self) -> int:
        """Recordings within the page."""
        return sum(clip.embedded for row in self.rows for clip in row)

    @property
    def num_beside(self) -> int:
        """Recordings that can be played, but lie beside the page."""
        return sum(bool(clip.source) and not clip.embedded for row in self.rows for clip in row)


def gather(examples: Sequence[Example], folder: Path, *, embed: bool = True, budget: int = BUDGET) -> Clips:
    """Reads every recording of the examples once.

    Args:
        examples: rows with audio paths relative to `folder`.
        folder: of the page.
        embed: whether recordings go into the page.
        budget: bytes that they may take there; the examples come first served in their order.
    """
    rows = []
    for example in examples:
        row, taken = _row(example.sides, folder, budget if embed else 0)
        budget -= taken
        rows.append(row)
    return Clips(rows=tuple(rows))


def _row(sides: Sequence[Side], folder: Path, budget: int) -> tuple[tuple[Clip, ...], int]:
    """The clips of one example, and what they take of the budget: all of its sides are embedded, or none."""
    sounds: list[Sound | None] = []
    sources: list[str] = []
    faults: list[str] = []
    for side in sides:
        sound, data, fault = _read(side, folder, budget > 0)
        sounds.append(sound)
        sources.append(data)
        faults.append(fault)
    taken = sum(map(len, sources))
    fits = 0 < taken <= budget
    drawn = pictures(sounds, [side.system for side in sides])
    clips = []
    for side, data, fault, picture in zip(sides, sources, faults, drawn, strict=True):
        linked = audio_url(side.audio) if side.audio is not None and not side.missing and not fault else ""
        embedded = fits and bool(data)
        clips.append(Clip(source=data if embedded else linked, embedded=embedded, picture=picture, fault=fault))
    return tuple(clips), taken if fits else 0


def _read(side: Side, folder: Path, encode: bool) -> tuple[Sound | None, str, str]:
    """What is drawn, the recording as an address (if asked for and possible), and a fault."""
    if side.audio is None or side.missing:
        return None, "", ""
    path = folder / side.audio
    try:
        samples, rate, subtype = _samples(path)
    except ArtefactError as error:
        return None, "", str(error).replace(str(path), side.audio)  # the page may travel; this machine's folders need not
    if samples is None:
        return None, "", ""
    sound = Sound(samples.mean(axis=1, dtype=np.float32), rate)
    return sound, _flac(samples, rate, subtype) if encode else "", ""


def _samples(path: Path) -> tuple[NDArray[np.float32] | None, int, str]:
    """(num_samples, channels), sample rate in Hz and subtype; no samples for a recording longer than LONGEST."""
    place = places.find(path)
    if isinstance(place, str):
        raise ArtefactError(f"{path}: expected an audio file, found {place}")
    kept: list[NDArray[np.float32]] = []
    count = 0
    with decoding.opened(place, path) as file:
        rate, subtype = int(file.samplerate), str(file.subtype)
        for block in decoding.blocks(file, BLOCK, place.stretch, path):
            kept.append(block)
            count += len(block)
            if count > LONGEST * rate:
                return None, rate, subtype
    if not count:
        raise ArtefactError(f"{path}: expected audio, found no samples")
    samples = np.concatenate(kept)
    if not np.isfinite(samples).all():
        raise ArtefactError(f"{path}: expected audio, found NaN or infinity")
    return samples, rate, subtype


def _flac(samples: NDArray[np.float32], rate: int, subtype: str) -> str:
    """The samples as a `data:` address, lossless up to 24 bits; "" for what FLAC cannot hold."""
    bits = 24 if subtype in DEEP else 16
    full = 1 << (bits - 1)
    whole = np.clip(np.rint(samples.astype(np.float64) * full), -full, full - 1).astype(np.int32) << (32 - bits)
    file = io.BytesIO()
    try:
        soundfile.write(file, whole, rate, format="FLAC", subtype=f"PCM_{bits}")
    except soundfile.LibsndfileError:  # more than eight channels, or a rate that FLAC does not know
        return ""
    return "data:audio/flac;base64," + base64.b64encode(file.getvalue()).decode()


def placed(examples: Sequence[Example], clips: Clips) -> Iterator[tuple[Example, tuple[Clip, ...]]]:
    """Examples with their clips; clips of nothing where there are none."""
    for k, example in enumerate(examples):
        yield example, clips.rows[k] if k < len(clips.rows) else tuple(Clip() for _ in example.sides)


def anchors(examples: Sequence[Example]) -> Mapping[str, str]:
    """Prompt id -> anchor of its first example in the page."""
    found: dict[str, str] = {}
    for k, example in enumerate(examples):
        found.setdefault(example.prompt_id, f"example-{k + 1}")
    return found
