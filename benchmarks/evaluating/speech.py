"""Clips of mixed lengths to be judged, each with a text and a voice: real recordings, cut, or the mini world's voices."""

import random
from collections.abc import Sequence
from pathlib import Path

import torch

from data_prep import librispeech, ljspeech
from lpo_tts import audio
from lpo_tts.errors import ArtefactError
from lpo_tts.manifests.recordings import Recording
from lpo_tts.records import Prompt, Utterance
from lpo_tts.steps.judged_table import Item

SHORTEST = 2.0  # seconds of a cut clip; the speaker encoders need 1.6
MINI_RATE = 24_000  # Hz in which the mini world's clips are written, so that judges resample them as they would a codec's
PROMPTS = 4  # of the mini world, with one voice


def recorded(folder: Path, out: Path, count: int, seed: int = 0) -> list[Item]:
    """`count` clips of the recordings of LJSpeech or LibriSpeech below a folder, at their own sample rate.

    The first round takes every recording whole. Later ones cut each at a random length, and its text at the same share of
    the words. The voice of a clip is another whole recording of the same speaker.

    Raises:
        ArtefactError: there is no recording.
    """
    found: list[Recording] = []
    for table in sorted(folder.rglob("metadata.csv")):
        found += [one for one in ljspeech.find(table.parent) if isinstance(one, Recording)]
    if any(folder.rglob("*.trans.txt")):
        found += [one for one in librispeech.find(folder) if isinstance(one, Recording)]
    if not found:
        raise ArtefactError(f"{folder}: expected metadata.csv of LJSpeech or *.trans.txt of LibriSpeech below it; found none")
    waves = [audio.read(one.audio) for one in found]
    rng = random.Random(f"clips {seed}")
    items = []
    for number in range(count):
        one, (wave, rate) = found[number % len(found)], waves[number % len(found)]
        words, share = one.text.split(), 1.0
        if number >= len(found):
            share = rng.uniform(min(1.0, SHORTEST * rate / len(wave)), 1.0)
        path = out / "wavs" / f"{number:05d}.wav"
        audio.write(path, wave[: round(share * len(wave))], rate)
        others = [other for other in found if other.speaker == one.speaker and other is not one] or [one]
        other = others[number % len(others)]
        voice = _voice(other.id, Path(other.audio), other.text, other.speaker)
        text = " ".join(words[: max(1, round(share * len(words)))])
        items.append(Item(f"{number:05d}", Prompt(id=f"{number:05d}", text=text, voice=voice), path))
    return items


def of_the_mini_world(out: Path, count: int, seed: int = 0) -> list[Item]:
    """`count` sentences of the mini world, spoken by espeak-ng; PROMPTS of them share a recording of their voice."""
    from recipes.mini import corpus

    rng = random.Random(f"clips {seed}")
    speakers = [rng.choice(corpus.VOICES_HELD_OUT) for _ in range(-(-count // PROMPTS))]
    texts = corpus.sentences(count + len(speakers), seed, "test")
    said = [*speakers, *(speakers[number // PROMPTS] for number in range(count))]
    paths = []
    for number, wave in enumerate(corpus.generate(list(zip(texts, said, strict=True)))):
        paths.append(out / "wavs" / f"{number:05d}.wav")
        audio.write(paths[-1], audio.resample(torch.from_numpy(wave), corpus.SAMPLE_RATE, MINI_RATE), MINI_RATE)
    items = []
    for number, (text, path) in enumerate(zip(texts, paths, strict=True)):
        if number >= len(speakers):
            own = (number - len(speakers)) // PROMPTS
            voice = _voice(paths[own].stem, paths[own], texts[own], str(own))
            items.append(Item(path.stem, Prompt(id=path.stem, text=text, voice=voice), path))
    return items


def _voice(name: str, path: Path, text: str, speaker: str) -> Utterance:
    return Utterance(id=name, audio=str(path.absolute()), text=text, duration=1.0, speaker=speaker)


def seconds(items: Sequence[Item]) -> float:
    """Of all audio that is to be judged."""
    return sum(audio.duration(item.path) for item in items)
