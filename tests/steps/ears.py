"""Deterministic ears for tests: what they hear hangs on the waveform alone."""

import hashlib
from dataclasses import dataclass
from typing import ClassVar

import torch

from lpo_tts.asr.base import HeardWord
from lpo_tts.records import Judgement

WORDS = ("one", "two", "three", "four")


def digest(wave, salt: str) -> bytes:
    return hashlib.sha256(salt.encode() + (wave * 32768).round().to(torch.int16).numpy().tobytes()).digest()


@dataclass(frozen=True)
class HashRecogniser:
    salt: str = ""

    def load(self, device: str = "cpu"):
        return self

    @property
    def sample_rate(self) -> int:
        return 16000

    def transcribe(self, audio, language="en"):
        heard = []
        for wave in audio:
            data = digest(wave, self.salt)
            heard.append(" ".join(WORDS[byte % 4] for byte in data[1 : 2 + data[0] % 3]))
        return heard

    def transcribe_timed(self, audio, language="en"):
        """Each word has an equal share of the audio."""
        timed = []
        for wave, text in zip(audio, self.transcribe(audio, language), strict=True):
            words = text.split()
            share = wave.numel() / self.sample_rate / len(words)
            timed.append(tuple(HeardWord(word, n * share, (n + 1) * share) for n, word in enumerate(words)))
        return timed


@dataclass(frozen=True)
class HashEncoder:
    salt: str = ""

    def load(self, device: str = "cpu"):
        return self

    @property
    def sample_rate(self) -> int:
        return 16000

    @property
    def min_duration(self) -> float:
        return 0.0

    def embed(self, audio):
        rows = torch.stack([torch.tensor(list(digest(wave, self.salt)[:8]), dtype=torch.float32) + 1 for wave in audio])
        return torch.nn.functional.normalize(rows, dim=-1)


KINDS = ("good", "cut_off", "trailing_sound", "trailing_silence", "silent")


@dataclass(frozen=True)
class HashEnding:
    """Endings by chance, in the words of the metric `ending`."""

    higher_is_better: ClassVar[bool] = True

    def load(self, device: str = "cpu"):
        return self

    def judge(self, speech):
        found = []
        for item in speech:
            if not len(item.audio):
                found.append(Judgement(value=None, detail={"reason": "no audio"}))
                continue
            data = digest(item.audio, "ending")
            kind = KINDS[data[0] % len(KINDS)]
            detail = {"kind": kind, "trailing_sound": data[1] / 100, "trailing_silence": data[2] / 100}
            found.append(Judgement(value=float(kind == "good"), detail=detail))
        return found
