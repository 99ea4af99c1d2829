"""Stretches of long recordings: what reading one costs per format, and whether its samples are those of the whole file.

A recording of some minutes is written in every format, and decoded once. Then stretches at random places are read, with
several seconds decoded before them. A stretch is exact when every sample equals that of the decoded file.

    python -m benchmarks.stretches --speech LJSpeech-1.1/wavs --minutes 60 --stretches 200
"""

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch

from lpo_tts import audio, decoding
from lpo_tts.errors import ArtefactError, exit_code

RATE = 16000
FORMATS = {
    "wav": {"format": "WAV"},
    "flac": {"format": "FLAC"},
    "ogg (Vorbis)": {"format": "OGG", "subtype": "VORBIS"},
    "ogg (Opus)": {"format": "OGG", "subtype": "OPUS"},
    "mp3": {"format": "MP3"},
}
LEADS = (0.0, 0.08, 0.5, 1.0, 2.0, 4.0)  # s
SECONDS = 5.0  # of a stretch


@dataclass(frozen=True)
class Row:
    """What reading stretches of one format gave.

    Attributes:
        lead: seconds decoded before a stretch; None = the way that `lpo_tts.audio` reads this format.
        exact: share of the stretches whose samples are those of the decoded file.
        worst: largest difference of a sample, full scale is 1.
        noise: power of the differences in dB over that of the signal, of the worst stretch; -inf where all are exact.
        mean, slowest: milliseconds for a stretch, the file opened each time.
        whole: seconds for decoding the whole file.
    """

    format: str
    lead: float | None
    exact: float
    worst: float
    noise: float
    mean: float
    slowest: float
    whole: float


def speech(folder: Path | None, minutes: float) -> np.ndarray:
    """(num_samples,) float32 at RATE: the recordings of a folder again and again, or a voice-like tone with noise."""
    size = round(minutes * 60 * RATE)
    if folder is None:
        seconds = np.arange(min(size, 60 * RATE)) / RATE
        tone = 0.3 * np.sin(2 * np.pi * (200 + 50 * np.sin(0.7 * seconds)) * seconds) * (0.6 + 0.4 * np.sin(3 * seconds))
        return np.resize(tone + 0.02 * np.random.default_rng(0).standard_normal(len(tone)), size).astype(np.float32)
    paths = sorted(path for path in folder.rglob("*") if path.suffix in (".wav", ".flac"))
    if not paths:
        raise ArtefactError(f"{folder}: expected .wav or .flac files below it, found none")
    return np.resize(np.concatenate([audio.read(path, RATE)[0].numpy() for path in paths]), size)


def measure(wave: np.ndarray, folder: Path, num_stretches: int, formats: Sequence[str] = tuple(FORMATS)) -> Iterator[Row]:
    """Writes the recording in each format and yields a row for the library's way and for each lead."""
    for name in formats:
        path = folder / name.replace(" ", "-")
        with soundfile.SoundFile(path, "w", RATE, 1, **FORMATS[name]) as file:
            for start in range(0, len(wave), 10 * RATE):  # libsndfile's Vorbis writer fails on hours at once
                file.write(wave[start : start + 10 * RATE])
        begun = time.perf_counter()
        whole = audio.read(path)[0]
        seconds = time.perf_counter() - begun
        starts = np.random.default_rng(1).uniform(0, len(whole) / RATE - SECONDS, num_stretches).round(3)
        with soundfile.SoundFile(path) as file:
            kind = decoding.kind_of(file)
        for lead in (None, *LEADS) if kind != "WAV" else (None,):
            with _leading(kind, lead):
                yield _row(name, lead, path, whole, starts, seconds)


@contextmanager
def _leading(name: str, lead: float | None) -> Iterator[None]:
    """Reads a format with another lead, for as long as the block lasts."""
    before = dict(decoding.LEAD)
    if lead is not None:
        decoding.LEAD[name] = lead
    try:
        yield
    finally:
        decoding.LEAD.clear()
        decoding.LEAD.update(before)


def _row(name: str, lead: float | None, path: Path, whole: torch.Tensor, starts: np.ndarray, seconds: float) -> Row:
    exact, worst, noise, times = 0, 0.0, -math.inf, []
    for start in starts.tolist():
        begun = time.perf_counter()
        found = audio.read(f"{path}#t={start},{start + SECONDS:.3f}")[0]
        times.append(1000 * (time.perf_counter() - begun))
        wanted = whole[round(start * RATE) :][: len(found)]
        difference = found - wanted
        exact += not difference.any()
        worst = max(worst, float(difference.abs().max()))
        noise = max(noise, audio.rms_db(difference) - audio.rms_db(wanted))
    return Row(name, lead, exact / len(starts), worst, noise, sum(times) / len(times), max(times), seconds)


HEAD = """\
| format | seconds decoded before | exact | largest difference | difference to signal | ms, mean | ms, slowest | s, whole file |
|---|---|---|---|---|---|---|---|"""


def line(row: Row) -> str:
    """A row of a table in Markdown."""
    lead = "as the library does" if row.lead is None else f"{row.lead:g}"
    noise = "none" if row.noise == -math.inf else f"{row.noise:.0f} dB"
    return (
        f"| {row.format} | {lead} | {100 * row.exact:.0f} % | {row.worst:.1e} | {noise} | {row.mean:.0f} | {row.slowest:.0f} "
        f"| {row.whole:.1f} |"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", type=Path, metavar="DIR", help="recordings that are joined (default: a tone with noise)")
    parser.add_argument("--minutes", type=float, default=60.0, help="length of the recording (default: %(default)s)")
    parser.add_argument("--stretches", type=int, default=200, help="how many are read (default: %(default)s)")
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS), help="default: all")
    given = parser.parse_args(arguments)

    def work() -> None:
        torch.set_num_threads(1)
        with tempfile.TemporaryDirectory() as folder:
            wave = speech(given.speech, given.minutes)
            print(HEAD)
            for row in measure(wave, Path(folder), given.stretches, given.formats):
                print(line(row), flush=True)

    return exit_code("stretches", work)


if __name__ == "__main__":
    sys.exit(main())
