"""vllm: which settings it takes, and what its process is told."""

import pytest

from lpo_tts.errors import ConfigError
from lpo_tts.sampling.vllm import VllmSampler
from lpo_tts.sampling.vllm_process import environment


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ras_window": 8}, "ras_window: expected 0, found 8: vLLM cannot draw a token again; use `sampling: {name: local}`"),
        ({"repetition_window": 8}, "repetition_window: expected 0, found 8"),
        ({"temperature": 2.5}, "temperature must be at least 0.0 and at most 2.0"),
        ({"temperature": 0.001}, "temperature: expected 0, or at least 0.01"),
        ({"gpu_memory_utilization": 0.0}, "gpu_memory_utilization must be above 0.0"),
        ({"part_size": 0}, "part_size must be at least 1"),
        ({"min_tokens": 50, "max_tokens": 50}, "min_tokens must be below max_tokens"),
    ],
)
def test_settings_it_has_no_counterpart_for_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        VllmSampler(**changes)


def test_the_engine_sees_the_gpus_from_its_device_on(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert environment("cuda:2", 2)["CUDA_VISIBLE_DEVICES"] == "2,3"
    assert "CUDA_VISIBLE_DEVICES" not in environment("cuda", 1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6,7")
    assert environment("cuda:1", 2)["CUDA_VISIBLE_DEVICES"] == "6,7"
    assert environment("cpu", 1)["CUDA_VISIBLE_DEVICES"] == "4,6,7"
