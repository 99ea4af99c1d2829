"""Samplers as a family: `local` is meant where a recipe names none, and written back it keeps its name."""

import pytest

from lpo_tts.config import Structurer
from lpo_tts.errors import ConfigError
from lpo_tts.sampling import REGISTRY
from lpo_tts.sampling.base import Sampler
from lpo_tts.sampling.local import LocalSampler
from lpo_tts.steps.sample import SampleSettings
from lpo_tts.steps.synthesize import SynthesizeSettings

STRUCTURER = Structurer({Sampler: REGISTRY})


@pytest.mark.parametrize("settings", [SampleSettings, SynthesizeSettings])
def test_local_is_the_default(settings):
    assert settings().sampling == LocalSampler()
    for section in ({"top_k": 20}, {"name": "local", "top_k": 20}):
        found = STRUCTURER.structure({"sampling": section}, settings)
        assert found.sampling == LocalSampler(top_k=20)
        plain = STRUCTURER.unstructure(found)
        assert (plain["sampling"]["name"], plain["sampling"]["top_k"]) == ("local", 20)
        assert STRUCTURER.structure(plain, settings) == found
    with pytest.raises(ConfigError, match=r"sampling: no member named 'lokal'; did you mean local\?"):
        STRUCTURER.structure({"sampling": {"name": "lokal"}}, settings)
    with pytest.raises(ConfigError, match="unknown key; did you mean top_k"):
        STRUCTURER.structure({"sampling": {"topk": 1}}, settings)


def test_the_unit_of_resuming_is_a_decode_batch_unless_said():
    assert SampleSettings().part_size is None
    assert LocalSampler(block_size=32).part_size == 32
    with pytest.raises(ConfigError, match="part_size must be at least 1"):
        SampleSettings(part_size=0)
