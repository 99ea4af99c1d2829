"""Duration and speaking rate."""

import pytest
import torch

from lpo_tts.errors import ConfigError
from lpo_tts.metrics.base import Speech
from lpo_tts.metrics.duration import Duration


def test_seconds_and_rate():
    speech = [
        Speech(id="a", audio=torch.zeros(24000), sample_rate=16000, text="one two, three"),
        Speech(id="b", audio=torch.zeros(0), sample_rate=16000, text="one"),
    ]
    first, second = Duration().load().judge(speech)
    assert first.value == pytest.approx(1.5)
    assert first.detail == {"num_words": 3, "words_per_second": 2.0}
    assert second.value == 0.0
    assert second.detail == {"num_words": 1, "words_per_second": None}


def test_unknown_normaliser():
    with pytest.raises(ConfigError, match="found 'loud'"):
        Duration(normaliser="loud")
