"""What all recognisers share: what can be heard, and how languages are named."""

import math

import pytest
import torch

from lpo_tts.asr.base import primary_language
from lpo_tts.audio import audible


@pytest.mark.parametrize(
    ("waveform", "expected"),
    [
        (torch.zeros(16000), False),
        (torch.empty(0), False),
        (torch.full((399,), 0.1), False),
        (torch.full((400,), 0.1), True),
        (torch.full((16000,), 0.9e-4), False),
        (torch.full((16000,), 1.1e-4), True),
        (torch.eye(1, 16000)[0] * 0.005, False),  # one click in silence
        (torch.tensor([math.nan] * 16000), False),
        (torch.cat([torch.ones(16000), torch.tensor([math.nan])]), False),
        (torch.cat([torch.ones(16000), torch.tensor([math.inf])]), False),
    ],
)
def test_silence_scraps_clicks_and_nan_are_not_audible(waveform, expected):
    assert audible(waveform, 400) is expected


@pytest.mark.parametrize(
    ("code", "expected"), [("en", "en"), ("en-US", "en"), ("zh_CN", "zh"), ("FR", "fr"), ("", ""), ("enm", "enm")]
)
def test_a_language_is_named_by_its_first_part(code, expected):
    assert primary_language(code) == expected
