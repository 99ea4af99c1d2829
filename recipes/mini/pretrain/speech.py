"""Speech to train the judges on: train sentences in seen voices, distortions, codec copies, batches of one length."""

import dataclasses
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from recipes.mini import corpus

BUCKET = 5120  # samples: lengths are rounded up to 0.32 s, for oneDNN rebuilds its bfloat16 kernels at every new shape


@dataclass
class Clip:
    """One utterance: its words, its speaker, int16 samples at 16 kHz."""

    text: str
    speaker: str
    samples: np.ndarray

    @property
    def audio(self) -> Tensor:
        """(num_samples,) float32."""
        return torch.from_numpy(self.samples.astype(np.float32) / 32768.0)


def free_words(rng: random.Random) -> str:
    """1 to 7 words in any order.

    A third of the recognisers' speech is of this kind: trained on the grammar's sentences alone, a network with context
    learns the grammar and hears it where it was not said, and would pardon just the faults it has to find.
    """
    while True:
        text = " ".join(rng.choice(corpus.WORDS) for _ in range(rng.randint(1, 7)))
        if corpus.split_of(text) == "train":
            return text


def recogniser_speech(count: int, seed: int) -> list[Clip]:
    """Train sentences and free words; half of them at a pitch and rate somewhat off the voice's own."""
    rng = random.Random(f"recogniser speech {seed}")
    texts = corpus.sentences(count - count // 3, seed, "train") + [free_words(rng) for _ in range(count // 3)]
    rng.shuffle(texts)
    voices = []
    for _ in texts:
        voice = rng.choice(corpus.VOICES_SEEN)
        if rng.random() < 0.5:
            pitch, rate = voice.pitch + rng.randint(-12, 12), voice.rate + rng.randint(-15, 20)
            voice = dataclasses.replace(voice, pitch=pitch, rate=rate)
        voices.append(voice)
    return speak(list(zip(texts, voices, strict=True)))


def speak(specs: list[tuple[str, "corpus.Voice"]]) -> list[Clip]:
    """Synthesises every (text, voice)."""
    made = corpus.generate(specs)
    return [
        Clip(text, voice.name, np.round(audio * 32767).astype(np.int16)) for (text, voice), audio in zip(specs, made, strict=True)
    ]


def other_voices(clips: list[Clip], seed: int) -> list[Clip]:
    """Every second clip played at 0.84 to 1.2 times its speed: voices (pitch and formants) of nobody in the corpus."""
    rng = random.Random(f"other voices {seed}")
    made = []
    for index, clip in enumerate(clips):
        if index % 2:
            clip = at_speed(clip, rng.uniform(0.84, 1.2))
        made.append(clip)
    return made


def at_speed(clip: Clip, factor: float) -> Clip:
    """The clip played `factor` times as fast, pitch and formants with it."""
    audio = torch.nn.functional.interpolate(clip.audio[None, None], size=int(len(clip.samples) / factor), mode="linear")
    return Clip(clip.text, clip.speaker, (audio[0, 0] * 32767).round().to(torch.int16).numpy())


def resynthesise(clips: list[Clip], folder: str | Path, seed: int, faults: float = 0.0, batch_size: int = 32) -> list[Clip]:
    """The clips after the codec; `faults` is the share of codes replaced by random ones, in half of the clips.

    Such codes stand for what a language model gets wrong within a word: the words are still there, the sound is worse.
    """
    from lpo_tts.codecs.mini import MiniCodec
    from lpo_tts.codes import Codes

    codec = MiniCodec(model=str(folder)).load()
    generator = torch.Generator().manual_seed(seed)
    made: list[Clip] = []
    for start in range(0, len(clips), batch_size):
        chosen = clips[start : start + batch_size]
        codes = codec.encode([clip.audio for clip in chosen])
        spoilt = []
        for item in codes:
            share = faults if torch.rand((), generator=generator) < 0.5 else 0.0
            levels = []
            for level, size in zip(item.levels, codec.codebook_sizes, strict=False):
                other = torch.randint(size, level.shape, generator=generator)
                levels.append(torch.where(torch.rand(level.shape, generator=generator) < share, other, level))
            spoilt.append(Codes(tuple(levels)))
        for clip, audio in zip(chosen, codec.decode(spoilt), strict=True):
            samples = (audio.clamp(-1, 1) * 32767).round().to(torch.int16).numpy()
            made.append(Clip(clip.text, clip.speaker, samples))
    return made


def distort(audio: Tensor, num_samples: Tensor, mild: bool = False) -> tuple[Tensor, Tensor]:
    """Waveforms (batch, num_samples) each through another filter and with another noise; the batch at another speed.

    Filter: a smooth random curve within +-9 dB, and for a quarter a low-pass between 3 and 7 kHz. Noise: coloured (power
    falls by 0 to 6 dB per octave), 8 to 45 dB below the speech. Speed (and pitch with it): 0.93 to 1.08 times.
    `mild`, for speaker encoders: within +-3 dB, 18 to 45 dB, neither low-pass nor speed, for those belong to a voice.
    """
    batch, size = audio.shape
    if not mild:
        factor = 0.93 + 0.15 * float(torch.rand(()))
        scaled = torch.nn.functional.interpolate(audio[:, None], size=int(size / factor), mode="linear")[:, 0]
        num_samples = (num_samples / factor).long()
        audio = torch.zeros(batch, max(size, scaled.shape[1]))
        audio[:, : scaled.shape[1]] = scaled
        audio = audio[:, :size]  # kept at the bucket's length; what a slower copy loses is its last few per cent at most
        num_samples = num_samples.clamp(max=size)
    spectrum = torch.fft.rfft(audio)
    bins = spectrum.shape[1]
    most = 3.0 if mild else 9.0
    curve = torch.nn.functional.interpolate(torch.randn(batch, 1, 8) * most / 2, size=bins, mode="linear")[:, 0]
    gain = 10 ** (curve.clamp(-most, most) / 20)
    hertz = torch.linspace(0, 8000, bins)
    cut = torch.where(torch.rand(batch, 1) < (0.0 if mild else 0.25), 3000 + 4000 * torch.rand(batch, 1), 9000.0)
    gain = gain * torch.sigmoid((cut - hertz) / 150)
    clean = torch.fft.irfft(spectrum * gain, n=size)
    colour = (hertz.clamp(min=60) / 1000)[None] ** -(torch.rand(batch, 1))  # amplitude: 0 to -6 dB per octave
    noise = torch.fft.irfft(torch.fft.rfft(torch.randn(batch, size)) * colour, n=size)
    least = 18 if mild else 8
    level = 10 ** (-(least + (45 - least) * torch.rand(batch, 1)) / 20)
    power = clean.square().sum(1, keepdim=True).div(num_samples[:, None]).sqrt()
    noise = noise / noise.square().mean(1, keepdim=True).sqrt() * power * level
    return clean + noise, num_samples


class Batches:
    """Batches of clips of like length, the same for the same seed and step, whatever was asked before."""

    def __init__(self, clips: list[Clip], batch_size: int, seed: int) -> None:
        self.clips = clips
        self.batch_size = batch_size
        self.seed = seed
        self._epoch: tuple[int, list[list[int]]] = (-1, [])
        self.per_epoch = len(self._order(0))

    def _order(self, epoch: int) -> list[list[int]]:
        if self._epoch[0] != epoch:
            rng = random.Random(f"batches {self.seed} {epoch}")
            ids = list(range(len(self.clips)))
            rng.shuffle(ids)
            ids.sort(key=lambda i: len(self.clips[i].samples) // BUCKET)  # stable: shuffled within a bucket
            batches = [ids[i : i + self.batch_size] for i in range(0, len(ids) - self.batch_size + 1, self.batch_size)]
            rng.shuffle(batches)
            self._epoch = (epoch, batches)
        return self._epoch[1]

    def at(self, step: int) -> tuple[list[Clip], Tensor, Tensor]:
        """Clips, audio (batch, a multiple of BUCKET) float32 and their numbers of samples."""
        chosen = [self.clips[i] for i in self._order(step // self.per_epoch)[step % self.per_epoch]]
        num_samples = torch.tensor([len(clip.samples) for clip in chosen])
        size = -(-int(num_samples.max() * 1.08) // BUCKET) * BUCKET
        audio = torch.zeros(len(chosen), size)
        for row, clip in enumerate(chosen):
            audio[row, : len(clip.samples)] = clip.audio
        return chosen, audio, num_samples


def mask_bands(features: Tensor, bands: int = 2, widest: int = 10, spans: int = 2, longest: int = 12) -> Tensor:
    """SpecAugment on (batch, bands, frames): zeroes some bands and spans, the same ones for a whole batch row."""
    batch, num_bands, num_frames = features.shape
    keep = torch.ones(batch, num_bands, num_frames)
    rows = torch.arange(num_bands)[None, :, None]
    columns = torch.arange(num_frames)[None, None]
    for axis, count, most, size in ((rows, bands, widest, num_bands), (columns, spans, longest, num_frames)):
        for _ in range(count):
            width = torch.randint(0, most + 1, (batch, 1, 1))
            first = (torch.rand(batch, 1, 1) * (size - width)).long()
            keep = keep * ~((axis >= first) & (axis < first + width))
    return features * keep
