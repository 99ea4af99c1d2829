"""The mini world's corpus: sentences of 28 words, spoken by espeak-ng voices; a module to import and a program."""

import argparse
import ctypes
import hashlib
import multiprocessing
import os
import random
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import soxr
import torch

from lpo_tts import audio as sound
from lpo_tts import files
from lpo_tts.bounds import at_least, check_value
from lpo_tts.errors import ArtefactError, ComponentError, ConfigError, exit_code
from lpo_tts.records import Utterance

CARRIERS = ("gate", "room", "line", "track", "page", "door", "lane", "seat", "bus", "flight")
COLOURS = ("red", "blue", "green", "white", "black", "brown", "pink", "gold")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
WORDS = CARRIERS + COLOURS + DIGITS

SAMPLE_RATE = 16000  # Hz
LOUDNESS = 0.08  # root mean square of every utterance (about -22 dB)
CHUNK = 64  # utterances spoken by one process
MARGIN = 0.04  # seconds kept before and after the speech

# Variants of espeak-ng whose English is intelligible and whose voices are distinct (many other ones are hardly so).
VARIANTS_SEEN = ("benjamin", "f1", "f2", "f5", "klatt", "klatt3", "klatt4", "m5", "m6", "Diogo", "adam", "Reed", "miguel")
VARIANTS_HELD_OUT = ("Hugo", "sandro")
PITCHES = (30, 50, 70)  # espeak's scale, 0 to 99
RATES = (140, 150, 160)  # words per minute on espeak's scale


@dataclass(frozen=True)
class Voice:
    """One speaker: an espeak-ng variant at a pitch (0 to 99) and a rate (words per minute)."""

    name: str
    variant: str
    pitch: int
    rate: int


def _voices(variants: Sequence[str]) -> tuple[Voice, ...]:
    return tuple(
        # The rate turns with the variant, so that pitch and rate are not tied to each other.
        Voice(f"{variant.lower()}-{pitch}", variant, pitch, RATES[(number + step) % len(RATES)])
        for number, variant in enumerate(variants)
        for step, pitch in enumerate(PITCHES)
    )


VOICES_SEEN = _voices(VARIANTS_SEEN)
VOICES_HELD_OUT = _voices(VARIANTS_HELD_OUT)  # in no training set: neither codec, base, recognisers nor speaker encoders


def split_of(sentence: str) -> str:
    """Split of a sentence by a stable hash of its words: train 90 %, dev 5 %, test 5 %."""
    place = int.from_bytes(hashlib.sha256(sentence.encode()).digest()[:8], "big") % 100
    return "train" if place < 90 else "dev" if place < 95 else "test"


def sentence(rng: random.Random) -> str:
    """A carrier word, a colour half of the time, 2 to 5 digits."""
    words = [rng.choice(CARRIERS)]
    if rng.random() < 0.5:
        words.append(rng.choice(COLOURS))
    words += [rng.choice(DIGITS) for _ in range(rng.randint(2, 5))]
    return " ".join(words)


def sentences(n: int, seed: int, split: str) -> list[str]:
    """`n` distinct sentences of one split (of some ten million), the same ones for the same seed."""
    if split not in ("train", "dev", "test"):
        raise ConfigError(f"split: expected train, dev or test, found {split!r}")
    rng = random.Random(f"sentences {split} {seed}")
    found: dict[str, None] = {}
    while len(found) < n:
        text = sentence(rng)
        if split_of(text) == split:
            found[text] = None
    return list(found)


def faulty(text: str, rng: random.Random) -> str:
    """The text with ONE word substituted, inserted or dropped (a third each), as transcripts of scraped corpora have.

    A substitute comes from the same class as the word (a digit for a digit), an inserted word from any class.
    Used for the texts of the base LM's training alone; what is spoken does not change.
    """
    words = text.split()
    kind = rng.choice(("substitute", "insert", "drop"))
    place = rng.randrange(len(words))
    if kind == "substitute":
        group = next(group for group in (CARRIERS, COLOURS, DIGITS) if words[place] in group)
        words[place] = rng.choice([word for word in group if word != words[place]])
    elif kind == "insert":
        words.insert(rng.randint(0, len(words)), rng.choice(WORDS))
    else:
        del words[place]
    return " ".join(words)


