"""Files that are no recording of speech, for every door that reads audio."""

import json
import math
import os
import struct
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.fault_trials.doors import COUNTED, TAKEN, Case, Place
from benchmarks.fault_trials.lives import Ended
from demo import uploads
from lpo_tts.files import read_json

RATE = 16000
TONE = (0.3 * np.sin(np.arange(RATE) / 5)).astype(np.float32)


def _raw(data: bytes) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_bytes(data)

    return make


def _wave(samples: np.ndarray, rate: int = RATE, **options: str) -> Callable[[Path], None]:
    return lambda path: soundfile.write(path, samples, rate, format="WAV", **options)


def _holding(value: float) -> np.ndarray:
    samples = TONE.copy()
    samples[-1] = value
    return samples


def _wav_header(at: int, value: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        soundfile.write(path, TONE, RATE, format="WAV")
        data = bytearray(path.read_bytes())
        data[at : at + 4] = struct.pack("<I", value)
        path.write_bytes(data)

    return make


def _flac(total: int, keep: float = 1.0) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        soundfile.write(path, TONE, RATE, format="FLAC")
        data = bytearray(path.read_bytes())
        packed = int.from_bytes(data[18:26], "big")  # rate, channels, bits and, in 36 bits, the number of samples
        data[18:26] = ((packed >> 36 << 36) | total).to_bytes(8, "big")
        path.write_bytes(data[: int(len(data) * keep)])

    return make


def _torn(path: Path) -> None:
    soundfile.write(path, TONE, RATE, format="WAV")
    path.write_bytes(path.read_bytes()[:10000])


def _link(path: Path, target: str) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


AUDIO: dict[str, Callable[[Path], None]] = {
    "no bytes": _raw(b""),
    "44 bytes of header alone": _wave(TONE[:0]),
    "text": _raw(b"this is no audio\n" * 100),
    "zeros": _raw(bytes(50000)),
    "a torn wav": _torn,
    "a wav that claims 4 GiB (good)": _wav_header(40, 0xFFFFFFFF),  # as programs write that cannot seek: it holds one second
    "a wav of rate 0": _wav_header(24, 0),
    "a wav of rate 2^32-1": _wav_header(24, 0xFFFFFFFF),
    "a wav of 1 Hz": _wave(np.resize(TONE, 100), 1),
    "a FLAC that claims 2^36-1 samples": _flac(2**36 - 1),
    "a FLAC that is torn": _flac(RATE, keep=0.5),
    "NaN among the samples": _wave(_holding(math.nan), subtype="FLOAT"),
    "infinity among the samples": _wave(_holding(math.inf), subtype="FLOAT"),
    "1e30 among the samples": _wave(_holding(1e30), subtype="FLOAT"),
    "silence": _wave(np.zeros_like(TONE)),
    "channels that cancel": _wave(np.stack([TONE, -TONE], axis=1)),
    "one sample": _wave(TONE[:1]),
    "a folder": lambda path: path.mkdir(),
    "a pipe": lambda path: os.mkfifo(path),
    "a link to nothing": lambda path: _link(path, "nowhere.wav"),
    "a link to itself": lambda path: _link(path, path.name),
    "a device": lambda path: _link(path, "/dev/zero"),
}


def put(kind: str, path: Path) -> Path:
    """A recording of this kind in place of what is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    AUDIO[kind](path)
    return path


def cases() -> Iterator[Case]:
    """Every kind as a recording of a corpus, as the only voice there is, and as an upload; bad_evaluations.py has it judged."""
    for kind in AUDIO:
        if kind.endswith("(good)"):
            yield Case("data_prep.folder", f"recording: {kind}", partial(_corpus, kind=kind), _in_manifest)
            yield Case("demo", f"upload: {kind}", partial(_upload, kind=kind), lambda place, ended: TAKEN)
            continue
        yield Case("data_prep.folder", f"recording: {kind}", partial(_corpus, kind=kind), _in_failed_rows)
        yield Case("run", f"voice: {kind}", partial(_voice, kind=kind), _in_side_car)
        yield Case("demo", f"upload: {kind}", partial(_upload, kind=kind))


def _corpus(place: Place, kind: str) -> list[str]:
    raw = place.folder / "raw"
    for number in range(3):
        put_tone(raw / f"good{number}.wav", 0.7 + number / 10)
        (raw / f"good{number}.txt").write_text(f"sentence {number}")
    put(kind, raw / "bad.wav")
    (raw / "bad.txt").write_text("the bad one")
    return [str(raw), "--out", str(place.folder / "manifest.jsonl"), "--max-failed", "0.5"]


def put_tone(path: Path, seconds: float) -> None:
    """A recording that is none of speech, but one that can be read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.resize(TONE, int(seconds * RATE)), RATE, format="WAV")


def _in_failed_rows(place: Place, ended: Ended) -> str | None:
    """The row is missing from the manifest and stands among the failed ones with its reason."""
    manifest, failed = place.folder / "manifest.jsonl", place.folder / "manifest.failed.jsonl"
    counted = failed.exists() and '"bad"' in failed.read_text() and '"bad"' not in manifest.read_text()
    return COUNTED if counted else None


def _in_manifest(place: Place, ended: Ended) -> str | None:
    return TAKEN if '"bad"' in (place.folder / "manifest.jsonl").read_text() else None


def _voice(place: Place, kind: str) -> list[str]:
    """A corpus in which the bad recording is the only voice that one sentence can take."""
    lines = []
    for number in range(8):
        put_tone(place.folder / "corpus" / f"{number}.wav", 0.8)
        speaker, split = ("a", "train") if number < 2 else ("b", "train") if number < 5 else ("c", "test")
        row = {"id": f"u{number}", "audio": f"{number}.wav", "duration": 0.8, "speaker": speaker, "split": split}
        lines.append(json.dumps({**row, "text": ("gate one", "gate two", "room one")[number % 3]}) + "\n")
    put(kind, place.folder / "corpus" / "1.wav")
    manifest = place.file("corpus/manifest.jsonl", "".join(lines))
    given = [f"out={place.out}", f"prompts.manifest={manifest}", "sample.max_failed=0.9", "prompts.max_failed=0.9"]
    return [str(place.world.recipe), *given, "sample.sampling.max_tokens=8", "engine.workers=0", "--until", "sample"]


def _in_side_car(place: Place, ended: Ended) -> str | None:
    """The sentence that takes this voice failed, and the side-car says why, or the list of those without a prompt does."""
    no_prompt = place.out / "prompts.failed.jsonl"
    if no_prompt.exists() and '"u0"' in no_prompt.read_text():
        return COUNTED
    meta = read_json(place.out / "candidates.meta.json")
    failed = {key: reason for part in meta["parts"].values() for key, reason in part["failed"].items()}
    return COUNTED if set(failed) == {"u0"} and all(failed.values()) and meta["counts"]["failed"] == 1 else None


def _upload(place: Place, kind: str) -> Callable[[], None]:
    path = put(kind, place.folder / "upload.wav")

    return lambda: uploads.uploaded(str(path))
