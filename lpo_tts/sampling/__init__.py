"""Samplers: who decodes candidates, and how their tokens are drawn."""

from typing import TYPE_CHECKING

from lpo_tts.registry import Registry

if TYPE_CHECKING:
    from lpo_tts.sampling.base import Sampler

REGISTRY = Registry(
    "sampling",
    {"local": "lpo_tts.sampling.local:LocalSampler", "vllm": "lpo_tts.sampling.vllm:VllmSampler"},
    default="local",
)


def default_sampler() -> "Sampler":
    """The sampler of a recipe that names none, with its default settings."""
    return REGISTRY.get("local")()
