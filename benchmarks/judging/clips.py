"""Speech to make faults in: recordings in the layouts of LJSpeech and LibriSpeech, and the mini world's voices."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from data_prep import librispeech, ljspeech
from lpo_tts import audio
from lpo_tts.errors import ArtefactError
from lpo_tts.manifests.recordings import Recording

SAMPLE_RATE = 16000  # Hz


@dataclass(frozen=True)
class Clip:
    """A recording that ends well: (num_samples,) float32 at 16 kHz, and its text."""

    id: str
    text: str
    audio: Tensor


def recorded(folder: Path, longest: float) -> list[Clip]:
    """The recordings below a folder, at most so many seconds long, in the order of their ids.

    Raises:
        ArtefactError: there is none.
    """
    found = [one for one in _recordings(folder) if isinstance(one, Recording)]
    clips = [Clip(one.id, one.text, audio.read_speech(one.audio, SAMPLE_RATE)[0]) for one in found]
    clips = [one for one in sorted(clips, key=lambda one: one.id) if one.audio.numel() <= longest * SAMPLE_RATE]
    if not clips:
        raise ArtefactError(
            f"{folder}: expected metadata.csv of LJSpeech or *.trans.txt of LibriSpeech below it, with clips of at most "
            f"{longest} s; found none"
        )
    return clips


def _recordings(folder: Path) -> Iterator[object]:
    for table in sorted(folder.rglob("metadata.csv")):
        yield from ljspeech.find(table.parent)
    if any(folder.rglob("*.trans.txt")):
        yield from librispeech.find(folder)


def spoken(count: int, seed: int = 0) -> list[Clip]:
    """Sentences of the mini world in its voices, half of them in no training set; made in fresh processes, reproducibly."""
    from recipes.mini import corpus

    rng = random.Random(f"clips {seed}")
    known = rng.sample(corpus.VOICES_SEEN, count - count // 2)
    voices = [*known, *(rng.choice(corpus.VOICES_HELD_OUT) for _ in range(count // 2))]
    rng.shuffle(voices)
    texts = corpus.sentences(count, seed, "test")
    waves = corpus.generate(list(zip(texts, voices, strict=True)))
    made = zip(texts, waves, strict=True)
    return [Clip(f"mini-{index:03d}", text, torch.from_numpy(wave)) for index, (text, wave) in enumerate(made)]