class _Espeak:
    """libespeak-ng through ctypes, one per process; audio arrives in chunks through a callback."""

    SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS of speak_lib.h
    RATE, PITCH = 1, 3  # espeakRATE, espeakPITCH
    UTF8 = 1  # espeakCHARS_UTF8

    def __init__(self) -> None:
        try:
            import espeakng_loader
        except ImportError as error:
            raise ComponentError("the mini corpus needs espeakng-loader; pip install 'lpo-tts[mini]'") from error
        self.library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path()
        self.native_rate = self.library.espeak_Initialize(self.SYNCHRONOUS, 0, data.encode(), 0)
        if self.native_rate <= 0:
            raise ComponentError(f"{data}: espeak-ng does not start from this folder (a path over 160 characters is too long)")
        self.chunks: list[np.ndarray] = []
        kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
        self.callback = kind(self._receive)  # kept: the library holds only a pointer to it
        self.library.espeak_SetSynthCallback(self.callback)

    def _receive(self, samples, count: int, _events) -> int:
        if samples and count > 0:
            self.chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    def say(self, text: str, voice: Voice) -> np.ndarray:
        """int16 samples at `native_rate`; the voice is set anew each time, which resets what an utterance leaves behind."""
        name = f"en-us+{voice.variant}"
        if self.library.espeak_SetVoiceByName(name.encode()):
            raise ComponentError(f"espeak-ng has no voice {name!r}")
        self.library.espeak_ng_SetRandSeed(ctypes.c_long(1))
        self.library.espeak_SetParameter(self.RATE, voice.rate, 0)
        self.library.espeak_SetParameter(self.PITCH, voice.pitch, 0)
        self.chunks = []
        spoken = text.encode() + b"\0"
        status = self.library.espeak_Synth(spoken, ctypes.c_size_t(len(spoken)), 0, 0, 0, self.UTF8, None, None)
        if status or not self.chunks:
            raise ComponentError(f"espeak-ng did not speak {text!r} with {name!r} (status {status})")
        return np.concatenate(self.chunks)


@cache
def _espeak() -> _Espeak:
    return _Espeak()


def synthesise(text: str, voice: Voice) -> np.ndarray:
    """The text spoken: (num_samples,) float32 at 16 kHz, trimmed of silence, at one loudness for all utterances.

    espeak-ng carries state from one utterance to the next (flutter, noise), so the same call may give samples that
    differ inaudibly; `generate` starts from a fresh process and is reproducible.
    """
    engine = _espeak()
    audio = engine.say(text, voice).astype(np.float32) / 32768.0
    audio = soxr.resample(audio, engine.native_rate, SAMPLE_RATE, quality="HQ").astype(np.float32)
    loud = np.flatnonzero(np.abs(audio) > 0.02 * np.abs(audio).max())
    margin = int(MARGIN * SAMPLE_RATE)
    audio = audio[max(int(loud[0]) - margin, 0) : int(loud[-1]) + margin]
    audio = audio * (LOUDNESS / float(np.sqrt(np.mean(audio**2))))
    return np.clip(audio, -1.0, 1.0).astype(np.float32)


def _synthesise_chunk(specs: Sequence[tuple[str, Voice]]) -> list[np.ndarray]:
    return [synthesise(text, voice) for text, voice in specs]


def generate(specs: Sequence[tuple[str, Voice]], processes: int = 1) -> Iterator[np.ndarray]:
    """Audio of every (text, voice), in order: the same for any number of processes.

    Every run of `CHUNK` specs is spoken by a fresh process (forked, so on POSIX), because espeak-ng remembers.
    """
    chunks = [specs[start : start + CHUNK] for start in range(0, len(specs), CHUNK)]
    with multiprocessing.get_context("fork").Pool(processes, signal.signal, (signal.SIGINT, signal.SIG_IGN), 1) as pool:
        for audio in pool.imap(_synthesise_chunk, chunks, chunksize=1):
            yield from audio


