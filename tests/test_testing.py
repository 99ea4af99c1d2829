"""The contract checks pass what keeps the contract and name what breaks it."""

from dataclasses import dataclass, field
from typing import ClassVar

import pytest
import torch

from lpo_tts.metrics.base import Judgement
from lpo_tts.testing import check_encoder, check_metric, check_recogniser


@dataclass(frozen=True)
class Energy:
    """A metric, right or wrong as a test wants it."""

    fault: str = ""
    higher_is_better: ClassVar[bool] = True

    def load(self, device="cpu"):
        return self

    def judge(self, speech):
        judged = []
        for item in speech:
            level = float(item.audio.square().mean()) if item.audio.numel() else float("nan")
            judged.append(Judgement(value=level) if level == level and level < 1e9 else self._nothing())
            if self.fault == "writes":
                item.audio.mul_(2)
        return judged[1:] if self.fault == "drops" else judged

    def _nothing(self):
        return Judgement(value=None, detail={} if self.fault == "silent" else {"reason": "no level"})


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("drops", "Energy: expected 8 judgements, found 7"),
        ("silent", "'empty' has no value; expected a detail"),
        ("writes", "expected to leave the audio as it was"),
    ],
)
def test_a_metric_that_breaks_the_contract_is_named(fault, message):
    check_metric(Energy())
    with pytest.raises(AssertionError, match=message):
        check_metric(Energy(fault))


@dataclass(frozen=True)
class Ears:
    """A recogniser that says how long what it hears is."""

    invents: bool = False
    sample_rate: int = 16000

    def load(self, device="cpu"):
        return self

    def transcribe(self, audio, language="en"):
        usual = [bool(wave.isfinite().all()) and wave.numel() > 400 and float(wave.square().mean()) > 1e-7 for wave in audio]
        return [f"{wave.numel()}" if heard or self.invents else "" for wave, heard in zip(audio, usual, strict=True)]


def test_a_recogniser_that_invents_words_is_named():
    check_recogniser(Ears())
    with pytest.raises(AssertionError, match=r"Ears: expected the empty string of what cannot be heard \(empty\), found '0'"):
        check_recogniser(Ears(invents=True))


@dataclass(frozen=True)
class Voices:
    """A speaker encoder of two numbers."""

    length: float = 1.0
    sample_rate: int = 16000
    min_duration: float = 0.1

    def load(self, device="cpu"):
        return self

    def embed(self, audio):
        raw = torch.stack([torch.stack([wave[:8].sum(), wave[8:16].sum()]) for wave in audio])
        return self.length * torch.nn.functional.normalize(raw, dim=-1)


def test_an_encoder_whose_vectors_are_too_long_is_named():
    check_encoder(Voices())
    with pytest.raises(AssertionError, match="Voices: expected vectors of unit length"):
        check_encoder(Voices(length=2.0))


def test_settings_that_do_not_travel_or_can_be_changed_are_named():
    @dataclass
    class Loose(Energy.__base__):
        calls: list = field(default_factory=list)

        def load(self, device="cpu"):
            return self

    with pytest.raises(AssertionError, match=r"Loose: expected an instance of a class under @dataclass\(frozen=True\)"):
        check_recogniser(Loose())
