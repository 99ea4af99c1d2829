"""A corpus of any size, and parts that cost next to nothing: what is left of a run's time is the toolkit's own."""

import random
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from lpo_tts import artefacts, audio
from lpo_tts.backbones.base import Backbone, TokenMap
from lpo_tts.codecs.base import check_audio, check_codes
from lpo_tts.codes import Codes
from lpo_tts.metrics.base import Speech
from lpo_tts.records import Judgement, Utterance
from lpo_tts.sampling.base import Drawing, SampledAnswer, SampleRequest, changed_settings

RATE, HOP, SIZE = 16_000, 320, 1024  # Hz, samples of a frame, codes: those of the mini codec
PER_SPEAKER = 100  # recordings
FRAMES = (20, 60)  # of a candidate
UNENDED = 20  # one candidate of so many has no end


def write_corpus(folder: Path, size: int, token_map: TokenMap) -> Path:
    """A manifest of `size` recordings, all of which are one file of a second; returns its path."""
    path = folder / "manifest.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    wave = 0.1 * torch.sin(torch.arange(RATE) * 0.1)
    audio.write(folder / "one.wav", wave, RATE)
    draw, words = random.Random(0), token_map.words()
    with artefacts.table_writer(path) as row:
        for number in range(size):
            text = " ".join(draw.choices(words, k=6))
            speaker = f"speaker-{number // PER_SPEAKER:06d}"
            row(Utterance(id=f"{speaker}-{number:07d}", audio="one.wav", text=text, duration=1.0, speaker=speaker, split="train"))
    return path


@dataclass(frozen=True)
class FakeSampler(Drawing):
    """Draws codes without a model: any code is as likely as any other.

    Attributes:
        part_size: candidates of a part.
    """

    part_size: int = 128

    def load(self, backbone: Backbone, device: str = "cpu", model: str | None = None) -> "LoadedFakeSampler":
        """Reads the layout of the tokens, which are those of a real model."""
        return LoadedFakeSampler(self, backbone.token_map())


class LoadedFakeSampler:
    """See `FakeSampler`."""

    def __init__(self, settings: FakeSampler, token_map: TokenMap) -> None:
        self.settings, self.token_map = settings, token_map

    def sample(self, requests: Iterable[SampleRequest]) -> Iterator[SampledAnswer]:
        """Codes that depend on the seed alone."""
        for request in requests:
            for index, seed in enumerate(request.seeds):
                draw = random.Random(seed)
                codes = torch.tensor([draw.randrange(SIZE) for _ in range(draw.randint(*FRAMES))])
                tokens, finished = self.token_map.answer(Codes((codes,))), draw.randrange(UNENDED) > 0
                yield SampledAnswer(request.prompt_id, index, seed, tokens if finished else tokens[:-1], finished)

    def changed(self, **changes: Any) -> "LoadedFakeSampler":
        """The same with other settings."""
        return LoadedFakeSampler(changed_settings(self.settings, changes, ("part_size",)), self.token_map)


@dataclass(frozen=True)
class FakeCodec:
    """A codec whose sound of a code is its number; the levels of a wave are its codes."""

    def load(self, device: str = "cpu") -> "FakeCodec":
        """There is nothing to load."""
        return self

    input_sample_rate: ClassVar[int] = RATE
    sample_rate: ClassVar[int] = RATE
    frame_rate: ClassVar[float] = RATE / HOP
    codebook_sizes: ClassVar[tuple[int, ...]] = (SIZE,)

    def encode(self, audio: Sequence[Tensor]) -> list[Codes]:
        """One code per frame."""
        check_audio(audio)
        return [Codes((((wave[::HOP].clamp(-1, 1) + 1) * (SIZE - 1) / 2).long(),)) for wave in audio]

    def decode(self, codes: Sequence[Codes]) -> list[Tensor]:
        """One level per frame."""
        check_codes(codes, self.codebook_sizes)
        return [(one.levels[0] / (SIZE / 2) - 1).repeat_interleave(HOP) for one in codes]


@dataclass(frozen=True)
class FakeErrors:
    """A judge of words: draws a share of errors from what it hears, and keeps a hypothesis as a recogniser does."""

    higher_is_better: ClassVar[bool] = False

    def load(self, device: str = "cpu") -> "FakeErrors":
        """There is nothing to load."""
        return self

    def judge(self, speech: Sequence[Speech]) -> list[Judgement]:
        """Words out of six."""
        return [
            Judgement(value=(errors := _heard(one) % 7) / 6, detail={"hypothesis": one.text, "errors": errors, "words": 6})
            for one in speech
        ]


@dataclass(frozen=True)
class FakeLikeness:
    """A judge of voices: a number drawn from what it hears and from the voice."""

    higher_is_better: ClassVar[bool] = True

    def load(self, device: str = "cpu") -> "FakeLikeness":
        """There is nothing to load."""
        return self

    def judge(self, speech: Sequence[Speech]) -> list[Judgement]:
        """Between 0 and 1."""
        return [Judgement(value=_heard(one) % 10_000 / 10_000) for one in speech]


def _heard(one: Speech) -> int:
    voice = b"" if one.voice is None else one.voice[:HOP].numpy().tobytes()
    return zlib.crc32(one.audio[::HOP].numpy().tobytes() + voice)