def rows(split: str, count: int, seed: int) -> list[tuple[Utterance, Voice]]:
    """The manifest rows of a split, with their voices; durations are not yet known (0).

    Train rows have seen voices only; of the others half have seen and half held-out voices. Each speaker speaks at
    least three of the rows where the count allows, so that a voice can be taken from another recording.
    """
    rng = random.Random(f"rows {split} {seed}")
    groups = [("seen", VOICES_SEEN, count)] if split == "train" else []
    if split != "train":
        groups = [("seen", VOICES_SEEN, count - count // 2), ("held-out", VOICES_HELD_OUT, count // 2)]
    texts = iter(sentences(count, seed, split))
    made = []
    for tag, voices, size in groups:
        chosen = rng.sample(voices, min(len(voices), max(1, size // 3)))
        for index in range(size):
            voice = chosen[index % len(chosen)]
            name = f"{split}-{len(made):05d}"
            row = Utterance(
                id=name, audio=f"audio/{name}.wav", text=next(texts), duration=0.0, speaker=voice.name,
                language="en", split=split, tags={"voice": tag},
            )  # fmt: skip
            made.append((row, voice))
    return made


def build(folder: Path, sizes: dict[str, int], seed: int, processes: int) -> str:
    """Writes `audio/` and `manifest.jsonl` under a folder; returns one line saying what was done.

    Raises:
        ArtefactError: the folder holds a corpus made by other settings, or cannot be written.
        ConfigError: a size, the seed or the number of processes is below its least value.
    """
    for name, value in {**sizes, "seed": seed}.items():
        check_value(name, value, at_least(0))
    check_value("processes", processes, at_least(1))
    settings = {"seed": seed, "sizes": sizes, "voices": [asdict(voice) for voice in VOICES_SEEN + VOICES_HELD_OUT]}
    settings["loudness"] = LOUDNESS
    manifest, side_car = folder / "manifest.jsonl", folder / "corpus.json"
    total = sum(sizes.values())
    if side_car.is_file():
        found = files.read_json(side_car)
        changed = [key for key in settings if not isinstance(found, dict) or found.get(key) != settings[key]]
        if changed:
            raise ArtefactError(
                f"{side_car}: this corpus was made by other settings ({', '.join(changed)}); choose another --out"
            )
        if manifest.is_file() and _whole(folder, files.read_rows(manifest, Utterance), total):
            return f"{manifest}: up to date ({total} utterances)"
    files.write_json(side_car, settings)
    work = [pair for split, size in sizes.items() for pair in rows(split, size, seed)]
    done = []
    for (row, _), audio in zip(work, generate([(row.text, voice) for row, voice in work], processes), strict=True):
        sound.write(folder / row.audio, torch.from_numpy(audio), SAMPLE_RATE)
        done.append(replace(row, duration=round(len(audio) / SAMPLE_RATE, 4)))
    files.write_rows(manifest, done)
    return f"{manifest}: {total} utterances, {sum(row.duration for row in done) / 60:.1f} minutes"


def _whole(folder: Path, found: Sequence[Utterance], total: int) -> bool:
    """Whether every utterance is there, its recording as long as the table says: 16 bits behind a header of 44 bytes."""

    def size(row: Utterance) -> int:
        path = folder / row.audio
        return path.stat().st_size if path.is_file() else 0

    return len(found) == total and all(abs(size(row) - 44 - 2 * SAMPLE_RATE * row.duration) <= 4 for row in found)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--train", type=int, default=1500, help="utterances for training (seen voices)")
    parser.add_argument("--dev", type=int, default=100, help="utterances for choosing (half held-out voices)")
    parser.add_argument("--test", type=int, default=180, help="utterances for the last figures (half held-out voices)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=min(4, os.cpu_count() or 1))
    options = parser.parse_args(arguments)
    sizes = {"train": options.train, "dev": options.dev, "test": options.test}
    return exit_code("corpus.py", lambda: print(build(options.out, sizes, options.seed, options.processes), file=sys.stderr))


if __name__ == "__main__":
    sys.exit(main())
